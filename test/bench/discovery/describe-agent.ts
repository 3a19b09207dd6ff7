/** A simulated agent, and what it says of its node. */
import type { TlsIdentity } from '#certs/tls.ts';
import { NodeDataPath, NodeDescription } from '#gen/swarm/v1/objects.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';

export interface AgentIdentity extends TlsIdentity {
  readonly nodeId: string;
  /** Where others would send packets of networks. */
  readonly address: string;
}

export function describe({ nodeId, address }: AgentIdentity): NodeDescription {
  const dataPath = NodeDataPath.create({ address, mtu: 1500 });
  return NodeDescription.create({ hostname: nodeId, featureLevel: FEATURE_LEVEL, dataPath });
}
