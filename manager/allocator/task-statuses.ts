/** How a task stands with the allocator, and what it says when that changes. */
import { type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';

/** The orchestrator has made it, wants it, and nobody has passed it on. */
export function isNew(task: Task): boolean {
  return (task.status?.state ?? TaskState.NEW) === TaskState.NEW && task.desiredState <= TaskState.COMPLETE;
}

/**
 * From the second quick failure in a row on, the next task is not even given to a node before its time: what fails may
 * be its preparation (an image that is not there), which begins at once on the node and would fail at once again.
 */
export function isHeldBack(task: Task, nowMs: number): boolean {
  return task.quickFailures > 1 && task.startNotBeforeMs > nowMs;
}

export function pending(task: Task, nowMs: number): Task {
  const message = 'pending task scheduling';
  return { ...task, status: statusWith(task, { state: TaskState.PENDING, timestampMs: nowMs, message, error: '' }) };
}

export function waiting(task: Task, error: string, nowMs: number): Task {
  const message = 'waiting for its networks';
  return { ...task, status: statusWith(task, { state: TaskState.NEW, timestampMs: nowMs, message, error }) };
}

function statusWith(task: Task, fields: Partial<TaskStatus>): TaskStatus {
  return TaskStatus.create({ ...task.status, ...fields });
}
