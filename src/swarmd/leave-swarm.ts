/** `swarm leave`, step by step: out of the log, tasks ended, out of the swarm, everything forgotten. */
import { rm } from 'node:fs/promises';
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { ActiveNode } from './active-node.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { unmarkForced } from './forced-cluster.ts';
import { forgetLog } from './forget-log.ts';
import { leaveCluster, leaveLog } from './join-log.ts';
import type { NodeIdentity } from './node-identity.ts';

/**
 * Has a manager taken out of the log while it can still be asked. Who leaves with force leaves without, too: never
 * rejects, and ends in bounded time.
 */
export async function leaveTheLog(active: ActiveNode, parts: DaemonParts, config: DaemonConfig): Promise<void> {
  const managers = active.otherManagers();
  if (active.managerPart === undefined || managers.length === 0) return;
  const { logger, clock } = parts;
  const left = async (): Promise<void> => {
    await active.managerPart?.handOver();
    await leaveLog({ identity: active.nodeIdentity, managers, logger });
  };
  await withDeadline(left(), config.leaveLogMs, 'the other managers to let this one go', clock).catch(
    (thrown: unknown) => {
      logger.warn('this manager leaves without being demoted: it counts for the quorum until it is', {
        error: SwarmError.from(thrown).message,
      });
    },
  );
}

/** Ends the session, telling the manager why if there is a reason, and all tasks. */
export async function endAgent(
  { agent }: ActiveNode,
  { logger }: DaemonParts,
  config: DaemonConfig,
  reason: string | undefined,
): Promise<void> {
  if (reason === undefined) await agent.session.close();
  else await agent.leave(true, reason);
  await agent.worker.removeAll(AbortSignal.timeout(config.leaveTasksMs)).catch((thrown: unknown) => {
    logger.warn('not every task ended in time', { error: SwarmError.from(thrown).message });
  });
}

/**
 * Has the node's entry removed by the leader. Who leaves without an answer leaves a ghost: it is told which, and how it
 * goes. Never rejects, and ends in bounded time.
 */
export async function leaveTheCluster(
  identity: NodeIdentity,
  managers: readonly string[],
  reason: string,
  { logger, clock }: Pick<DaemonParts, 'logger' | 'clock'>,
  config: DaemonConfig,
): Promise<readonly string[]> {
  // The last manager takes the swarm along.
  if (managers.length === 0) return [];
  const abort = new AbortController();
  const told = leaveCluster({ identity, managers, logger, signal: abort.signal }, reason);
  try {
    await withDeadline(told, config.leaveClusterMs, 'the managers to let this node go', clock);
    return [];
  } catch (thrown) {
    told.catch(() => {}); // it is told below
    abort.abort();
    const error = SwarmError.from(thrown);
    logger.warn('the managers still count on this node', { error: error.message });
    return [ghostWarning(identity, error)];
  }
}

/** Where the managers' list still has the node. Who was a manager may still count for the quorum, and is not removed then. */
export function ghostWarning({ nodeId, role }: Pick<NodeIdentity, 'nodeId' | 'role'>, error: SwarmError): string {
  const isManager = error.reason === 'in-use' || role === 'manager';
  const removal = `\`swarm node rm ${nodeId}\``;
  const commands = isManager ? `\`swarm node demote ${nodeId}\`, then ${removal}` : removal;
  return `the managers could not be told that this node has left (${error.message}): run ${commands} on a manager`;
}

/** Removes what makes this host a member; what is left is a host that can be initialised or joined. */
export async function forgetMembership(
  { paths, networks, logger }: DaemonParts,
  store: IdentityStore,
  identity: 'kept' | 'dropped',
): Promise<void> {
  await networks.leave().catch((thrown: unknown) => {
    logger.warn('the networks of the swarm could not all be removed', { error: SwarmError.from(thrown).message });
  });
  await store.remove(identity);
  await forgetLog(paths);
  await unmarkForced(paths);
  for (const path of [paths.database, `${paths.database}-wal`, `${paths.database}-shm`])
    await rm(path, { recursive: true, force: true });
}
