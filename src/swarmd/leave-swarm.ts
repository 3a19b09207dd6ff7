/** `swarm leave`, step by step: out of the log, tasks ended, everything forgotten. */
import { rm } from 'node:fs/promises';
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { ActiveNode } from './active-node.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { unmarkForced } from './forced-cluster.ts';
import { forgetLog } from './forget-log.ts';
import { leaveLog } from './join-log.ts';

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

/** Removes what makes this host a member; what is left is a host that can be initialised or joined. */
export async function forgetMembership({ paths, networks, logger }: DaemonParts, store: IdentityStore): Promise<void> {
  await networks.leave().catch((thrown: unknown) => {
    logger.warn('the networks of the swarm could not all be removed', { error: SwarmError.from(thrown).message });
  });
  await store.remove();
  await forgetLog(paths);
  await unmarkForced(paths);
  for (const path of [paths.database, `${paths.database}-wal`, `${paths.database}-shm`])
    await rm(path, { recursive: true, force: true });
}
