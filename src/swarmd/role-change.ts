/**
 * The node follows the role that its object has: first the certificate, then what the certificate asks for. A crash
 * between the two is repaired at the next start, which goes by the certificate.
 */
import { dialCa, IDENTITY_CONFIG, type IdentityStore, renewCertificate } from '#agent/identity/index.ts';
import type { NodeRoleName } from '#certs/identity.ts';
import { SwarmError } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { ActiveNode } from './active-node.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { forgetLog } from './forget-log.ts';

/** The role that the node should have by now; undefined as long as no manager has told. */
export function toldRole(node: Node | undefined): NodeRoleName | undefined {
  if (node === undefined) return undefined;
  return node.role === NodeRole.MANAGER ? 'manager' : 'worker';
}

/** Gets the certificate of the role and brings the manager part up or down. Containers and agent do not notice. */
export async function changeRole(
  active: ActiveNode,
  role: NodeRoleName,
  { parts, store }: { readonly parts: DaemonParts; readonly store: IdentityStore },
): Promise<void> {
  const renewed = await renewCertificate({
    store,
    current: active.identity,
    managers: active.otherManagers(),
    dial: dialCa,
    clock: parts.clock,
    logger: parts.logger,
    config: IDENTITY_CONFIG,
  });
  active.replaceIdentity(renewed);
  parts.logger.info('this node has another certificate', { role: renewed.identity.role });
  if (role === 'worker') {
    // Who is told to be a worker is no member of the log any more, even if it is promoted again meanwhile.
    await active.stopManager();
    await forgetLog(parts.paths);
  }
  if (renewed.identity.role === 'manager') active.startManager();
  else if (role === 'manager')
    throw new SwarmError({
      code: 'unavailable',
      reason: 'wrong-role',
      message: 'the certificate that was issued is still that of a worker',
      hint: 'it is asked again',
    });
}
