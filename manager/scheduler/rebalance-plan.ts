/**
 * Which running tasks would be placed elsewhere today, and better. Pure: asked for by people, carried out by others.
 * A task moves only where that makes a difference that people see, so that a second plan right after has nothing to do.
 */
import { type Node, type Service, type Task, TaskState, UpdateState } from '#gen/swarm/v1/objects.ts';
import { PlacementStrategy } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { wishesMet } from './affinity.ts';
import { assignedTask } from './assignment.ts';
import { Candidates } from './candidates.ts';
import type { SchedulerConfig } from './config.ts';
import { FailureIndex, groupKey } from './failure-index.ts';
import { type Filter, filtersFor } from './filters.ts';
import { NetworkNeeds } from './network-needs.ts';
import { NodeIndex } from './node-index.ts';
import type { NodeRecord } from './node-record.ts';
import { compileRequest, type PlacementRequest } from './placement-request.ts';

export interface PlannedMove {
  readonly task: Task;
  readonly serviceName: string;
  /** Where the scheduler would place it. */
  readonly toNodeId: string;
  readonly reason: string;
}

/** Objects looked at between two steps. */
const LOOKS_PER_STEP = 1000;
/** A share of resources that is not worth a move. */
const SHARE_DIFFERENCE_MIN = 0.05;

interface Group {
  readonly request: PlacementRequest;
  readonly candidates: Candidates;
}

export class RebalancePlan {
  readonly moves: PlannedMove[] = [];
  /** Why less was moved than could be. */
  readonly notes: string[] = [];
  readonly #view: StoreView;
  readonly #services: readonly Service[];
  readonly #movesMax: number;
  readonly #nowMs: number;
  readonly #config: SchedulerConfig;
  readonly #index = new NodeIndex(() => {});
  readonly #needs = new NetworkNeeds();
  readonly #failures = new FailureIndex();
  readonly #requests = new Map<string, PlacementRequest>();
  readonly #groups = new Map<string, Group>();

  /** `movesMax`: 0 is without limit. */
  constructor(
    view: StoreView,
    services: readonly Service[],
    options: { readonly movesMax: number; readonly nowMs: number; readonly config: SchedulerConfig },
  ) {
    this.#view = view;
    this.#services = services;
    this.#movesMax = options.movesMax === 0 ? Infinity : options.movesMax;
    this.#nowMs = options.nowMs;
    this.#config = options.config;
  }

  /** Makes the plan in small steps: the caller may give way to others between two of them. */
  *steps(): Generator<undefined> {
    yield* this.#read();
    const services = this.#services.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    for (const service of services) {
      const obstacle = obstacleOf(service);
      if (obstacle !== undefined) {
        this.notes.push(`service ${nameOf(service)}: ${obstacle}`);
        continue;
      }
      yield* this.#rebalance(service);
    }
    if (this.moves.length > this.#movesMax) {
      this.moves.length = this.#movesMax;
      this.notes.push(`no more than ${this.#movesMax} moves were asked for: there is more to be moved`);
    }
  }

  *#read(): Generator<undefined> {
    const view = this.#view;
    this.#needs.setCluster(view.cluster());
    for (const network of view.all('network')) this.#needs.setNetwork(network);
    for (const node of view.all('node')) this.#index.setNode(node);
    let looks = 0;
    for (const task of view.all('task')) {
      this.#failures.setTask(task);
      if (task.nodeId !== '') this.#index.setTask(task, this.#requestOf(task));
      if (++looks % LOOKS_PER_STEP === 0) yield;
    }
  }

  *#rebalance(service: Service): Generator<undefined> {
    const left = new Map<string, Task[]>();
    for (const task of this.#view.tasksOfService(service.id)) {
      if (task.revision !== service.revision || !mayMove(task)) continue;
      const tasks = left.get(task.nodeId);
      if (tasks === undefined) left.set(task.nodeId, [task]);
      else tasks.push(task);
    }
    // The youngest go first.
    for (const tasks of left.values()) tasks.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
    // One more than asked for, so that the note is true.
    while (left.size > 0 && this.moves.length <= this.#movesMax) {
      const nodeId = this.#mostCrowded(service.id, left.keys());
      const tasks = left.get(nodeId) ?? [];
      const task = tasks.pop();
      if (tasks.length === 0) left.delete(nodeId);
      if (task !== undefined) this.#look(service, task);
      yield;
    }
  }

  #mostCrowded(serviceId: string, nodeIds: Iterable<string>): string {
    const crowd = (nodeId: string): number => this.#index.records.get(nodeId)?.activeOf(serviceId) ?? 0;
    let most = '';
    for (const nodeId of nodeIds)
      if (most === '' || crowd(nodeId) > crowd(most) || (crowd(nodeId) === crowd(most) && nodeId < most)) most = nodeId;
    return most;
  }

  #look(service: Service, task: Task): void {
    const from = this.#index.records.get(task.nodeId);
    const group = this.#groupOf(task);
    if (from === undefined || group === undefined) return;
    const { request, candidates } = group;
    if (request.volumes.length > 0) return; // its data is where it is
    this.#index.removeTask(task.id);
    const to = candidates.best({ evaluations: Infinity }, this.#nowMs);
    const reason = to === undefined || to === 'more' || to === from ? undefined : this.#better(to, from, request);
    if (to === undefined || to === 'more' || reason === undefined) {
      this.#index.setTask(task, request);
      return;
    }
    this.#index.setTask(assignedTask({ ...task, hostPorts: [] }, to, request, this.#config, this.#nowMs), request);
    this.moves.push({ task, serviceName: nameOf(service), toNodeId: to.id, reason });
  }

  /** Why the task is better off at `to`; undefined when it makes no difference. Without the task on either. */
  #better(to: NodeRecord, from: NodeRecord, request: PlacementRequest): string | undefined {
    for (const preference of request.preferences) {
      const [valueTo, valueFrom] = [preference(to.node), preference(from.node)];
      if (valueTo === valueFrom) continue;
      const [countTo, countFrom] = [valueTo, valueFrom].map((value) => this.#countOf(request, preference, value));
      return (countTo ?? 0) < (countFrom ?? 0)
        ? `${countFrom} others of the service at ${quote(valueFrom)}, ${countTo} at ${quote(valueTo)}`
        : undefined;
    }
    const [wishesTo, wishesFrom] = [to, from].map((record) =>
      wishesMet(request.wishes, record, this.#index.neighbourhoods),
    );
    if (wishesTo !== wishesFrom)
      return (wishesTo ?? 0) > (wishesFrom ?? 0) ? 'the services it wishes to be near, or apart from' : undefined;
    if (this.#strategyOf(request) === PlacementStrategy.BINPACK) {
      const more = to.reservedShare - from.reservedShare;
      return more > SHARE_DIFFERENCE_MIN
        ? `${percent(to.reservedShare)} of ${hostname(to.node)} is reserved, ${percent(from.reservedShare)} of ${hostname(from.node)}`
        : undefined;
    }
    const [same, other] = [from.activeOf(request.serviceId), to.activeOf(request.serviceId)];
    if (same !== other)
      return other < same
        ? `${same} others of the service on ${hostname(from.node)}, ${other} on ${hostname(to.node)}`
        : undefined;
    return to.activeTasks < from.activeTasks
      ? `${from.activeTasks} other tasks on ${hostname(from.node)}, ${to.activeTasks} on ${hostname(to.node)}`
      : undefined;
  }

  #countOf(request: PlacementRequest, preference: (node: Node) => string, value: string): number {
    let count = 0;
    for (const record of this.#index.records.values())
      if (preference(record.node) === value) count += record.activeOf(request.serviceId);
    return count;
  }

  #requestOf(task: Task): PlacementRequest | undefined {
    const key = groupKey(task.serviceId, task.revision);
    const known = this.#requests.get(key);
    if (known !== undefined) return known;
    const revision = this.#view.revision(task.serviceId, task.revision);
    if (revision === undefined) return undefined;
    const request = compileRequest(revision);
    this.#requests.set(key, request);
    this.#index.neighbourhoods.use(request);
    return request;
  }

  #groupOf(task: Task): Group | undefined {
    const key = groupKey(task.serviceId, task.revision);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const request = this.#requestOf(task);
    if (request === undefined) return undefined;
    const filters: readonly Filter[] = filtersFor(request, this.#config, this.#needs, this.#index.neighbourhoods);
    const candidates = new Candidates({
      index: this.#index,
      request,
      groupKey: key,
      strategy: this.#strategyOf(request),
      filters,
      failures: this.#failures,
      config: this.#config,
    });
    const group = { request, candidates };
    this.#groups.set(key, group);
    return group;
  }

  #strategyOf({ strategy }: PlacementRequest): PlacementStrategy {
    if (strategy !== PlacementStrategy.UNSPECIFIED) return strategy;
    return this.#view.cluster()?.spec?.orchestration?.strategy || PlacementStrategy.SPREAD;
  }
}

/** Whether the task is one that a move would help: it runs and serves, and nobody has told it to go. */
function mayMove(task: Task): boolean {
  const { status } = task;
  if (task.desiredState !== TaskState.RUNNING || status?.state !== TaskState.RUNNING) return false;
  if (task.evictReason !== '' || task.moveReason !== '') return false;
  return status.health === undefined || status.health.ready;
}

/** Why the service is left alone. */
function obstacleOf(service: Service): string | undefined {
  if (service.pendingDelete) return 'it is being removed';
  if (service.spec?.mode?.kind !== 'replicated') return 'only replicated services are moved';
  const state = service.updateStatus?.state ?? UpdateState.UNSPECIFIED;
  if (state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED) return 'it is being updated';
  return undefined;
}

function nameOf(service: Service): string {
  return service.spec?.name ?? service.id;
}

function hostname(node: Node): string {
  return node.description?.hostname || node.id;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
