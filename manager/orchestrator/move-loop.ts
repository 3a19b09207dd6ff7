/**
 * Moves the tasks that were marked to be better elsewhere: one service never has more of its tasks on the way than its
 * updates would have, and waits while one of them is not healthy. The orchestrator replaces what is told to leave, in the
 * order of its updates; where to is decided then.
 */
import { type Service, type Task, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { isHealthy, isWanted, updateTask } from './task-facts.ts';

export class MoveLoop implements Loop {
  readonly name = 'move-loop';
  readonly #config: OrchestratorConfig;
  /** Marked tasks by service. Invariant: no entry is empty. */
  readonly #marked = new Map<string, Set<string>>();
  /** Services with marked tasks in which something has changed. */
  readonly #dirty = new Set<string>();

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#marked.clear();
    this.#dirty.clear();
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'service') {
      if (this.#marked.has(event.object.id)) this.#dirty.add(event.object.id);
    } else if (event.table === 'task') {
      if (event.kind === 'remove') this.#unmark(event.object);
      else this.#setTask(event.object);
    }
  }

  plan(view: StoreView, _nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    for (const serviceId of this.#dirty) {
      if (changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      this.#look(view, serviceId, changes);
      if (changes.length === before) this.#dirty.delete(serviceId);
    }
    return { changes, wakeAtMs: undefined };
  }

  #setTask(task: Task): void {
    if (isMarked(task)) {
      const tasks = this.#marked.get(task.serviceId);
      if (tasks === undefined) this.#marked.set(task.serviceId, new Set([task.id]));
      else tasks.add(task.id);
    } else this.#unmark(task);
    if (this.#marked.has(task.serviceId)) this.#dirty.add(task.serviceId);
  }

  #unmark(task: Task): void {
    const tasks = this.#marked.get(task.serviceId);
    if (tasks === undefined) return;
    tasks.delete(task.id);
    if (tasks.size > 0) this.#dirty.add(task.serviceId);
    else {
      this.#marked.delete(task.serviceId);
      this.#dirty.delete(task.serviceId);
    }
  }

  #look(view: StoreView, serviceId: string, changes: ChangeGroup[]): void {
    const service = view.get('service', serviceId);
    if (service?.spec?.mode?.kind !== 'replicated' || service.pendingDelete || isUpdating(service)) return;
    const { replicas } = service.spec.mode.value;
    let healthy = 0;
    for (const task of view.tasksOfService(serviceId))
      if (isWanted(task) && task.evictReason === '' && isHealthy(task)) healthy++;
    let room = paceOf(service, replicas) - Math.max(0, replicas - healthy);
    for (const id of [...(this.#marked.get(serviceId) ?? [])].sort()) {
      if (room <= 0) return;
      const task = view.get('task', id);
      if (task === undefined || !isMarked(task)) continue;
      const evictReason = `rebalanced: ${task.moveReason}`;
      changes.push([updateTask({ ...task, moveReason: '', evictReason })]);
      if (isHealthy(task)) room--;
    }
  }
}

/** A task that is on its way out needs no mark. */
function isMarked(task: Task): boolean {
  return task.moveReason !== '' && task.evictReason === '' && isWanted(task);
}

/** Tasks that may be on the way at once; as with updates, 0 is all of them, and nothing said is one. */
function paceOf(service: Service, replicas: number): number {
  const parallelism = service.spec?.update?.parallelism ?? 1;
  return parallelism === 0 ? replicas : parallelism;
}

function isUpdating({ updateStatus }: Service): boolean {
  const state = updateStatus?.state ?? UpdateState.UNSPECIFIED;
  return state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED;
}
