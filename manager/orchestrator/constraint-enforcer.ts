/**
 * Looks at nodes that changed: tasks that their node is no longer fit for (a label, the role, less memory) are marked
 * to leave, with the reason. The orchestrator replaces them; it alone writes desired states.
 */
import { type Node, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { GenericTable } from '#manager/scheduler/index.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { RevisionBook } from './revision-book.ts';
import { hasEnded, isAssigned, isLost, isWanted, stateOf, updateTask } from './task-facts.ts';
import { updateContext } from './update/update-context.ts';

export class ConstraintEnforcer implements Loop {
  readonly name = 'constraint-enforcer';
  readonly #config: OrchestratorConfig;
  readonly #book = new RevisionBook();
  /** Nodes to look at. They leave when a look finds nothing to change. */
  readonly #nodes = new Set<string>();

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#book.clear();
    this.#nodes.clear();
    for (const revision of view.all('revision')) this.#book.set(revision);
    for (const node of view.all('node')) this.#nodes.add(node.id);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'revision') {
      if (event.kind === 'remove') this.#book.remove(event.object);
      else this.#book.set(event.object);
    } else if (event.table === 'node') {
      if (event.kind === 'remove') this.#nodes.delete(event.object.id);
      else if (event.kind === 'create' || !sameForFit(event.old, event.object)) this.#nodes.add(event.object.id);
    }
  }

  plan(view: StoreView, _nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    let looks = this.#config.reaper.looksPerSlice;
    for (const nodeId of this.#nodes) {
      if (looks <= 0 || changes.length >= this.#config.groupsPerSlice)
        return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      const node = view.get('node', nodeId);
      if (node !== undefined && isEnforced(node)) looks -= this.#look(view, node, changes);
      looks--;
      if (changes.length === before) this.#nodes.delete(nodeId);
    }
    return { changes, wakeAtMs: undefined };
  }

  /** Gives the number of tasks that were looked at. */
  #look(view: StoreView, node: Node, changes: ChangeGroup[]): number {
    const tasks = [...view.tasksOfNode(node.id)].filter((task) => isAssigned(task) && !hasEnded(task));
    const staying: Task[] = [];
    for (const task of tasks) {
      const service = view.get('service', task.serviceId);
      if (service !== undefined && isEvictable(task) && !this.#fits(service, task, node))
        changes.push(evict(task, 'assigned node no longer meets constraints'));
      else staying.push(task);
    }
    this.#makeRoom(node, staying, changes);
    return tasks.length;
  }

  /** A service that is being updated judges its tasks by the revision they are of. */
  #fits(service: Service, task: Task, node: Node): boolean {
    const { kind } = service.spec?.mode ?? {};
    if (kind === 'global' || kind === 'globalJob') return true; // a matter of their own loops
    if (kind === 'replicatedJob') return this.#book.fits(service.id, task.revision, node);
    const update = updateContext(service);
    return this.#book.fits(service.id, update.phase === 'idle' ? update.target : task.revision, node);
  }

  /** The newest tasks leave until the reservations of the rest are met. */
  #makeRoom(node: Node, tasks: readonly Task[], changes: ChangeGroup[]): void {
    let cpuNanos = node.description?.resources?.cpuNanos ?? 0;
    let memoryBytes = node.description?.resources?.memoryBytes ?? 0;
    if (cpuNanos === 0 && memoryBytes === 0) return; // not described yet
    const generic = node.description?.resources?.generic ?? [];
    const taken = new GenericTable();
    const order = [...tasks].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
    for (const task of order) {
      const reserved = this.#book.taskSpec(task.serviceId, task.revision)?.resources?.reservations;
      const given = task.assignedGeneric;
      if (reserved === undefined || (reserved.cpuNanos === 0 && reserved.memoryBytes === 0 && given.length === 0))
        continue;
      const tooMuch =
        reserved.cpuNanos > cpuNanos || reserved.memoryBytes > memoryBytes || !taken.keeps(generic, given);
      if (tooMuch && isEvictable(task)) {
        changes.push(evict(task, 'assigned node no longer has the reserved resources'));
      } else {
        cpuNanos -= reserved.cpuNanos;
        memoryBytes -= reserved.memoryBytes;
        taken.apply(given, 1);
      }
    }
  }
}

/** Nodes that are drained are emptied anyway, paused ones are left alone, lost ones were dealt with. */
function isEnforced(node: Node): boolean {
  const availability = node.spec?.availability ?? NodeAvailability.UNSPECIFIED;
  const active = availability === NodeAvailability.ACTIVE || availability === NodeAvailability.UNSPECIFIED;
  return active && !isLost(node);
}

/** What has no service has no replacement: it stays, and counts. */
function isEvictable(task: Task): boolean {
  if (task.oneOff !== undefined) return false;
  return isWanted(task) && task.evictReason === '' && stateOf(task) <= TaskState.RUNNING;
}

function evict(task: Task, evictReason: string): ChangeGroup {
  return [updateTask({ ...task, evictReason })];
}

function sameForFit(a: Node, b: Node): boolean {
  return (
    a.spec === b.spec &&
    a.description === b.description &&
    a.role === b.role &&
    a.status?.state === b.status?.state &&
    a.status?.address === b.status?.address
  );
}
