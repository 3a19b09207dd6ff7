/**
 * Deletes tasks that nobody needs any more: told to go and gone, history beyond the limit, remains of services that do
 * not exist. Gives tasks up for lost whose node has been down for a day.
 */
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { mayStillRun, ViewedLoss } from './node-loss.ts';
import { byAge } from './slot-tasks.ts';
import {
  hasEnded,
  isAssigned,
  isWanted,
  removeTask,
  sameForTasks,
  updateTask,
  withDesired,
  withStatus,
} from './task-facts.ts';

/** Swarm's default. */
const DEFAULT_HISTORY_LIMIT = 5;

/** A slot of a service, whether the service still exists or not. */
interface SlotName {
  readonly serviceId: string;
  readonly slot: number;
  /** Empty for slots that are numbers. */
  readonly nodeId: string;
  /** Of a job: each run has its own slots. */
  readonly iteration: number;
}

export class TaskReaper implements Loop {
  readonly name = 'task-reaper';
  readonly #config: OrchestratorConfig;
  /** Slots to look at. They leave when a look finds nothing to change. */
  readonly #slots = new Map<string, SlotName>();
  /** Nodes and services whose slots are to be looked at. */
  readonly #nodes = new Set<string>();
  readonly #services = new Set<string>();
  readonly #knownServices = new Set<string>();
  /** Since when nodes are down. */
  readonly #down = new Map<string, number>();
  #historyLimit: number | undefined;
  #lookAtAll = false;

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#slots.clear();
    this.#nodes.clear();
    this.#services.clear();
    this.#knownServices.clear();
    this.#down.clear();
    this.#lookAtAll = false;
    this.#historyLimit = view.cluster()?.spec?.orchestration?.taskHistoryLimit;
    for (const node of view.all('node')) this.#setDown(node);
    for (const service of view.all('service')) this.#knownServices.add(service.id);
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'cluster':
        this.#setLimit(event.kind === 'remove' ? undefined : event.object.spec?.orchestration?.taskHistoryLimit);
        break;
      case 'node':
        if (event.kind === 'remove') this.#down.delete(event.object.id);
        else this.#setDown(event.object);
        if (event.kind === 'remove' || (event.kind === 'update' && !sameForTasks(event.old, event.object)))
          this.#nodes.add(event.object.id);
        break;
      case 'service':
        this.#knownServices.add(event.object.id);
        if (event.kind === 'remove') {
          this.#knownServices.delete(event.object.id);
          this.#services.add(event.object.id);
        }
        break;
      case 'task':
        if (event.kind !== 'remove') this.#setTask(event.object);
        break;
      default: // has no tasks to reap
        break;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    this.#expand(view);
    const changes: ChangeGroup[] = [];
    const wakeAtMs = this.#orphan(view, nowMs, changes);
    let looks = this.#config.reaper.looksPerSlice;
    for (const [key, slot] of this.#slots) {
      if (looks <= 0 || changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs, more: true };
      const before = changes.length;
      looks -= this.#look(view, slot, nowMs, changes);
      if (changes.length === before) this.#slots.delete(key);
    }
    return { changes, wakeAtMs };
  }

  #setLimit(limit: number | undefined): void {
    if (limit === this.#historyLimit) return;
    this.#historyLimit = limit;
    this.#lookAtAll = true;
  }

  #setDown(node: Node): void {
    const sinceMs = node.status?.sinceMs ?? 0;
    if (node.status?.state === NodeState.DOWN && sinceMs > 0) this.#down.set(node.id, sinceMs);
    else this.#down.delete(node.id);
  }

  /** A task that runs in a slot where nothing was before leaves nothing to clear. */
  #setTask(task: Task): void {
    const first = isWanted(task) && !hasEnded(task) && task.replaces === '';
    if (!first || !this.#knownServices.has(task.serviceId)) this.#queue(task);
  }

  #queue(task: Task): void {
    if (task.oneOff !== undefined) return; // those of no service have a loop of their own
    const nodeId = task.slot > 0 ? '' : task.nodeId;
    const { serviceId, slot, jobIteration: iteration } = task;
    this.#slots.set(`${serviceId}/${slot}/${nodeId}/${iteration}`, { serviceId, slot, nodeId, iteration });
  }

  #expand(view: StoreView): void {
    for (const nodeId of this.#nodes) for (const task of view.tasksOfNode(nodeId)) this.#queue(task);
    this.#nodes.clear();
    for (const serviceId of this.#services) for (const task of view.tasksOfService(serviceId)) this.#queue(task);
    this.#services.clear();
    if (this.#lookAtAll) for (const task of view.all('task')) this.#queue(task);
    this.#lookAtAll = false;
  }

  /** Gives the number of tasks that were looked at. */
  #look(view: StoreView, slot: SlotName, nowMs: number, changes: ChangeGroup[]): number {
    const tasks = tasksOf(view, slot);
    const service = view.get('service', slot.serviceId);
    if (service === undefined) this.#removeRemains(view, tasks, changes);
    else if (!service.pendingDelete) this.#thin(view, tasks, nowMs, changes); // else its orchestrator sees to it
    return Math.max(1, tasks.length);
  }

  #removeRemains(view: StoreView, tasks: readonly Task[], changes: ChangeGroup[]): void {
    for (const task of tasks)
      if (holdsNothing(task, view)) changes.push([removeTask(task)]);
      else if (task.desiredState !== TaskState.REMOVE) changes.push([updateTask(withDesired(task, TaskState.REMOVE))]);
  }

  /** The newest task stays whatever the limit: it says what the slot is waiting for, or why it is done. */
  #thin(view: StoreView, tasks: readonly Task[], nowMs: number, changes: ChangeGroup[]): void {
    const kept: Task[] = [];
    for (const task of tasks) {
      const gone = holdsNothing(task, view);
      if (task.desiredState !== TaskState.REMOVE) kept.push(task);
      else if (gone) changes.push([removeTask(task)]);
      if (gone && task.desiredState === TaskState.SHUTDOWN && isAssigned(task) && !hasEnded(task))
        changes.push(orphan(task, 'node was removed; the task is given up for lost', nowMs));
    }
    const limit = this.#historyLimit ?? DEFAULT_HISTORY_LIMIT;
    if (limit < 0) return;
    let excess = kept.length - limit;
    if (excess <= 0) return;
    for (const task of byAge(kept).slice(0, -1)) {
      if (excess <= 0) return;
      if (isNeeded(task) || !holdsNothing(task, view)) continue;
      changes.push([removeTask(task)]);
      excess--;
    }
  }

  /** When the next node will have been down for too long. */
  #orphan(view: StoreView, nowMs: number, changes: ChangeGroup[]): number | undefined {
    let wakeAtMs: number | undefined;
    for (const [nodeId, sinceMs] of this.#down) {
      const dueMs = sinceMs + this.#config.reaper.orphanAfterMs;
      if (dueMs > nowMs) {
        wakeAtMs = Math.min(wakeAtMs ?? dueMs, dueMs);
        continue;
      }
      const before = changes.length;
      for (const task of view.tasksOfNode(nodeId)) {
        if (!isAssigned(task) || hasEnded(task)) continue;
        // The time since it is down is by the wall clock, which people set.
        if (mayStillRun(task, new ViewedLoss(view))) continue;
        changes.push(orphan(task, 'node has been down for too long; the task is given up for lost', nowMs));
      }
      if (changes.length === before) this.#down.delete(nodeId);
    }
    return wakeAtMs;
  }
}

function orphan(task: Task, message: string, nowMs: number): ChangeGroup {
  return [updateTask(withStatus(task, { state: TaskState.ORPHANED, timestampMs: nowMs, message }))];
}

function tasksOf(view: StoreView, { serviceId, slot, nodeId, iteration }: SlotName): readonly Task[] {
  const tasks = slot > 0 ? [...view.tasksOfSlot(serviceId, slot)] : [...view.tasksOfNode(nodeId)];
  return tasks.filter(
    (task) => task.serviceId === serviceId && task.jobIteration === iteration && (slot > 0 || task.slot === 0),
  );
}

/** Its orchestrator goes by it: it is wanted, or it is the one by which a slot of a job is done. */
function isNeeded(task: Task): boolean {
  if (task.jobIteration > 0) return task.status?.state === TaskState.COMPLETE || !hasEnded(task);
  return isWanted(task);
}

/** No container can be left of it that anyone knows of. */
function holdsNothing(task: Task, view: StoreView): boolean {
  return !isAssigned(task) || hasEnded(task) || view.get('node', task.nodeId) === undefined;
}
