/**
 * A node of the simulation: containers that live on without their daemon, and a daemon with the real heartbeats, guard and
 * assignments. Stopping takes its time; what stopped is said in the session, or in the next one.
 */
import { MemoryDatabase } from '#agent/database/index.ts';
import { Heartbeat } from '#agent/session/heartbeat.ts';
import { SESSION_DEFAULTS } from '#agent/session/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { AssignmentCollector, type AssignmentStep, DisconnectGuard, WORKER_DEFAULTS } from '#agent/worker/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { type Random, randomInt } from '#common/random.ts';
import {
  AgentHello,
  type SessionRequest,
  SessionRequest as SessionRequestCodec,
  type SessionResponse,
} from '#gen/swarm/v1/dispatcher.ts';
import { type Revision, type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { DriftingClock } from './drifting-clock.ts';

export interface SimStream {
  send(message: SessionRequest): void;
  close(): void;
}

export interface SimNetwork {
  readonly managers: number;
  /** Opens a stream; what comes is handed to `hear` until the stream is closed. */
  dial(agent: SimAgent, manager: number, hear: (message: SessionResponse) => void): SimStream;
}

interface LocalTask {
  readonly task: Task;
  readonly revision: Revision;
  state: TaskState;
  /** Told to stop, and durably so. */
  stopping: boolean;
  /** When what was begun is over, on the agent's clock. */
  nextMs: number;
}

const PREPARE_MS = 1500;
const RETRY_MS = 500;

export class SimAgent {
  readonly id: string;
  readonly clock: DriftingClock;
  /** What runs on the host, whether its daemon does or not. */
  readonly containers = new Set<string>();
  readonly #random: Random;
  readonly #network: SimNetwork;
  readonly #stopGraceMs: number;
  #database = new MemoryDatabase();
  /** Durable: agent.db. */
  #tasks = new Map<string, LocalTask>();
  readonly #revisions = new Map<string, Revision>();
  #bootId = 0;
  #sleptMs = 0;
  #guard: DisconnectGuard | undefined;
  #heart: Heartbeat | undefined;
  #stream: SimStream | undefined;
  #established = false;
  #collector = new AssignmentCollector();
  #lastHeardMs = 0;
  #retryAtMs = 0;
  #next: number;
  #batch = 0;
  /** Tasks go on whatever their limit. The check of the check. */
  ignoresLimits = false;

  constructor(id: string, clock: DriftingClock, random: Random, network: SimNetwork, stopGraceMs: number) {
    this.id = id;
    this.clock = clock;
    this.#random = random;
    this.#network = network;
    this.#stopGraceMs = stopGraceMs;
    this.#next = randomInt(random, network.managers);
  }

  get isUp(): boolean {
    return this.#heart !== undefined;
  }

  async start(): Promise<void> {
    const { clock } = this;
    this.#guard = new DisconnectGuard({
      assignments: () => this.#assignments(),
      stop: (taskId) => this.#stop(taskId),
      database: this.#database,
      clock,
      // It goes on while the daemon is away.
      bootClock: { bootId: String(this.#bootId), nowMs: () => this.#bootNowMs },
      logger: silentLogger,
      config: WORKER_DEFAULTS,
    });
    this.#guard.start((await this.#database.load()).settings);
    this.#heart = new Heartbeat({
      send: () => this.#say({ kind: 'heartbeat', value: {} }),
      signs: { nowMs: () => this.#bootNowMs, heard: (atMs) => this.#guard?.heard(atMs) },
      clock,
      random: this.#random,
    });
    for (const [id, local] of this.#tasks) {
      const isOverdue = this.#guard.overdue(assignmentOf(local)) !== undefined;
      if (isOverdue && !this.ignoresLimits) this.#stop(id);
      // Where it was in its life is not known; what runs goes on running.
      if (this.containers.has(id)) local.state = TaskState.RUNNING;
      else if (local.state === TaskState.RUNNING) local.state = TaskState.FAILED;
      local.nextMs = clock.monotonic() + this.#within(local.stopping ? this.#stopGraceMs : PREPARE_MS);
    }
  }

  /** The daemon is killed; containers go on. */
  kill(): void {
    this.#guard?.close();
    this.#disconnect();
    this.#heart = undefined;
  }

  /** The host loses its power: nothing runs any more. */
  powerOff(): void {
    this.kill();
    this.containers.clear();
    this.#bootId++;
  }

  /** The host sleeps for so much true time: nothing on it goes on but its boot clock. */
  sleep(trueMs: number): void {
    this.#sleptMs += trueMs * this.clock.rate;
  }

  get #bootNowMs(): number {
    return this.clock.monotonic() + this.#sleptMs + 1_000_000;
  }

  /** A container ends by itself. */
  fail(): void {
    for (const id of this.containers) {
      this.containers.delete(id);
      const local = this.#tasks.get(id);
      if (local === undefined || !this.isUp) return;
      local.state = TaskState.FAILED;
      this.#report([local]);
      return;
    }
  }

  step(): void {
    if (!this.isUp) return;
    const now = this.clock.monotonic();
    for (const local of this.#tasks.values()) if (local.nextMs <= now) this.#advance(local);
    if (this.#stream === undefined) {
      if (now >= this.#retryAtMs) this.#connect();
    } else if (now - this.#lastHeardMs >= this.#silenceMs) this.#disconnect();
  }

  get #silenceMs(): number {
    if (!this.#established) return SESSION_DEFAULTS.welcomeTimeoutMs;
    return (this.#heart?.periodMs ?? 1000) * SESSION_DEFAULTS.silentPeriods;
  }

  #within(ms: number): number {
    return this.#random.next() * ms;
  }

  #assignments(): readonly TaskAssignment[] {
    if (this.ignoresLimits) return [];
    return [...this.#tasks.values()].filter(({ state }) => state <= TaskState.RUNNING).map(assignmentOf);
  }

  #connect(): void {
    this.#collector = new AssignmentCollector();
    this.#established = false;
    this.#lastHeardMs = this.clock.monotonic();
    this.#next = (this.#next + 1) % this.#network.managers;
    this.#stream = this.#network.dial(this, this.#next, (message) => this.#hear(message));
    this.#heart?.helloSent();
    this.#say({ kind: 'hello', value: AgentHello.create() });
  }

  #disconnect(): void {
    this.#heart?.stop();
    this.#stream?.close();
    this.#stream = undefined;
    this.#retryAtMs = this.clock.monotonic() + RETRY_MS * (1 + this.#random.next());
  }

  #say(message: NonNullable<SessionRequest['message']>): void {
    this.#stream?.send(SessionRequestCodec.create({ message }));
  }

  /** Where something is missing in between, the session starts over. */
  #hear(response: SessionResponse): void {
    try {
      this.#take(response);
    } catch (thrown) {
      if (SwarmError.from(thrown).reason !== 'session-invalid') throw thrown;
      this.#disconnect();
    }
  }

  #take({ message }: SessionResponse): void {
    this.#lastHeardMs = this.clock.monotonic();
    switch (message?.kind) {
      case 'welcome':
        this.#established = true;
        this.#report([...this.#tasks.values()]);
        this.#heart?.begin(message.value.heartbeatPeriodMs);
        return;
      case 'heartbeatAck':
        this.#heart?.answered(message.value.periodMs);
        return;
      case 'assignments': {
        const step = this.#collector.add(message.value);
        if (step === undefined) return;
        this.#heart?.counts();
        this.#apply(step);
        return;
      }
      case 'end':
        this.#disconnect();
        return;
      default:
        return;
    }
  }

  #apply({ complete, changes }: AssignmentStep): void {
    const named = new Set<string>();
    for (const { item } of changes)
      if (item?.kind === 'revision') this.#revisions.set(`${item.value.serviceId}/${item.value.number}`, item.value);
    for (const { item, remove } of changes) {
      if (item?.kind !== 'task') continue;
      if (remove) this.#stop(item.value.id);
      else {
        named.add(item.value.id);
        this.#assign(item.value);
      }
    }
    if (complete) for (const id of this.#tasks.keys()) if (!named.has(id)) this.#stop(id);
  }

  #assign(task: Task): void {
    if (this.#tasks.has(task.id)) {
      if (task.desiredState > TaskState.RUNNING) this.#stop(task.id);
      else if (task.desiredState === TaskState.RUNNING) this.#tasks.set(task.id, { ...this.#taskOf(task.id), task });
      return;
    }
    const revision = this.#revisions.get(`${task.serviceId}/${task.revision}`);
    if (revision === undefined) return;
    const known = task.status?.state ?? TaskState.ASSIGNED;
    // Assigned before this node lost its memory, or its power.
    const state = known >= TaskState.STARTING && known <= TaskState.RUNNING ? TaskState.FAILED : known;
    const nextMs = this.clock.monotonic() + this.#within(PREPARE_MS);
    const local = { task, revision, state, stopping: task.desiredState > TaskState.RUNNING, nextMs };
    this.#tasks.set(task.id, local);
    if (state > TaskState.RUNNING) this.#report([local]);
  }

  #taskOf(id: string): LocalTask {
    const local = this.#tasks.get(id);
    if (local === undefined) throw new Error('asked for');
    return local;
  }

  #stop(id: string): void {
    const local = this.#tasks.get(id);
    if (local === undefined || local.stopping) return;
    local.stopping = true;
    local.nextMs = this.clock.monotonic() + this.#within(this.containers.has(id) ? this.#stopGraceMs : 1);
  }

  #advance(local: LocalTask): void {
    const { id, desiredState } = local.task;
    local.nextMs = Infinity;
    if (local.state > TaskState.RUNNING) return;
    if (local.stopping) {
      this.containers.delete(id);
      local.state = TaskState.SHUTDOWN;
    } else if (local.state === TaskState.RUNNING) return;
    else if (desiredState < TaskState.RUNNING) {
      local.state = TaskState.READY;
      local.nextMs = this.clock.monotonic() + 100;
    } else {
      this.containers.add(id);
      local.state = TaskState.RUNNING;
    }
    this.#report([local]);
  }

  #report(locals: readonly LocalTask[]): void {
    if (!this.#established || locals.length === 0) return;
    const timestampMs = this.clock.now();
    const updates = locals.map(({ task, state }) => {
      const runningAtMs = state >= TaskState.RUNNING ? timestampMs : 0;
      return { taskId: task.id, status: TaskStatus.create({ state, timestampMs, runningAtMs }) };
    });
    this.#say({ kind: 'statuses', value: { batch: ++this.#batch, updates } });
  }
}

function assignmentOf({ task, revision }: LocalTask): TaskAssignment {
  if (revision.spec === undefined) throw new Error('a revision has a spec');
  return { task, spec: revision.spec, node: { id: task.nodeId, hostname: task.nodeId } };
}
