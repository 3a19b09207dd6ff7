/** What is done for a context after a command that went well: another certificate in time, addresses and roots as they are now. */
import type { CertifiedClient } from '#certs/client-identity.ts';
import type { RootCa } from '#gen/swarm/v1/objects.ts';
import type { SwarmClient } from '../../client/swarm-client.ts';
import type { ClientBundle } from './client-bundle.ts';
import type { ContextPaths } from './context-paths.ts';
import { lookedAtMs, updateContext } from './context-store.ts';
import { collectNodes } from './manager-info.ts';
import { renewalDue, renewContext, withAddresses } from './renew-context.ts';

/** How often managers are asked for their addresses and roots: sooner than either changes twice. */
const LOOK_EVERY_MS = 60 * 60 * 1000;

export interface KeptContext {
  readonly paths: ContextPaths;
  readonly name: string;
  /** As the command has read it. */
  readonly bundle: ClientBundle;
  readonly identity: CertifiedClient;
  readonly nowMs: number;
}

/** @throws whatever stands in the way, also of the file system: another command may have replaced or removed the context */
export async function keepUsable(client: Pick<SwarmClient, 'clients' | 'control'>, kept: KeptContext): Promise<void> {
  const { paths, name, bundle, identity, nowMs } = kept;
  const mayRenew = !bundle.facts.fixed;
  if (mayRenew && renewalDue(identity, nowMs)) {
    await renewContext(client, paths, name);
    return;
  }
  if (Math.abs(nowMs - (await lookedAtMs(paths, name))) < LOOK_EVERY_MS) return;
  const [{ cluster }, nodes] = await Promise.all([client.control.getCluster({}), collectNodes(client.control)]);
  const roots = rootsOf(cluster?.rootCa);
  if (mayRenew && !roots.every((root) => bundle.rootsPem.includes(root))) {
    // The root is being replaced: what the one before has signed will end with it.
    await renewContext(client, paths, name);
    return;
  }
  const addresses = nodes.flatMap(({ managerStatus }) => managerStatus?.address || []);
  // Also when nothing has changed: that it was looked at is kept as the time of the file.
  await updateContext(paths, name, bundle.keyPem, (now) => withAddresses(now, addresses));
}

function rootsOf(rootCa: RootCa | undefined): readonly string[] {
  return [rootCa?.certificatePem, rootCa?.rotation?.certificatePem].flatMap((pem) =>
    pem === undefined || pem.length === 0 ? [] : Buffer.from(pem).toString().trim(),
  );
}
