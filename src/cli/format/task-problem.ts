/** Why a task failed, waits, or is not ready, in one line. */
import { formatDuration } from '#common/duration.ts';
import type { TaskNodeLoss } from '#gen/swarm/v1/control.ts';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';

const SECOND_MS = 1000;
/** The beginning of what the orchestrator says of a task that it holds back for its predecessors' failures. */
const CRASH_LOOP = /^crash loop: restart \d+/;

/** Empty when all is well. */
export function taskProblem(task: Task, nowMs: number): string {
  const { status } = task;
  if (status !== undefined && status.error !== '') return status.error;
  if (task.evictReason !== '') return task.evictReason;
  if (task.holdReason !== '' && isWanted(task)) return holdText(task, nowMs);
  return notReadyText(task);
}

/** Since when its node is silent, and when it is replaced. */
export function nodeLossText(loss: TaskNodeLoss | undefined, nowMs: number): string {
  if (loss === undefined) return '';
  const silentMs = Math.max(0, nowMs - loss.lastHeardMs);
  const text = `node down for ${inSeconds(silentMs)}`;
  if (loss.replacedAfterMs === undefined) return text;
  const leftMs = loss.replacedAfterMs - silentMs;
  return leftMs > 0 ? `${text}; replaced in ${inSeconds(leftMs)}` : `${text}; about to be replaced`;
}

function inSeconds(durationMs: number): string {
  return formatDuration(Math.ceil(durationMs / SECOND_MS) * SECOND_MS * 1e6);
}

/** What has to stop, or has ended, is held back by nothing any more. */
function isWanted({ desiredState, status }: Task): boolean {
  return desiredState <= TaskState.RUNNING && (status?.state ?? TaskState.NEW) <= TaskState.RUNNING;
}

/** With the time that is left, which the manager does not write down every second. */
function holdText({ holdReason, startNotBeforeMs }: Task, nowMs: number): string {
  const leftMs = startNotBeforeMs - nowMs;
  if (leftMs <= 0) return holdReason;
  return holdReason.replace(CRASH_LOOP, (text) => `${text} in ${inSeconds(leftMs)}`);
}

/** Why the task gets no connections though its process runs; empty when it does, and when nothing was said of it. */
export function notReadyText({ status }: Task): string {
  const health = status?.health;
  if (health === undefined || health.ready || (status?.state ?? 0) > TaskState.RUNNING) return '';
  if (health.message !== '') return `not ready: ${health.message}`;
  // Before it runs its state says that it starts.
  return status?.state === TaskState.RUNNING ? 'not ready' : '';
}

/** Runs, and new connections may go to it. */
export function isServing({ status }: Task): boolean {
  return status?.state === TaskState.RUNNING && (status.health?.ready ?? true);
}
