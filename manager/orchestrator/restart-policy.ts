/** Whether, when and with which account a task that ended by itself is started again. */
import { type Task, type TaskFailure, TaskState } from '#gen/swarm/v1/objects.ts';
import type { RestartConfig } from './config.ts';
import type { RestartRules } from './service-settings.ts';
import { stateOf, workedSinceMs } from './task-facts.ts';

export type RestartDecision =
  | { readonly kind: 'final'; readonly reason: string }
  | {
      readonly kind: 'restart';
      readonly delayMs: number;
      /** What the next task carries on. */
      readonly attempt: number;
      readonly failures: readonly TaskFailure[];
      readonly quickFailures: number;
      readonly reason: string;
    };

/**
 * For a task that completed, failed or was rejected.
 *
 * @param jitter from 0 to 1, excluded: by how much of `config.jitter` a delay that has grown is shortened, so that what
 *   failed together does not come back together
 */
export function decideRestart(
  task: Task,
  rules: RestartRules,
  config: RestartConfig,
  nowMs: number,
  jitter = 0,
): RestartDecision {
  const refusal = replacementRefusal(task, rules) ?? attemptsRefusal(task, rules, nowMs);
  if (refusal !== undefined) return { kind: 'final', reason: refusal };
  const quickFailures = wasQuick(task, config) ? task.quickFailures + 1 : 0;
  const excess = quickFailures - config.plainRestarts;
  const attempt = task.restartAttempt + 1;
  const why = describeEnd(task);
  return {
    kind: 'restart',
    delayMs: restartDelay(rules.delayMs, excess, config, jitter),
    attempt,
    failures: keptFailures(task, rules, config, nowMs),
    quickFailures,
    reason: excess > 0 ? `${CRASH_LOOP}: restart ${attempt}: ${why}` : `restarting: ${why}`,
  };
}

/** Begins the reason for which a task is held back for a time that has grown. */
const CRASH_LOOP = 'crash loop';

/** Held back since those before it in its slot failed quickly, one after the other. */
export function isCrashLooping({ holdReason }: Task): boolean {
  return holdReason.startsWith(CRASH_LOOP);
}

/** Why the restart condition lets nothing take the place of the task, however it ended; undefined when it does. */
export function replacementRefusal(task: Task, rules: RestartRules): string | undefined {
  if (rules.condition === 'none') return 'restart condition is none';
  if (rules.condition === 'on-failure' && stateOf(task) === TaskState.COMPLETE)
    return 'completed, and the restart condition is on-failure';
  return undefined;
}

function attemptsRefusal(task: Task, rules: RestartRules, nowMs: number): string | undefined {
  if (rules.attemptsMax === 0) return undefined;
  const restarts =
    rules.windowMs === 0
      ? task.restartAttempt
      : task.failures.filter(({ timeMs }) => timeMs > nowMs - rules.windowMs).length;
  if (restarts < rules.attemptsMax) return undefined;
  const within = rules.windowMs === 0 ? '' : ` within ${rules.windowMs} ms`;
  return `restarted ${restarts} times${within}, the limit of the service (max attempts ${rules.attemptsMax})`;
}

/** One that was rejected, or never passed its checks, has never worked, however long the attempt took. */
function wasQuick(task: Task, config: RestartConfig): boolean {
  if (stateOf(task) === TaskState.REJECTED) return true;
  if (task.status?.health !== undefined && workedSinceMs(task) === 0) return true;
  return ranForMs(task) < config.stableAfterMs;
}

/** How long the task ran, at most. */
function ranForMs(task: Task): number {
  const startedMs = workedSinceMs(task) || (task.status?.container?.startedAtMs ?? 0);
  const endedMs = task.status?.timestampMs ?? 0;
  return endedMs - (startedMs > 0 ? startedMs : Math.max(task.createdAtMs, task.startNotBeforeMs));
}

/** Swarm's delay at first, then twice as long with each further failure. */
function restartDelay(delayMs: number, excess: number, config: RestartConfig, jitter: number): number {
  if (excess <= 0) return delayMs;
  const base = Math.max(delayMs, config.delayMinMs);
  const grownMs = Math.min(config.delayMaxMs, base * 2 ** Math.min(excess, 32));
  return Math.max(delayMs, Math.round(grownMs * (1 - config.jitter * jitter)));
}

function keptFailures(task: Task, rules: RestartRules, config: RestartConfig, nowMs: number): readonly TaskFailure[] {
  const kept = rules.windowMs > 0 ? Math.max(config.failuresKept, rules.attemptsMax) : config.failuresKept;
  return [...task.failures, { timeMs: nowMs, nodeId: task.nodeId }].slice(-kept);
}

/** In a few words: what `service ps` shows of a failed task. */
export function describeEnd(task: Task): string {
  const container = task.status?.container;
  if (container?.oomKilled === true) return `out of memory (exit code ${container.exitCode ?? 137})`;
  if (task.status !== undefined && task.status.error !== '') return task.status.error;
  if (container?.exitCode !== undefined) return `exit code ${container.exitCode}`;
  return task.status?.message === undefined || task.status.message === '' ? 'ended' : task.status.message;
}
