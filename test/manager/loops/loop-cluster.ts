/**
 * All leader loops on an in-memory store, with agents that do what they are told, under virtual time. Each loop's groups
 * are committed one by one; `interfere` may write between a plan and its commit, to make conflicts.
 */
import { SeededRandom } from '#common/random.ts';
import {
  ContainerStatus,
  HealthState,
  type Node,
  NodeState,
  type Task,
  TaskHealth,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { createLoops, DEFAULT_ORCHESTRATOR_CONFIG, type OrchestratorConfig } from '#manager/orchestrator/index.ts';
import { DEFAULT_SCHEDULER_CONFIG, type SchedulerConfig } from '#manager/scheduler/index.ts';
import type { Change, Loop, StoreEvent, TableName, Tables } from '#manager/store/index.ts';
import { MemoryStore } from './memory-store.ts';
import { create, remove, T0, update } from './objects.ts';

export interface LoopClusterOptions {
  readonly seed?: number;
  readonly orchestrator?: Partial<OrchestratorConfig>;
  readonly scheduler?: Partial<SchedulerConfig>;
  /** How a container of the task ends once it has started, after how long; undefined: it runs on. */
  readonly fate?: (task: Task, cluster: LoopCluster) => Fate | undefined;
  /** The state that the task's agent does not get it beyond; undefined: it comes up. */
  readonly hangsAt?: (task: Task, cluster: LoopCluster) => TaskState | undefined;
  /** What the checks of a task that comes up say of it; undefined: it has none. */
  readonly isReady?: (task: Task, cluster: LoopCluster) => boolean | undefined;
}

export interface Fate {
  readonly afterMs: number;
  readonly state: TaskState;
  readonly exitCode?: number;
}

/** States through which an agent takes a task, one per round. */
const STEPS: readonly TaskState[] = [
  TaskState.ASSIGNED,
  TaskState.ACCEPTED,
  TaskState.PREPARING,
  TaskState.READY,
  TaskState.STARTING,
  TaskState.RUNNING,
];

export class LoopCluster {
  readonly store = new MemoryStore();
  readonly events: StoreEvent[] = [];
  nowMs = T0;
  /** Loops that observe and never act. */
  shadows: readonly Loop[] = [];
  /** Called between each plan and the commit of its groups. */
  interfere: (() => void) | undefined;
  /** Tasks whose container runs, by node: also on nodes that are down. */
  readonly containers = new Map<string, Set<string>>();
  loops: readonly Loop[];
  conflicts = 0;
  readonly #options: LoopClusterOptions;
  #seed: number;

  constructor(options: LoopClusterOptions = {}) {
    this.#options = options;
    this.#seed = options.seed ?? 1;
    this.loops = this.newLoops();
  }

  /** Loops as a new leader makes them, not restored. */
  newLoops(): readonly Loop[] {
    return createLoops({
      random: new SeededRandom(this.#seed++),
      orchestrator: { ...DEFAULT_ORCHESTRATOR_CONFIG, ...this.#options.orchestrator },
      scheduler: { ...DEFAULT_SCHEDULER_CONFIG, ...this.#options.scheduler },
    });
  }

  /** Another manager takes over: its loops know only the store. */
  changeLeader(): void {
    this.loops = this.newLoops();
    for (const loop of this.loops) loop.restore(this.store);
  }

  commit(...changes: readonly Change[]): void {
    const events = this.store.commit(changes, this.nowMs);
    if (events === undefined) throw new Error(`refused: ${JSON.stringify(changes)}`);
    this.#tell(events);
  }

  create<Name extends TableName>(table: Name, object: Tables[Name]): void {
    this.commit(create(table, object));
  }

  /** Writes the object as it is now with other fields. */
  edit<Name extends TableName>(table: Name, id: string, fields: Partial<Tables[Name]>): void {
    const object = this.store.get(table, id);
    if (object === undefined) throw new Error(`no ${table} ${id}`);
    this.commit(update(table, { ...object, ...fields }));
  }

  remove(table: Change['table'], id: string): void {
    const object = this.store.get(table, id);
    if (object !== undefined) this.commit(remove(table, object));
  }

  setNodeState(id: string, state: NodeState): void {
    const node = this.store.get('node', id) as Node;
    this.edit('node', id, { status: { ...node.status, state, sinceMs: this.nowMs } as Node['status'] });
  }

  tasks(serviceId?: string): readonly Task[] {
    return [...this.store.all('task')].filter((task) => serviceId === undefined || task.serviceId === serviceId);
  }

  /** Tasks that are meant to run. */
  wanted(serviceId?: string): readonly Task[] {
    return this.tasks(serviceId).filter((task) => task.desiredState <= TaskState.COMPLETE);
  }

  running(serviceId?: string): readonly Task[] {
    return this.wanted(serviceId).filter((task) => task.status?.state === TaskState.RUNNING);
  }

  /** Every loop plans and commits until none has anything to say. */
  settle(): number {
    let total = 0;
    for (let round = 0; round < 1000; round++) {
      let changes = 0;
      for (const loop of this.loops) changes += this.#turn(loop);
      if (changes === 0) return total;
      total += changes;
    }
    throw new Error('the loops do not come to rest');
  }

  /** When a loop wants to be asked again; undefined for never. To be called when settled. */
  wakeAtMs(loops = this.loops): number | undefined {
    const times = loops.map((loop) => loop.plan(this.store, this.nowMs).wakeAtMs).filter((atMs) => atMs !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Loops and agents work, time passes, until nothing happens any more or the time is over. */
  run(forMs = 600_000): void {
    const untilMs = this.nowMs + forMs;
    for (let round = 0; round < 20_000; round++) {
      const moved = this.settle() + this.stepAgents();
      if (moved > 0) continue;
      const nextMs = Math.min(...[this.wakeAtMs(), this.#nextFateMs()].filter((atMs) => atMs !== undefined));
      if (nextMs > untilMs) {
        this.nowMs = untilMs;
        return;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
    }
    throw new Error('no rest in sight');
  }

  /** Every agent that can be reached, of those chosen, takes one step with each of its tasks. Gives the number of reports. */
  stepAgents(isChosen: (node: Node) => boolean = () => true): number {
    let reports = 0;
    for (const node of this.store.all('node')) {
      const state = node.status?.state;
      if (state !== NodeState.READY || !isChosen(node)) continue;
      const containers = this.containers.get(node.id) ?? new Set();
      this.containers.set(node.id, containers);
      for (const id of containers) if (this.store.get('task', id)?.nodeId !== node.id) containers.delete(id);
      for (const task of [...this.store.tasksOfNode(node.id)]) if (this.#stepTask(task, containers)) reports++;
    }
    for (const id of this.containers.keys()) if (this.store.get('node', id) === undefined) this.containers.delete(id);
    return reports;
  }

  report(task: Task, state: TaskState, fields: Partial<TaskStatus> = {}): void {
    const status = TaskStatus.create({ ...task.status, state, timestampMs: this.nowMs, error: '', ...fields });
    this.commit(update('task', { ...task, status }));
  }

  /** The container of the task ends by itself. */
  fail(task: Task, exitCode = 1): void {
    this.containers.get(task.nodeId)?.delete(task.id);
    const container = ContainerStatus.create({ ...task.status?.container, exitCode });
    this.report(task, TaskState.FAILED, { container, error: `task: non-zero exit (${exitCode})` });
  }

  /** The checks of a running task say something new of it. */
  setReady(task: Task, ready: boolean, message = ''): void {
    const state = ready ? HealthState.HEALTHY : HealthState.UNHEALTHY;
    const readySinceMs = ready ? this.nowMs : 0;
    const health = TaskHealth.create({ ...task.status?.health, state, ready, message, readySinceMs });
    this.report(task, TaskState.RUNNING, { timestampMs: task.status?.timestampMs ?? 0, health });
  }

  #turn(loop: Loop): number {
    const plan = loop.plan(this.store, this.nowMs);
    if (plan.changes.length > 0) this.interfere?.();
    for (const group of plan.changes) {
      const events = this.store.commit(group, this.nowMs);
      if (events === undefined) this.conflicts++;
      else this.#tell(events);
    }
    return plan.changes.length + (plan.more === true ? 1 : 0);
  }

  #tell(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      for (const loop of this.loops) loop.observe(event);
      for (const loop of this.shadows) loop.observe(event);
    }
  }

  #stepTask(task: Task, containers: Set<string>): boolean {
    const state = task.status?.state ?? TaskState.NEW;
    if (state < TaskState.ASSIGNED || state > TaskState.RUNNING) return false;
    if (task.desiredState > TaskState.COMPLETE) {
      containers.delete(task.id);
      this.report(task, TaskState.SHUTDOWN);
      return true;
    }
    if (state === TaskState.RUNNING) return this.#meetFate(task, containers);
    if (state >= TaskState.READY && task.desiredState < TaskState.RUNNING) return false;
    if (state === this.#options.hangsAt?.(task, this)) return false;
    const next = STEPS[STEPS.indexOf(state) + 1] as TaskState;
    if (next === TaskState.RUNNING) containers.add(task.id);
    const container = ContainerStatus.create({ containerId: task.id, startedAtMs: this.nowMs });
    this.report(
      task,
      next,
      next === TaskState.RUNNING ? { container, runningAtMs: this.nowMs, ...this.#firstHealth(task) } : {},
    );
    return true;
  }

  #firstHealth(task: Task): Partial<TaskStatus> {
    const ready = this.#options.isReady?.(task, this);
    if (ready === undefined) return {};
    const state = ready ? HealthState.HEALTHY : HealthState.STARTING;
    return { health: TaskHealth.create({ state, ready, readySinceMs: ready ? this.nowMs : 0 }) };
  }

  #meetFate(task: Task, containers: Set<string>): boolean {
    const fate = this.#options.fate?.(task, this);
    const dueMs = this.#dueMs(task, fate);
    if (fate === undefined || dueMs === undefined || dueMs > this.nowMs) return false;
    containers.delete(task.id);
    const exitCode = fate.exitCode ?? (fate.state === TaskState.COMPLETE ? 0 : 1);
    const container = ContainerStatus.create({ ...task.status?.container, exitCode });
    const error = fate.state === TaskState.COMPLETE ? '' : `task: non-zero exit (${exitCode})`;
    this.report(task, fate.state, { container, error });
    return true;
  }

  #dueMs(task: Task, fate: Fate | undefined): number | undefined {
    return fate === undefined ? undefined : (task.status?.container?.startedAtMs ?? 0) + fate.afterMs;
  }

  #nextFateMs(): number | undefined {
    let nextMs: number | undefined;
    if (this.#options.fate === undefined) return undefined;
    for (const task of this.store.all('task')) {
      const node = this.store.get('node', task.nodeId);
      if (task.status?.state !== TaskState.RUNNING || node?.status?.state !== NodeState.READY) continue;
      const dueMs = this.#dueMs(task, this.#options.fate(task, this));
      if (dueMs !== undefined && dueMs > this.nowMs) nextMs = Math.min(nextMs ?? dueMs, dueMs);
    }
    return nextMs;
  }
}
