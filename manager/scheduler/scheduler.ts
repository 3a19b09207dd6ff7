/**
 * Gives every pending task a node, or says why it has none. Writes ASSIGNED, node and host ports of a task, and the
 * reason on those that wait; never looks at a placement again.
 */
import { earliest } from '#common/earliest.ts';
import { Heap } from '#common/heap.ts';
import { type Cluster, type Node, type Revision, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { PlacementStrategy } from '#gen/swarm/v1/specs.ts';
import type { Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import { assignedTask, taskUpdate, waitingTask } from './assignment.ts';
import { Candidates } from './candidates.ts';
import { DEFAULT_SCHEDULER_CONFIG, type SchedulerConfig } from './config.ts';
import { FailureIndex, groupKey } from './failure-index.ts';
import { explainRefusals, type Filter, filtersFor } from './filters.ts';
import { Gathering } from './gathering.ts';
import { NetworkNeeds } from './network-needs.ts';
import { NodeIndex } from './node-index.ts';
import type { NodeRecord } from './node-record.ts';
import { compileRequest, type PlacementRequest } from './placement-request.ts';
import { Preemptor } from './preemptor.ts';
import { PresetTasks } from './preset-tasks.ts';
import { nameIn, type Slice } from './slice.ts';
import { compareGroups, TaskGroup } from './task-group.ts';
import { explainHome, TaskHomes } from './task-homes.ts';

export class Scheduler implements Loop {
  readonly name = 'scheduler';
  readonly #config: SchedulerConfig;
  readonly #needs = new NetworkNeeds();
  /** By request; dropped when a network or the cluster changes, which some of them look at. */
  #filters = new Map<PlacementRequest, readonly Filter[]>();
  #index = this.#newIndex();
  readonly #presets = new PresetTasks();
  readonly #gathering = new Gathering();
  readonly #homes = new TaskHomes((id) => this.#index.records.get(id)?.node);
  #failures = new FailureIndex();
  readonly #revisions = new Map<string, Revision>();
  readonly #requests = new Map<string, PlacementRequest>();
  readonly #groups = new Map<string, TaskGroup>();
  /** Groups to be tried, in order. */
  readonly #ready = new Heap<TaskGroup>(compareGroups);
  /** Groups for which no node fitted; nothing has improved since. With `ready` and those without a request: all. */
  readonly #waiting = new Set<TaskGroup>();
  /** Where the log of changed nodes ended when waiting groups were last asked for news. */
  #newsCursor = 0;
  /** Placements handed out by the last plan; those that did not come back as events were refused. */
  readonly #assumed = new Map<string, Task>();
  #clusterStrategy: PlacementStrategy = PlacementStrategy.SPREAD;
  readonly #preemptor: Preemptor;

  constructor(config: SchedulerConfig = DEFAULT_SCHEDULER_CONFIG) {
    this.#config = config;
    this.#preemptor = new Preemptor(config, {
      index: () => this.#index,
      requestOf: (task) => this.#requestOf(groupKey(task.serviceId, task.revision)),
      filtersFor: (request) => this.#filtersFor(request),
    });
  }

  restore(view: StoreView): void {
    this.#index = this.#newIndex();
    this.#failures = new FailureIndex();
    this.#presets.clear();
    this.#gathering.clear();
    this.#homes.clear();
    this.#revisions.clear();
    this.#requests.clear();
    this.#filters.clear();
    this.#groups.clear();
    this.#ready.clear();
    this.#waiting.clear();
    this.#assumed.clear();
    this.#needs.clear();
    this.#setCluster(view.cluster());
    for (const network of view.all('network')) this.#needs.setNetwork(network);
    for (const node of view.all('node')) this.#setNode(node);
    for (const revision of view.all('revision')) this.#setRevision(revision);
    for (const volume of view.all('volume')) this.#homes.restore(volume);
    for (const task of view.all('task')) this.#setTask(task, undefined);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'cluster':
        this.#setCluster(event.kind === 'remove' ? undefined : event.object);
        break;
      case 'node':
        if (event.kind === 'remove') this.#removeNode(event.object.id);
        else this.#setNode(event.object);
        break;
      case 'revision':
        if (event.kind === 'remove') this.#removeRevision(event.object);
        else this.#setRevision(event.object);
        break;
      case 'task':
        if (event.kind === 'remove') this.#removeTask(event.object);
        else this.#setTask(event.object, event.old);
        break;
      case 'network':
        if (event.kind === 'remove') this.#needs.removeNetwork(event.object.id);
        else this.#needs.setNetwork(event.object);
        this.#filters.clear();
        break;
      case 'volume':
        for (const task of this.#homes.observe(event)) this.#placeAnew(task);
        break;
      default: // plays no part in placement
        break;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    this.#takeBackAssumed();
    const slice: Slice = {
      placements: this.#config.placementsPerSlice,
      evaluations: this.#config.evaluationsPerSlice,
      nowMs,
      changes: [],
      view,
    };
    const placed = this.#placePresets(slice);
    const gatherUntilMs = this.#gathering.waitUntilMs(nowMs, this.#config.gatherMs);
    if (placed && gatherUntilMs !== undefined) return { changes: slice.changes, wakeAtMs: gatherUntilMs };
    const finished = placed && this.#placeGroups(slice);
    const explained = finished ? this.#explainGroups(slice) : 'more';
    const preempted = explained === 'more' ? 'more' : this.#preemptor.makeRoom(this.#waiting, slice);
    if (explained === 'more' || preempted === 'more')
      return { changes: slice.changes, wakeAtMs: undefined, more: true };
    return { changes: slice.changes, wakeAtMs: earliest(explained, preempted) };
  }

  #newIndex(): NodeIndex {
    return new NodeIndex((record) => this.#presets.recheck(record.id));
  }

  #setNode(node: Node): void {
    this.#index.setNode(node);
    this.#gathering.setNode(node);
  }

  #removeNode(id: string): void {
    this.#index.removeNode(id);
    this.#gathering.removeNode(id);
  }

  #setCluster(cluster: Cluster | undefined): void {
    const strategy = cluster?.spec?.orchestration?.strategy ?? PlacementStrategy.UNSPECIFIED;
    const resolved = strategy === PlacementStrategy.UNSPECIFIED ? PlacementStrategy.SPREAD : strategy;
    const otherNeeds = this.#needs.setCluster(cluster);
    this.#filters.clear();
    if (resolved === this.#clusterStrategy && !otherNeeds) return;
    this.#clusterStrategy = resolved;
    for (const nodeId of this.#index.records.keys()) this.#presets.recheck(nodeId);
    for (const group of this.#groups.values()) {
      group.candidates = undefined;
      group.reasonCursor = -1;
      this.#makeReady(group);
    }
  }

  #setRevision(revision: Revision): void {
    const key = groupKey(revision.serviceId, revision.number);
    const known = this.#revisions.get(key);
    this.#revisions.set(key, revision);
    if (known !== undefined) return; // immutable but for its outcome
    const group = this.#groups.get(key);
    if (group === undefined) return;
    group.request = this.#requestOf(key);
    this.#makeReady(group);
    if ((group.request?.volumes.length ?? 0) > 0) for (const task of [...group.pending.values()]) this.#placeAnew(task);
  }

  #removeRevision(revision: Revision): void {
    const key = groupKey(revision.serviceId, revision.number);
    this.#revisions.delete(key);
    const request = this.#requests.get(key);
    if (request === undefined) return;
    this.#requests.delete(key);
    this.#filters.delete(request);
    this.#index.neighbourhoods.drop(request);
  }

  #requestOf(key: string): PlacementRequest | undefined {
    const known = this.#requests.get(key);
    if (known !== undefined) return known;
    const revision = this.#revisions.get(key);
    if (revision === undefined) return undefined;
    const request = compileRequest(revision);
    this.#requests.set(key, request);
    this.#index.neighbourhoods.use(request);
    return request;
  }

  #setTask(task: Task, old: Task | undefined): void {
    const key = groupKey(task.serviceId, task.revision);
    this.#assumed.delete(task.id);
    if (old !== undefined && isPending(old)) this.#forgetPending(old, key);
    this.#failures.setTask(task);
    this.#index.setTask(task, task.nodeId === '' ? undefined : this.#requestOf(key));
    if (!isPending(task) || task.desiredState > TaskState.COMPLETE) return;
    this.#queue(task, key);
  }

  /** A pending task waits for its node, where it has one, or for the best of all. */
  #queue(task: Task, key: string): void {
    const home = this.#homes.add(task, this.#requestOf(key));
    if (task.nodeId !== '') this.#presets.add(task, task.nodeId);
    else if (home !== undefined) this.#presets.add(task, home.nodeId);
    else this.#addPending(task, key);
  }

  /** Where its data is has changed. */
  #placeAnew(task: Task): void {
    if (this.#assumed.has(task.id)) return; // has its place, unless that is refused
    const key = groupKey(task.serviceId, task.revision);
    this.#forgetPending(task, key);
    this.#queue(task, key);
  }

  #removeTask(task: Task): void {
    this.#assumed.delete(task.id);
    this.#forgetPending(task, groupKey(task.serviceId, task.revision));
    this.#failures.removeTask(task);
    this.#index.removeTask(task.id);
  }

  #addPending(task: Task, key: string): void {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new TaskGroup(key);
      group.request = this.#requestOf(key);
      this.#groups.set(key, group);
    }
    group.pending.set(task.id, task);
    if (task.status?.error !== group.reasonOf(task)) group.reasonUnwritten = true;
    if (!this.#waiting.has(group)) this.#makeReady(group);
  }

  /** The group is to be tried (again); or its place among those that are has changed. */
  #makeReady(group: TaskGroup): void {
    this.#waiting.delete(group);
    if (group.request === undefined) return;
    if (group.heapIndex >= 0) this.#ready.update(group);
    else this.#ready.push(group);
  }

  #dropGroup(group: TaskGroup): void {
    this.#groups.delete(group.key);
    this.#waiting.delete(group);
    this.#ready.remove(group);
  }

  #forgetPending(task: Task, key: string): void {
    this.#presets.remove(task);
    this.#homes.remove(task);
    const group = this.#groups.get(key);
    if (group === undefined || !group.pending.delete(task.id)) return;
    group.promises.delete(task.id);
    if (group.pending.size === 0) this.#dropGroup(group);
    else if (group.heapIndex >= 0) this.#ready.update(group);
  }

  /** What was handed out and did not come back was refused: those tasks wait again. */
  #takeBackAssumed(): void {
    for (const task of this.#assumed.values()) {
      this.#index.removeTask(task.id);
      this.#queue(task, groupKey(task.serviceId, task.revision));
    }
    this.#assumed.clear();
  }

  #assume(task: Task, record: NodeRecord, request: PlacementRequest, slice: Slice): void {
    const assigned = assignedTask(task, record, request, this.#config, slice.nowMs);
    this.#index.setTask(assigned, request);
    this.#assumed.set(task.id, task);
    slice.changes.push(taskUpdate(assigned));
    slice.placements--;
  }

  /** Tasks that can go to one node only: it is only checked. False when the slice was over before the end. */
  #placePresets(slice: Slice): boolean {
    for (const nodeId of this.#presets.unchecked()) {
      if (slice.placements <= 0) return false;
      if (this.#placePresetsOn(nodeId, slice)) this.#presets.checked(nodeId);
    }
    return true;
  }

  /** False when reasons have to be written: the node is looked at again once they are. */
  #placePresetsOn(nodeId: string, slice: Slice): boolean {
    const record = this.#index.records.get(nodeId);
    let settled = true;
    for (const task of this.#presets.onNode(nodeId)) {
      const request = this.#requestOf(groupKey(task.serviceId, task.revision));
      if (record === undefined || request === undefined) continue;
      const refusing = this.#filtersFor(request).find((filter) => !filter.fits(record, request));
      if (refusing === undefined) {
        this.#presets.remove(task);
        this.#assume(task, record, request, slice);
        continue;
      }
      const home = task.nodeId === '' ? this.#homes.homeOf(task, request) : undefined;
      if (home?.required === false) {
        this.#presets.remove(task);
        this.#addPending(task, groupKey(task.serviceId, task.revision));
        continue;
      }
      const refusal = explainRefusals([{ filter: refusing, nodes: 1 }], nameIn(slice.view));
      const reason = home === undefined ? refusal : explainHome(home, record.node, refusal);
      if (task.status?.error === reason) continue;
      slice.changes.push(taskUpdate(waitingTask(task, reason, slice.nowMs)));
      settled = false;
    }
    return settled;
  }

  /** False when the slice was over before all groups were tried. */
  #placeGroups(slice: Slice): boolean {
    this.#takeUpNews();
    for (let group = this.#ready.peek(); group !== undefined; group = this.#ready.peek()) {
      const outcome = this.#placeGroup(group, slice);
      if (outcome === 'done') {
        this.#dropGroup(group);
      } else if (outcome === 'no-node') {
        this.#ready.remove(group);
        this.#waiting.add(group);
      } else {
        this.#ready.update(group);
        return false;
      }
      // What was placed may be what another group has to be near; its turn is not to depend on when it began to wait.
      if (this.#index.changes.hasImprovement(this.#newsCursor)) this.#takeUpNews();
    }
    return true;
  }

  /** Groups for which a node may fit by now are tried again. */
  #takeUpNews(): void {
    this.#newsCursor = this.#index.changes.end;
    for (const group of this.#waiting) if (group.candidates?.hasNews !== false) this.#makeReady(group);
  }

  #placeGroup(group: TaskGroup, slice: Slice): 'done' | 'no-node' | 'more' {
    const request = group.request;
    if (request === undefined) return 'no-node';
    group.candidates ??= this.#candidatesFor(group.key, request);
    for (const task of group.pending.values()) {
      if (slice.placements <= 0) return 'more';
      const record = group.candidates.best(slice, slice.nowMs);
      if (record === 'more') return 'more';
      if (record === undefined) return 'no-node';
      group.pending.delete(task.id);
      this.#assume(task, record, request, slice);
    }
    return 'done';
  }

  #candidatesFor(key: string, request: PlacementRequest): Candidates {
    return new Candidates({
      index: this.#index,
      request,
      groupKey: key,
      strategy: request.strategy === PlacementStrategy.UNSPECIFIED ? this.#clusterStrategy : request.strategy,
      filters: this.#filtersFor(request),
      failures: this.#failures,
      config: this.#config,
    });
  }

  #filtersFor(request: PlacementRequest): readonly Filter[] {
    let filters = this.#filters.get(request);
    if (filters === undefined) {
      filters = filtersFor(request, this.#config, this.#needs, this.#index.neighbourhoods);
      this.#filters.set(request, filters);
    }
    return filters;
  }

  /** Writes reasons where they changed. When to come back for those that are due later; 'more' when some were left. */
  #explainGroups(slice: Slice): number | undefined | 'more' {
    let wakeAtMs: number | undefined;
    for (const group of this.#waiting) {
      if (group.candidates === undefined) continue;
      if (slice.placements <= 0 || slice.evaluations <= 0) return 'more';
      if (group.reasonCursor !== this.#index.changes.end) {
        if (group.nextReasonAtMs > slice.nowMs) wakeAtMs = Math.min(wakeAtMs ?? Infinity, group.nextReasonAtMs);
        else if (!this.#countReasons(group, group.candidates, slice)) return 'more';
      }
      if (group.reasonUnwritten) this.#writeReasons(group, slice);
    }
    return wakeAtMs;
  }

  /** False when the count is not complete. */
  #countReasons(group: TaskGroup, candidates: Candidates, slice: Slice): boolean {
    const refusals = candidates.refusals(slice, slice.nowMs);
    if (refusals === 'lost') this.#makeReady(group);
    if (refusals === 'lost' || refusals === 'more') return false;
    const reason = explainRefusals(refusals, nameIn(slice.view));
    if (reason !== group.reason) group.reasonUnwritten = true;
    group.reason = reason;
    group.reasonCursor = this.#index.changes.end;
    const { reasonIntervalMs, reasonIntervalPerTaskMs } = this.#config;
    group.nextReasonAtMs = slice.nowMs + reasonIntervalMs + group.pending.size * reasonIntervalPerTaskMs;
    return true;
  }

  /** The group counts as written when a look finds every task with the reason: a refused write is made again. */
  #writeReasons(group: TaskGroup, slice: Slice): void {
    group.reasonUnwritten = false;
    for (const task of group.pending.values()) {
      const reason = group.reasonOf(task);
      if (task.status?.error === reason) continue;
      group.reasonUnwritten = true;
      if (slice.placements-- <= 0) return;
      slice.changes.push(taskUpdate(waitingTask(task, reason, slice.nowMs)));
    }
  }
}

function isPending(task: Task): boolean {
  return task.status?.state === TaskState.PENDING;
}
