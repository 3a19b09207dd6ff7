/**
 * Stops tasks that are not to go on without managers. Their replacement waits for as long as this surely takes, so that
 * there are never two: what counts is when a manager was last known to have heard of this node, by a clock that nobody
 * sets and that goes on while the daemon is away. What is not known counts as long ago.
 */
import type { AgentDatabase } from '#agent/database/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { BootClock } from './boot-clock.ts';
import type { WorkerConfig } from './config.ts';

export interface DisconnectGuardOptions {
  readonly assignments: () => readonly TaskAssignment[];
  /** Brings a task to its end; without effect for one that has ended, or was stopped before. */
  readonly stop: (taskId: string, reason: string) => void;
  readonly database: AgentDatabase;
  readonly clock: Clock;
  readonly bootClock: BootClock;
  readonly logger: Logger;
  readonly config: Pick<WorkerConfig, 'guardLookMs' | 'signKeptEveryMs'>;
}

/** Of agent.db. */
const SETTING = 'manager-sign';

/** Kept at the latest when it is older than this part of the shortest limit: so much a restart may take off. */
const KEPT_SHARE = 0.1;

export class DisconnectGuard {
  readonly #options: DisconnectGuardOptions;
  /** When a manager had surely heard of this node, on the boot clock; undefined while nothing is known of that. */
  #signMs: number | undefined;
  /** As agent.db has it. */
  #keptMs: number | undefined;
  #timer: CancelTimer | undefined;
  #saving = false;

  constructor(options: DisconnectGuardOptions) {
    this.#options = options;
  }

  /** Takes in what was known before the daemon was started, and goes on from there. */
  start(settings: ReadonlyMap<string, string>): void {
    const { bootClock } = this.#options;
    const kept = parseSign(settings.get(SETTING));
    if (kept !== undefined && kept.bootId === bootClock.bootId && kept.atMs <= bootClock.nowMs()) {
      this.#signMs = kept.atMs;
      this.#keptMs = kept.atMs;
    }
    this.#arm();
  }

  close(): void {
    this.#timer?.();
    this.#timer = undefined;
  }

  /** A manager had heard of this node at this time of the boot clock. */
  heard(atMs: number): void {
    this.#signMs = Math.max(this.#signMs ?? atMs, atMs);
  }

  /** Why the task must not go on; undefined when it may. */
  overdue({ spec }: TaskAssignment): string | undefined {
    const limitMs = spec.task?.stopAfterDisconnectMs;
    if (limitMs === undefined) return undefined;
    if (this.#signMs === undefined) return 'stopped: no manager since the host was started';
    const silentMs = this.#options.bootClock.nowMs() - this.#signMs;
    return silentMs < limitMs ? undefined : `stopped: no manager for ${Math.floor(silentMs / 1000)} s`;
  }

  #arm(): void {
    this.#timer = this.#options.clock.setTimer(this.#options.config.guardLookMs, () => {
      this.#look();
      this.#arm();
    });
  }

  #look(): void {
    let shortestMs = Infinity;
    for (const assignment of this.#options.assignments()) {
      shortestMs = Math.min(shortestMs, assignment.spec.task?.stopAfterDisconnectMs ?? Infinity);
      const reason = this.overdue(assignment);
      if (reason !== undefined) this.#options.stop(assignment.task.id, reason);
    }
    if (shortestMs < Infinity) this.#keep(shortestMs);
  }

  #keep(shortestMs: number): void {
    const { database, bootClock, config, logger } = this.#options;
    const signMs = this.#signMs;
    if (signMs === undefined || this.#saving) return;
    const mayLagMs = Math.max(config.signKeptEveryMs, shortestMs * KEPT_SHARE);
    if (this.#keptMs !== undefined && signMs - this.#keptMs < mayLagMs) return;
    this.#saving = true;
    const value = JSON.stringify({ bootId: bootClock.bootId, atMs: signMs });
    database
      .write([{ kind: 'put-setting', key: SETTING, value }])
      .then(() => {
        this.#keptMs = signMs;
      })
      // Without it tasks stop a little earlier after a restart, which is the safe side.
      .catch((thrown: unknown) =>
        logger.warn('when a manager was heard of is not kept', { error: SwarmError.from(thrown).message }),
      )
      .finally(() => {
        this.#saving = false;
      });
  }
}

function parseSign(text: string | undefined): { readonly bootId: string; readonly atMs: number } | undefined {
  if (text === undefined) return undefined;
  const value = JSON.parse(text) as { readonly bootId: string; readonly atMs: number }; // written by #keep alone
  return value;
}
