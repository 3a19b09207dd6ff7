/**
 * Gives new tasks what the cluster as a whole has to hand out, and passes them on to the scheduler: NEW becomes PENDING.
 * Host ports belong to a node and are the scheduler's; networks will be given out here.
 */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { isWanted, stateOf, updateTask, withStatus } from './task-facts.ts';

export class TaskAllocator implements Loop {
  readonly name = 'allocator';
  readonly #config: OrchestratorConfig;
  /** Tasks that are NEW and wanted. They leave when an event says that they are not, so a refused change is made again. */
  readonly #new = new Map<string, Task>();

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#new.clear();
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    if (event.table !== 'task') return;
    if (event.kind === 'remove') this.#new.delete(event.object.id);
    else this.#setTask(event.object);
  }

  plan(_view: StoreView, nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    let wakeAtMs: number | undefined;
    for (const task of this.#new.values()) {
      if (isHeldBack(task, nowMs)) {
        wakeAtMs = Math.min(wakeAtMs ?? task.startNotBeforeMs, task.startNotBeforeMs);
        continue;
      }
      if (changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs: undefined, more: true };
      const fields = { state: TaskState.PENDING, timestampMs: nowMs, message: 'pending task scheduling' };
      changes.push([updateTask(withStatus(task, fields))]);
    }
    return { changes, wakeAtMs };
  }

  #setTask(task: Task): void {
    if (stateOf(task) === TaskState.NEW && isWanted(task)) this.#new.set(task.id, task);
    else this.#new.delete(task.id);
  }
}

/**
 * From the second quick failure in a row on, the next task is not even given to a node before its time: what fails may
 * be its preparation (an image that is not there), which begins at once on the node and would fail at once again.
 */
function isHeldBack(task: Task, nowMs: number): boolean {
  return task.quickFailures > 1 && task.startNotBeforeMs > nowMs;
}
