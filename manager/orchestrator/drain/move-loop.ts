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
import { MoveCounts } from './move-counts.ts';
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
  readonly #counts = new MoveCounts();
  /** The one that was looked at last. */
  #lastNode = '';
  /** Services may be counted that nothing hangs on any more. */
  #hasIdleCounts = false;
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
    this.#counts.clear();
    this.#lastNode = '';
    this.#hasIdleCounts = false;
    this.#featureLevel = view.cluster()?.featureLevel ?? 0;
    this.#replaceAfterMs = view.cluster()?.spec?.dispatcher?.replaceAfterMs;
    for (const node of view.all('node')) {
      this.#counts.setNode(node);
      this.#setNode(node);
    }
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
        this.#counts.observeTask(event);
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
    const { groupsPerSlice, movesPerSlice } = this.#config;
    // Half of the looks are for what may have to be counted: a node with many tasks leaves enough of them to get on.
    const room = new MoveRoom(view, this.#counts, Math.ceil(movesPerSlice / 2));
    const isOver = (): boolean => changes.length >= groupsPerSlice || room.looks >= movesPerSlice;
    for (const nodeId of this.#nodesInTurn()) {
      if (isOver()) return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      if (!this.#lookAtNode(view, nodeId, room, nowMs, changes)) return this.#unfinished(changes);
      this.#lastNode = nodeId;
      if (changes.length === before) this.#dirtyNodes.delete(nodeId);
    }
    for (const serviceId of this.#dirtyServices) {
      if (isOver()) return { changes, wakeAtMs: undefined, more: true };
      const before = changes.length;
      if (!this.#lookAtService(view, serviceId, room, changes)) return this.#unfinished(changes);
      if (changes.length === before) this.#dirtyServices.delete(serviceId);
    }
    this.#forgetCounts();
    return { changes, wakeAtMs: undefined };
  }

  /** In the middle of a look, which the next plan begins again with what has been counted by then. */
  #unfinished(changes: readonly ChangeGroup[]): Plan {
    this.#hasIdleCounts = true;
    return { changes, wakeAtMs: undefined, more: true };
  }

  /** After the one that was looked at last: they share what slices, and their services, can spare. */
  #nodesInTurn(): readonly string[] {
    const nodes = [...this.#dirtyNodes].sort();
    const next = nodes.findIndex((nodeId) => nodeId > this.#lastNode);
    return next <= 0 ? nodes : [...nodes.slice(next), ...nodes.slice(0, next)];
  }

  /** Counts of services that nothing hangs on any more. */
  #forgetCounts(): void {
    if (!this.#hasIdleCounts) return;
    this.#hasIdleCounts = false;
    const services = new Set(this.#marked.keys());
    for (const ids of this.#drains.values()) for (const id of ids) services.add(id);
    this.#counts.keepOnly(services);
  }

  #clusterChanged({ featureLevel, spec }: Cluster): void {
    const replaceAfterMs = spec?.dispatcher?.replaceAfterMs;
    if (featureLevel === this.#featureLevel && replaceAfterMs === this.#replaceAfterMs) return;
    this.#featureLevel = featureLevel;
    this.#replaceAfterMs = replaceAfterMs;
    this.#lookAtAll();
  }

  #nodeChanged(event: EventOf<'node'>): void {
    const { object, kind } = event;
    if (kind === 'remove') this.#forgetNode(object.id);
    else this.#setNode(object);
    // Whether others are healthy depends on their nodes.
    if (this.#counts.observeNode(event)) this.#lookAtAll();
  }

  #setNode(node: Node): void {
    if (!isDrained(node) && node.drain === undefined) this.#forgetNode(node.id);
    else {
      if (!this.#drains.has(node.id)) this.#drains.set(node.id, new Set());
      this.#dirtyNodes.add(node.id);
    }
  }

  #forgetNode(nodeId: string): void {
    if (this.#drains.delete(nodeId)) this.#hasIdleCounts = true;
    this.#dirtyNodes.delete(nodeId);
  }

  #lookAtAll(): void {
    for (const nodeId of this.#drains.keys()) this.#dirtyNodes.add(nodeId);
    for (const serviceId of this.#marked.keys()) this.#dirtyServices.add(serviceId);
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
      this.#hasIdleCounts = true;
      this.#dirtyServices.delete(task.serviceId);
    }
  }

  /** False when the slice was over before it was finished: nothing is decided then. */
  #lookAtNode(view: StoreView, nodeId: string, room: MoveRoom, nowMs: number, changes: ChangeGroup[]): boolean {
    const node = view.get('node', nodeId);
    if (node === undefined || !drainsInPace(view.cluster())) return true;
    if (!isDrained(node)) {
      changes.push(...endOfDrain(node, view));
      return true;
    }
    const parallelism = drainParallelism(node, this.#config.drainParallelism);
    const look = new NodeDrain(node, view, room, parallelism).look(nowMs);
    if (look === undefined) return false;
    for (const id of this.#drains.get(nodeId) ?? []) if (!look.services.has(id)) this.#hasIdleCounts = true;
    this.#drains.set(nodeId, look.services);
    changes.push(...look.changes);
    return true;
  }

  /** False when the slice was over before it was finished. */
  #lookAtService(view: StoreView, serviceId: string, room: MoveRoom, changes: ChangeGroup[]): boolean {
    const service = view.get('service', serviceId);
    if (service?.spec?.mode?.kind !== 'replicated' || service.pendingDelete || isUpdating(service)) return true;
    const serviceRoom = room.of(service);
    if (serviceRoom === undefined) return false;
    for (const id of [...(this.#marked.get(serviceId) ?? [])].sort()) {
      if (serviceRoom.left <= 0) return true;
      const task = view.get('task', id);
      const node = task === undefined ? undefined : view.get('node', task.nodeId);
      // What is on a drained node leaves with it.
      if (task === undefined || !isMarked(task) || (node !== undefined && isDrained(node))) continue;
      const evictReason = `rebalanced: ${task.moveReason}`;
      const evictGently = drainsInPace(view.cluster());
      changes.push([updateTask({ ...task, moveReason: '', evictReason, evictGently })]);
      if (isHealthy(task)) serviceRoom.left--;
    }
    return true;
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
