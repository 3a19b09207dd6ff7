/** `swarm leave`, step by step: out of the log, tasks ended, out of the swarm, everything forgotten. */
import { rm } from 'node:fs/promises';
import type { IdentityStore } from '#agent/identity/index.ts';
import { backoffDelay } from '#common/backoff.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { ActiveNode } from './active-node.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { unmarkForced } from './forced-cluster.ts';
import { forgetLog } from './forget-log.ts';
import { leaveCluster, leaveLog, type MembershipCall } from './join-log.ts';
import type { Leaver, LeavingMember } from './leaver.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { Paths } from './paths.ts';

/** What a node that leaves asks managers for. */
export interface LeavingCalls {
  readonly leaveLog: (call: MembershipCall) => Promise<void>;
  readonly leaveCluster: (call: MembershipCall, reason: string) => Promise<void>;
}

export const LEAVING_CALLS: LeavingCalls = { leaveLog, leaveCluster };

export interface Leaving {
  readonly parts: Pick<DaemonParts, 'clock' | 'random' | 'logger'>;
  readonly config: DaemonConfig;
  readonly calls: LeavingCalls;
  /** The daemon ends: what waits for managers gives up. */
  readonly closing: AbortSignal;
}

/**
 * Has a manager taken out of the log while it can still be asked. Who leaves with force leaves without, too: never
 * rejects, and ends in bounded time.
 */
export async function leaveTheLog(
  { identity, managers }: LeavingMember,
  handOver: () => Promise<void>,
  { parts, config, calls, closing }: Leaving,
): Promise<void> {
  if (identity.role !== 'manager' || managers.length === 0) return;
  const { logger, clock } = parts;
  const abort = new AbortController();
  const left = async (): Promise<void> => {
    await handOver();
    await calls.leaveLog({ identity, managers, logger, signal: AbortSignal.any([closing, abort.signal]) });
  };
  await withDeadline(left(), config.leaveLogMs, 'the other managers to let this one go', clock).catch(
    (thrown: unknown) => {
      abort.abort();
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
 * Has the node's entry removed by the leader, in bounded time. Who leaves without an answer leaves a ghost: resolves with
 * which it is, and how it goes. Rejects only when the daemon ends meanwhile: then nothing is decided yet.
 */
export async function leaveTheCluster(
  member: LeavingMember,
  reason: string,
  leaving: Leaving,
): Promise<readonly string[]> {
  // The last manager takes the swarm along.
  if (member.managers.length === 0) return [];
  const { parts, config, closing } = leaving;
  const { logger, clock } = parts;
  const abort = new AbortController();
  const attempts = new FarewellAttempts(member, reason, leaving, AbortSignal.any([closing, abort.signal]));
  const told = attempts.run();
  try {
    await withDeadline(told, config.leaveClusterMs, 'the managers to let this node go', clock);
    return [];
  } catch (thrown) {
    told.catch(() => {}); // it is told below
    abort.abort();
    closing.throwIfAborted();
    const error = attempts.lastError ?? SwarmError.from(thrown);
    logger.warn('the managers still count on this node', { error: error.message });
    return [ghostWarning(member.identity, error)];
  }
}

/** Codes of what may be otherwise in a moment: no network yet, no leader, a write that met another one. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'deadline', 'conflict']);

/** Tells managers again and again that the node leaves, until one takes note or nothing more is to be hoped for. */
class FarewellAttempts {
  readonly #member: LeavingMember;
  readonly #reason: string;
  readonly #leaving: Leaving;
  readonly #signal: AbortSignal;
  lastError: SwarmError | undefined;

  constructor(member: LeavingMember, reason: string, leaving: Leaving, signal: AbortSignal) {
    this.#member = member;
    this.#reason = reason;
    this.#leaving = leaving;
    this.#signal = signal;
  }

  /** Until the signal is aborted. @throws SwarmError the refusal of a manager, or why none could be asked */
  async run(): Promise<void> {
    const { parts, config } = this.#leaving;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#tell();
        return;
      } catch (thrown) {
        if (this.#signal.aborted) throw thrown;
        const error = SwarmError.from(thrown);
        this.lastError = error;
        if (!PASSING.has(error.code)) throw error;
      }
      await this.#pause(backoffDelay(config.farewellRetry, attempt, parts.random));
      this.#signal.throwIfAborted();
    }
  }

  async #tell(): Promise<void> {
    const { calls, parts } = this.#leaving;
    const { identity, managers } = this.#member;
    const call = { identity, managers, logger: parts.logger, signal: this.#signal };
    try {
      await calls.leaveCluster(call, this.#reason);
    } catch (thrown) {
      if (SwarmError.from(thrown).reason !== 'in-use') throw thrown;
      // A manager that nobody could be asked to demote before, or whose demotion was not waited for.
      await calls.leaveLog(call);
      await calls.leaveCluster(call, this.#reason);
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#leaving.parts.clock.setTimer(delayMs, done);
      this.#signal.addEventListener('abort', done);
      if (this.#signal.aborted) done();
    });
  }
}

/** Where the managers' list still has the node. Who was a manager may still count for the quorum, and is not removed then. */
export function ghostWarning({ nodeId, role }: Pick<NodeIdentity, 'nodeId' | 'role'>, error: SwarmError): string {
  const isManager = error.reason === 'in-use' || role === 'manager';
  return `the managers could not be told that this node has left (${error.message}): run ${removal(nodeId, isManager)} on a manager`;
}

/** Of who cannot speak to managers at all, and need not know of any. */
export function silentWarning({ identity, error }: Extract<Leaver, { kind: 'unusable' }>, hostname: string): string {
  const commands = removal(identity?.nodeId ?? hostname, identity?.role !== 'worker');
  return `other managers, if there are any, could not be told that this node has left (${error.message}): run ${commands} on one of them`;
}

function removal(reference: string, isManager: boolean): string {
  const removed = `\`swarm node rm ${reference}\``;
  return isManager ? `\`swarm node demote ${reference}\`, then ${removed}` : removed;
}

/** Removes what makes this host a member; what is left is a host that can be initialised or joined. */
export async function forgetMembership(
  { paths, networks, logger }: Pick<DaemonParts, 'paths' | 'networks' | 'logger'>,
  store: IdentityStore,
  identity: 'kept' | 'dropped',
): Promise<void> {
  await networks.leave().catch((thrown: unknown) => {
    logger.warn('the networks of the swarm could not all be removed', { error: SwarmError.from(thrown).message });
  });
  await store.remove(identity);
  await forgetLeftovers(paths);
}

/** What a member has beside its identity. Without that it is of no use, and would be taken for the next swarm's. */
export async function forgetLeftovers(paths: Paths): Promise<void> {
  await forgetLog(paths);
  await unmarkForced(paths);
  for (const path of [paths.database, `${paths.database}-wal`, `${paths.database}-shm`])
    await rm(path, { recursive: true, force: true });
}
