/** What a service needs to know of each of its slots. */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { healthySinceMs, isHealthy, isWanted, stateOf } from './task-facts.ts';
import { countedFailure, isBroughtBy, type UpdateContext } from './update/update-context.ts';

export interface SlotSummary {
  /** A task is wanted, or the restart policy left one ended: nothing is missing. */
  readonly occupied: boolean;
  /** A task of it runs, and is ready where that is checked. */
  readonly running: boolean;
  /** Where it is, empty while it is nowhere. */
  readonly nodeId: string;
  /** To be moved by the update. */
  readonly outdated: boolean;
  /** The update counts it among those it is at: not running yet, or within its delay. */
  readonly busy: boolean;
  /** The update has moved it to the target. */
  readonly moved: boolean;
  /** The update brought it and still watches it. */
  readonly watched: boolean;
  /** The update brought it, and it was watched to the end without failure. */
  readonly proven: boolean;
  /** When the update moved it, while it is watched and its task is not healthy; 0 otherwise. */
  readonly waitsSinceMs: number;
  /** Since when the task that the update brought is healthy; 0 while it is not. */
  readonly healthySinceMs: number;
  /** The first task that failed here under the eyes of the update; empty while none has. */
  readonly failedTask: string;
  /** At the target, and has run, ready, for the monitoring time, or has done its work. */
  readonly steady: boolean;
  /** On a node that is away, for a service that cannot go elsewhere: left out of all counts. */
  readonly suspended: boolean;
  /** When one of these changes by itself. */
  readonly changesAtMs: number | undefined;
}

export const EMPTY_SUMMARY: SlotSummary = {
  occupied: false,
  running: false,
  nodeId: '',
  outdated: false,
  busy: false,
  moved: false,
  watched: false,
  proven: false,
  waitsSinceMs: 0,
  healthySinceMs: 0,
  failedTask: '',
  steady: false,
  suspended: false,
  changesAtMs: undefined,
};

export interface SlotFindings {
  /** The task that the slot stands for. */
  readonly task: Task;
  /** All of the slot. */
  readonly tasks: readonly Task[];
  /** The newest task of the slot, which has failed for good when it is not the same. */
  readonly last: Task;
  readonly upToDate: boolean;
  readonly lastIsUpToDate: boolean;
  readonly update: UpdateContext;
  readonly nowMs: number;
}

export function summarize(findings: SlotFindings): SlotSummary {
  const { task, last, upToDate, lastIsUpToDate, update, nowMs } = findings;
  const healthy = isWanted(task) && isHealthy(task);
  const best = healthy ? task : findings.tasks.find((one) => isWanted(one) && isHealthy(one));
  const base = { ...EMPTY_SUMMARY, occupied: true, running: best !== undefined, nodeId: (best ?? task).nodeId };
  if (!upToDate) {
    const failedTask = countedFailure(last.rollout, update);
    // The update had its try at this slot and the restart policy allows no other.
    const spent = last.id !== task.id && last.finalReason !== '' && lastIsUpToDate && failedTask !== '';
    return { ...base, outdated: !spent, moved: spent, failedTask: spent ? failedTask : '' };
  }
  const failedTask = countedFailure(task.rollout, update);
  const brought = isBroughtBy(task.rollout, update);
  const done = stateOf(task) === TaskState.COMPLETE && task.finalReason !== '';
  const failedBefore = brought && failedTask === '' && task.rollout?.failedTask !== '';
  // It failed for good in an earlier attempt: this one tries again.
  if (failedBefore && task.finalReason !== '' && !done) return { ...base, outdated: true };
  const active = brought && failedTask === '' && task.finalReason === '';
  const sinceMs = healthySinceMs(task);
  const settlesAtMs = sinceMs + update.rules.monitorMs;
  const freesAtMs = sinceMs + update.rules.delayMs;
  const settled = healthy && nowMs >= settlesAtMs;
  const later = [settlesAtMs, freesAtMs].filter((atMs) => healthy && atMs > nowMs);
  return {
    ...base,
    busy: active && !(healthy && nowMs >= freesAtMs),
    moved: brought,
    watched: active && !settled,
    proven: brought && failedTask === '' && (settled || done),
    waitsSinceMs: active && !healthy ? Math.max(1, task.rollout?.movedAtMs ?? 0) : 0,
    healthySinceMs: active && healthy ? sinceMs : 0,
    failedTask,
    steady: settled || done,
    changesAtMs: later.length > 0 ? Math.min(...later) : undefined,
  };
}
