/**
 * Moves tasks that could stay but for their operator's wish: off nodes that are drained, and to where they are better
 * placed (`service rebalance`). It alone does, so that both together take no more of a service at a time than its updates
 * would. The orchestrator replaces what is told to leave; where to is decided then.
 */
import type { Cluster, Node, Task } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, EventOf, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from '../config.ts';
import { isAssigned, isDrained, isHealthy, isWanted, updateTask } from '../task-facts.ts';
import { DRAIN_REASON, drainParallelism, drainsInPace } from './drain-rules.ts';
import { isUpdating, MoveRoom } from './move-room.ts';
import { NodeDrain } from './node-drain.ts';

export class MoveLoop implements Loop {
  readonly name = 'move-loop';
  readonly #config: OrchestratorConfig;
  /** Tasks marked to be better elsewhere, by service. Invariant: no entry is empty. */
  readonly #marked = new Map<string, Set<string>>();
  /** Services with marked tasks in which something has changed. */
  readonly #dirtyServices = new Set<string>();
  /** Nodes that are drained, or were and have a status of it, with the services that their drain depends on. */
  readonly #drains = new Map<string, ReadonlySet<string>>();
  /** Those in which something may have changed. Invariant: every one of them is in `drains`. */
  readonly #dirtyNodes = new Set<string>();
  #featureLevel = 0;
  /** For how long the swarm waits for nodes that are lost. */
  #replaceAfterMs: number | undefined;

  constructor(config: OrchestratorConfig) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    this.#marked.clear();
    this.#dirtyServices.clear();
    this.#drains.clear();
    this.#dirtyNodes.clear();
    this.#featureLevel = view.cluster()?.featureLevel ?? 0;
    this.#replaceAfterMs = view.cluster()?.spec?.dispatcher?.replaceAfterMs;
    for (const node of view.all('node')) this.#setNode(node);
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'cluster':
        this.#clusterChanged(event.object);
        return;
      case 'node':
        this.#nodeChanged(event);
        return;
      case 'service':
        if (this.#marked.has(event.object.id)) this.#dirtyServices.add(event.object.id);
        this.#lookAtNodesOf(event.object.id);
        return;
      case 'task':
        if (event.kind === 'remove') this.#unmark(event.object);
        else this.#setTask(event.object);
        if (this.#drains.has(event.object.nodeId)) this.#dirtyNodes.add(event.object.nodeId);
        this.#lookAtNodesOf(event.object.serviceId);
        return;
      default: // nothing that moves depend on
        return;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    const room = new MoveRoom(view);
    const isOver = (): boolean =>
      changes.length >= this.#config.groupsPerSlice || room.looks >= this.#config.movesPerSlice;
    // In an order that is the same for everyone: they share what their services can spare.
    for (const nodeId of [...this.#dirtyNodes].sort()) {
      if (isOver()) return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      this.#lookAtNode(view, nodeId, room, nowMs, changes);
      if (changes.length === before) this.#dirtyNodes.delete(nodeId);
    }
    for (const serviceId of this.#dirtyServices) {
      if (isOver()) return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      this.#lookAtService(view, serviceId, room, changes);
      if (changes.length === before) this.#dirtyServices.delete(serviceId);
    }
    return { changes, wakeAtMs: undefined };
  }

  #clusterChanged({ featureLevel, spec }: Cluster): void {
    const replaceAfterMs = spec?.dispatcher?.replaceAfterMs;
    if (featureLevel === this.#featureLevel && replaceAfterMs === this.#replaceAfterMs) return;
    this.#featureLevel = featureLevel;
    this.#replaceAfterMs = replaceAfterMs;
    this.#lookAtAllNodes();
  }

  #nodeChanged(event: EventOf<'node'>): void {
    const { object, kind } = event;
    if (kind === 'remove') this.#forgetNode(object.id);
    else this.#setNode(object);
    // Whether others are healthy depends on their nodes.
    if (kind !== 'update' || event.old.status?.state !== object.status?.state) this.#lookAtAllNodes();
  }

  #setNode(node: Node): void {
    if (!isDrained(node) && node.drain === undefined) this.#forgetNode(node.id);
    else {
      if (!this.#drains.has(node.id)) this.#drains.set(node.id, new Set());
      this.#dirtyNodes.add(node.id);
    }
  }

  #forgetNode(nodeId: string): void {
    this.#drains.delete(nodeId);
    this.#dirtyNodes.delete(nodeId);
  }

  #lookAtAllNodes(): void {
    for (const nodeId of this.#drains.keys()) this.#dirtyNodes.add(nodeId);
  }

  #lookAtNodesOf(serviceId: string): void {
    for (const [nodeId, services] of this.#drains) if (services.has(serviceId)) this.#dirtyNodes.add(nodeId);
  }

  #setTask(task: Task): void {
    if (isMarked(task)) {
      const tasks = this.#marked.get(task.serviceId);
      if (tasks === undefined) this.#marked.set(task.serviceId, new Set([task.id]));
      else tasks.add(task.id);
    } else this.#unmark(task);
    if (this.#marked.has(task.serviceId)) this.#dirtyServices.add(task.serviceId);
  }

  #unmark(task: Task): void {
    const tasks = this.#marked.get(task.serviceId);
    if (tasks === undefined) return;
    tasks.delete(task.id);
    if (tasks.size > 0) this.#dirtyServices.add(task.serviceId);
    else {
      this.#marked.delete(task.serviceId);
      this.#dirtyServices.delete(task.serviceId);
    }
  }

  #lookAtNode(view: StoreView, nodeId: string, room: MoveRoom, nowMs: number, changes: ChangeGroup[]): void {
    const node = view.get('node', nodeId);
    if (node === undefined || !drainsInPace(view.cluster())) return;
    if (!isDrained(node)) {
      changes.push(...endOfDrain(node, view));
      return;
    }
    const parallelism = drainParallelism(node, this.#config.drainParallelism);
    const look = new NodeDrain(node, view, room, parallelism).look(nowMs);
    this.#drains.set(nodeId, look.services);
    changes.push(...look.changes);
  }

  #lookAtService(view: StoreView, serviceId: string, room: MoveRoom, changes: ChangeGroup[]): void {
    const service = view.get('service', serviceId);
    if (service?.spec?.mode?.kind !== 'replicated' || service.pendingDelete || isUpdating(service)) return;
    const serviceRoom = room.of(service);
    for (const id of [...(this.#marked.get(serviceId) ?? [])].sort()) {
      if (serviceRoom.left <= 0) return;
      const task = view.get('task', id);
      const node = task === undefined ? undefined : view.get('node', task.nodeId);
      // What is on a drained node leaves with it.
      if (task === undefined || !isMarked(task) || (node !== undefined && isDrained(node))) continue;
      const evictReason = `rebalanced: ${task.moveReason}`;
      const evictGently = drainsInPace(view.cluster());
      changes.push([updateTask({ ...task, moveReason: '', evictReason, evictGently })]);
      if (isHealthy(task)) serviceRoom.left--;
    }
  }
}

/**
 * The node takes tasks again, or keeps those it has: what was told to leave and has no new place stays. The status goes
 * when no task has to be told any more: each write may be refused by itself, and the status is what has it repeated.
 */
function endOfDrain(node: Node, view: StoreView): readonly ChangeGroup[] {
  const changes: ChangeGroup[] = [];
  for (const task of view.tasksOfNode(node.id)) {
    if (task.evictReason !== DRAIN_REASON || !isWanted(task) || !isAssigned(task)) continue;
    changes.push([updateTask({ ...task, evictReason: '', evictGently: false })]);
  }
  return changes.length > 0 ? changes : [[{ kind: 'update', table: 'node', object: { ...node, drain: undefined } }]];
}

/** A task that is on its way out needs no mark. */
function isMarked(task: Task): boolean {
  return task.moveReason !== '' && task.evictReason === '' && isWanted(task);
}
