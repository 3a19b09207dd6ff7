/**
 * Takes containers of `swarm run` away: those that were told to go and have ended, that go by themselves, that are more
 * than are kept, whose node is gone, and that found no place on their node. It starts nothing: nobody's task takes the
 * place of such a container.
 */
import { LIMITS } from '#common/limits.ts';
import { type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { hasEnded, isAssigned, isLost, removeTask, sameForTasks } from './task-facts.ts';

export class OneOffLoop implements Loop {
  readonly name = 'one-off';
  readonly #config: OrchestratorConfig;
  /** Nodes whose containers are to be looked at. They leave when a look finds nothing to change. */
  readonly #nodes = new Set<string>();
  /** When nodes are to be looked at though nothing happens. */
  readonly #wakeAtMs = new Map<string, number>();

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#nodes.clear();
    this.#wakeAtMs.clear();
    for (const task of view.all('task')) if (task.oneOff !== undefined) this.#nodes.add(task.nodeId);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'task') {
      if (event.object.oneOff !== undefined) this.#nodes.add(event.object.nodeId);
    } else if (event.table === 'node') {
      if (event.kind !== 'update' || !sameForTasks(event.old, event.object)) this.#nodes.add(event.object.id);
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    for (const [nodeId, atMs] of this.#wakeAtMs) if (atMs <= nowMs) this.#nodes.add(nodeId);
    const changes: ChangeGroup[] = [];
    let looks = this.#config.reaper.looksPerSlice;
    for (const nodeId of this.#nodes) {
      if (looks <= 0 || changes.length >= this.#config.groupsPerSlice)
        return { changes, wakeAtMs: this.#next(), more: true };
      const before = changes.length;
      looks -= this.#look(view, nodeId, nowMs, changes);
      if (changes.length === before) this.#nodes.delete(nodeId);
    }
    return { changes, wakeAtMs: this.#next() };
  }

  /** Gives the number of tasks that were looked at. */
  #look(view: StoreView, nodeId: string, nowMs: number, changes: ChangeGroup[]): number {
    const tasks = [...view.tasksOfNode(nodeId)];
    const node = view.get('node', nodeId);
    const kept: Task[] = [];
    let wakeAtMs: number | undefined;
    for (const task of tasks) {
      if (task.oneOff === undefined) continue;
      const goesAtMs = this.#goesAtMs(task, node);
      if (goesAtMs === undefined) {
        if (hasEnded(task)) kept.push(task);
      } else if (goesAtMs <= nowMs) changes.push(removal(task, view));
      else wakeAtMs = Math.min(wakeAtMs ?? goesAtMs, goesAtMs);
    }
    // The leader's clock says when the end was heard of; nodes have clocks of their own.
    kept.sort((a, b) => b.updatedAtMs - a.updatedAtMs || (a.id < b.id ? -1 : 1));
    for (const task of kept.slice(LIMITS.ENDED_CONTAINERS_PER_NODE)) changes.push(removal(task, view));
    if (wakeAtMs === undefined) this.#wakeAtMs.delete(nodeId);
    else this.#wakeAtMs.set(nodeId, wakeAtMs);
    return Math.max(1, tasks.length);
  }

  /** When the container is to be away, as things are; undefined while nothing says so. */
  #goesAtMs(task: Task, node: Node | undefined): number | undefined {
    const { placeWithinMs, autoRemoveAfterMs } = this.#config.oneOff;
    if (node === undefined) return 0;
    if (!isAssigned(task)) return task.desiredState > TaskState.RUNNING ? 0 : task.createdAtMs + placeWithinMs;
    // A node that is lost has nothing that could be waited for; should it come back, it is told that the task is gone.
    if (task.desiredState === TaskState.REMOVE && (hasEnded(task) || isLost(node))) return 0;
    return task.oneOff?.autoRemove === true && hasEnded(task) ? task.updatedAtMs + autoRemoveAfterMs : undefined;
  }

  #next(): number | undefined {
    let next: number | undefined;
    for (const atMs of this.#wakeAtMs.values()) next = Math.min(next ?? atMs, atMs);
    return next;
  }
}

/** With what it runs, which is nobody else's. */
function removal(task: Task, view: StoreView): ChangeGroup {
  const changes: Change[] = [removeTask(task)];
  const revision = view.revision('', task.revision);
  if (revision !== undefined) changes.push({ kind: 'remove', table: 'revision', object: revision });
  return changes;
}
