import type { BundleFacts } from '#src/cli/contexts/client-bundle.ts';
import { CLUSTER_ID } from '#test/certs/fixtures.ts';

/** What a bundle says of the client, whose managers are at the address. */
export function clientFacts({ clientId, role }: Pick<BundleFacts, 'clientId' | 'role'>, address: string): BundleFacts {
  return {
    format: 1,
    clusterId: CLUSTER_ID,
    clientId,
    clientName: 'ci',
    role,
    addresses: [address],
    serverName: 'swarm-manager',
    expiresAt: '',
    fixed: false,
  };
}
