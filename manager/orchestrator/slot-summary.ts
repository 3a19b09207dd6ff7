/** What a service needs to know of each of its slots. */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { healthySinceMs, isHealthy, isWanted, stateOf } from './task-facts.ts';
import type { UpdateContext } from './update-context.ts';

export interface SlotSummary {
  /** A task is wanted, or the restart policy left one ended: nothing is missing. */
  readonly occupied: boolean;
  /** Its task runs, and is ready where that is checked. */
  readonly running: boolean;
  /** Where it is, empty while it is nowhere. */
  readonly nodeId: string;
  /** To be moved by the update. */
  readonly outdated: boolean;
  /** The update counts it among those it is at: not running yet, or within its delay. */
  readonly busy: boolean;
  /** The update brought it and still watches it. */
  readonly watched: boolean;
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
  watched: false,
  failedTask: '',
  steady: false,
  suspended: false,
  changesAtMs: undefined,
};

export interface SlotFindings {
  /** The task that the slot stands for. */
  readonly task: Task;
  /** The newest task of the slot, which has failed for good when it is not the same. */
  readonly last: Task;
  readonly upToDate: boolean;
  readonly lastIsUpToDate: boolean;
  readonly update: UpdateContext;
  readonly nowMs: number;
}

export function summarize(findings: SlotFindings): SlotSummary {
  const { task, last, upToDate, lastIsUpToDate, update, nowMs } = findings;
  const running = isWanted(task) && isHealthy(task);
  const base = { ...EMPTY_SUMMARY, occupied: true, running, nodeId: task.nodeId };
  if (!upToDate) {
    const failedTask = failedIn(last, update);
    // The update had its try at this slot and the restart policy allows no other.
    const spent = last.id !== task.id && last.finalReason !== '' && lastIsUpToDate && failedTask !== '';
    return { ...base, outdated: !spent, failedTask: spent ? failedTask : '' };
  }
  const failedTask = failedIn(task, update);
  const brought = task.rollout !== undefined && task.rollout.updateStartedAtMs === update.startedAtMs;
  const active = brought && failedTask === '' && task.finalReason === '';
  const sinceMs = healthySinceMs(task);
  const settlesAtMs = sinceMs + update.rules.monitorMs;
  const freesAtMs = sinceMs + update.rules.delayMs;
  const settled = running && nowMs >= settlesAtMs;
  const done = stateOf(task) === TaskState.COMPLETE && task.finalReason !== '';
  const later = [settlesAtMs, freesAtMs].filter((atMs) => running && atMs > nowMs);
  return {
    ...base,
    busy: active && !(running && nowMs >= freesAtMs),
    watched: active && !settled,
    failedTask,
    steady: settled || done,
    changesAtMs: later.length > 0 ? Math.min(...later) : undefined,
  };
}

function failedIn(task: Task, update: UpdateContext): string {
  const { rollout } = task;
  return rollout !== undefined && rollout.updateStartedAtMs === update.startedAtMs ? rollout.failedTask : '';
}
