/**
 * A swarm of three managers and three nodes whose clocks go apart, with one service of one task that stops without
 * managers. Real: dispatchers, loops, heartbeats, guards. Simulated: the store (one for all, written by the leader only),
 * links that carry nothing in one direction or both, processes that are stopped or killed, hosts that sleep or lose
 * their power.
 */
import { WORKER_DEFAULTS } from '#agent/worker/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { type Random, randomInt, SeededRandom } from '#common/random.ts';
import type { SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { Cluster, NodeState } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, ContainerSpec, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { isLost, overhang } from '#manager/orchestrator/index.ts';
import type { Loop } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, service, spec } from '#test/manager/loops/objects.ts';
import { DriftingClock } from './drifting-clock.ts';
import { SimAgent, type SimNetwork, type SimStream } from './sim-agent.ts';

export const LIMIT_MS = 12_000;
const STOP_GRACE_MS = 4000;
const STEP_MS = 100;
const NODES = ['n1', 'n2', 'n3'];
const MANAGERS = 3;
/** A leader that lost its majority knows it after two election timeouts. */
const STALE_MS = 2000;
/** What a host that wakes up takes to stop what must not go on: a look of its guard, and the grace period. */
const NOTICED_MS = (WORKER_DEFAULTS.guardLookMs + STOP_GRACE_MS + 500) * 1.06;
/** Of what a message takes; less than this where it is delivered at all. */
const DELAY_MS = 400;

interface Manager {
  readonly clock: DriftingClock;
  readonly dispatcher: Dispatcher;
  /** Ends the belief to lead, in true time; Infinity for the leader. */
  leadsUntilMs: number;
  pausedUntilMs: number;
  /** What comes while the process is stopped. */
  inbox: (() => void)[];
}

interface Message {
  readonly dueMs: number;
  readonly deliver: () => void;
}

/** From -5 % to +5 %, the ends more often. */
function rateOf(random: Random): number {
  const spread = Math.max(-1, Math.min(1, (random.next() * 2 - 1) * 1.5));
  return 1 + 0.05 * spread;
}

export class SingletonWorld implements SimNetwork {
  readonly managers = MANAGERS;
  readonly cluster = new LoopCluster();
  readonly agents: readonly SimAgent[];
  readonly random: Random;
  nowMs = 0;
  /** The most that ran at a time. */
  most = 0;
  /** When a node that ran something could have been removed without force; undefined: never. */
  removable: string | undefined;
  #leader = 0;
  readonly #managers: readonly Manager[];
  #messages: Message[] = [];
  /** Per node: until when nothing gets from it, and to it. */
  readonly #cutFrom = new Map<string, number>();
  readonly #cutTo = new Map<string, number>();
  readonly #wakeMs = new Map<SimAgent, number>();
  /** Until when hosts sleep, or slept, and what came for them meanwhile. */
  readonly #sleepers = new Map<SimAgent, { untilMs: number; inbox: (() => void)[] }>();
  #changed = true;
  #revision = 1;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.#managers = Array.from({ length: MANAGERS }, (_, number) => this.#newManager(number));
    this.agents = NODES.map(
      (id) => new SimAgent(id, new DriftingClock(rateOf(this.random)), this.random, this, STOP_GRACE_MS),
    );
    const { cluster } = this;
    cluster.shadows = [this.#dispatching()];
    cluster.create('cluster', Cluster.create({ id: 'c', featureLevel: 5, spec: ClusterSpec.create() }));
    for (const id of NODES) {
      const one = node(id);
      const description = one.description === undefined ? undefined : { ...one.description, featureLevel: 5 };
      cluster.create('node', { ...one, description });
    }
    const declared = this.#spec(1, 'image:1');
    cluster.create('service', service('web', declared));
    cluster.create('revision', revision('web', 1, declared));
    this.#managers[0]?.dispatcher.start(cluster.store);
  }

  async start(): Promise<void> {
    for (const agent of this.agents) await agent.start();
  }

  async run(trueMs: number): Promise<void> {
    for (let passed = 0; passed < trueMs; passed += STEP_MS) await this.#step();
  }

  /** Of hosts that sleep, or have just woken up, nothing counts: until their daemons have noticed, nobody can stop it. */
  get running(): number {
    return this.#awake.reduce((count, { containers }) => count + containers.size, 0);
  }

  get #awake(): readonly SimAgent[] {
    return this.agents.filter((agent) => this.nowMs >= (this.#sleepers.get(agent)?.untilMs ?? 0) + NOTICED_MS);
  }

  /** One thing goes wrong, or is asked for. */
  happen(): string {
    const { random } = this;
    const agent = this.agents[randomInt(random, NODES.length)] as SimAgent;
    const forMs = random.next() * random.next() * 120_000;
    const what = randomInt(random, 12);
    if (this.#isAsleep(agent) && what >= 6) return 'nothing';
    switch (what) {
      case 0:
      case 1:
        this.#cutFrom.set(agent.id, this.nowMs + forMs);
        this.#cutTo.set(agent.id, this.nowMs + forMs);
        return `cut ${agent.id} ${forMs}`;
      case 2:
        this.#cutFrom.set(agent.id, this.nowMs + forMs);
        return `mute ${agent.id} ${forMs}`;
      case 3:
        this.#cutTo.set(agent.id, this.nowMs + forMs);
        return `deafen ${agent.id} ${forMs}`;
      case 4:
        this.#lead(this.nowMs + random.next() * STALE_MS);
        return 'lead';
      case 5:
        return this.#stopLeader(random.next() * 30_000);
      case 6:
        agent.kill();
        // Whatever starts daemons anew does so within seconds.
        this.#wakeMs.set(agent, this.nowMs + random.next() * 8000);
        return `kill ${agent.id}`;
      case 7:
        agent.powerOff();
        this.#wakeMs.set(agent, this.nowMs + forMs);
        return `power ${agent.id}`;
      case 8: {
        const clock = (this.#managers[randomInt(random, MANAGERS)] as Manager).clock;
        clock.setWall(clock.now() + (random.next() - 0.5) * 2 * 3_600_000);
        agent.clock.setWall(agent.clock.now() + (random.next() - 0.5) * 2 * 3_600_000);
        return 'clocks';
      }
      case 9:
        agent.fail();
        return `fail ${agent.id}`;
      case 10:
        this.#sleepers.set(agent, { untilMs: this.nowMs + forMs, inbox: [] });
        return `sleep ${agent.id} ${forMs}`;
      default:
        return this.#declare();
    }
  }

  /** Everything is well again, and stays so. */
  heal(): void {
    this.#cutFrom.clear();
    this.#cutTo.clear();
    for (const sleeper of this.#sleepers.values()) sleeper.untilMs = Math.min(sleeper.untilMs, this.nowMs);
    for (const agent of this.#wakeMs.keys()) this.#wakeMs.set(agent, this.nowMs);
    this.#declareSpec(this.#spec(1, 'image:last'));
  }

  stop(): void {
    for (const { dispatcher } of this.#managers) dispatcher.stop('it is over');
    for (const agent of this.agents) agent.kill();
  }

  dial(agent: SimAgent, number: number, hear: (message: SessionResponse) => void): SimStream {
    const manager = this.#managers[number] as Manager;
    let closed = false;
    let session: DispatcherSession | undefined;
    const toAgent = this.#way(() => (this.#cutTo.get(agent.id) ?? 0) > this.nowMs);
    const toManager = this.#way(() => (this.#cutFrom.get(agent.id) ?? 0) > this.nowMs);
    const back = (message: SessionResponse): void =>
      toAgent(() => {
        const deliver = (): void => {
          if (!closed && agent.isUp) hear(message);
        };
        if (this.#isAsleep(agent)) this.#sleepers.get(agent)?.inbox.push(deliver);
        else deliver();
      });
    const receive = (request: SessionRequest): void => {
      if (closed) return;
      if (request.message?.kind !== 'hello') {
        if (session !== undefined) manager.dispatcher.receive(session, request);
        return;
      }
      try {
        const output = { send: back, end: () => {} };
        session = manager.dispatcher.open(agent.id, request.message.value, '', output);
      } catch (thrown) {
        if (!(thrown instanceof SwarmError) || thrown.reason !== 'not-leader') throw thrown;
      }
    };
    return {
      send: (request) =>
        toManager(() => {
          if (this.#isPaused(manager)) manager.inbox.push(() => receive(request));
          else receive(request);
        }),
      close: () => {
        closed = true;
        if (session !== undefined && !this.#isPaused(manager)) manager.dispatcher.closed(session);
      },
    };
  }

  #newManager(number: number): Manager {
    const clock = new DriftingClock(rateOf(this.random));
    const decide: ConstructorParameters<typeof Dispatcher>[0]['store']['decide'] = async (change) => {
      await Promise.resolve();
      if (this.#leader !== number) throw new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'no' });
      const changes = change(this.cluster.store);
      this.cluster.nowMs = clock.now();
      if (changes.length > 0) this.cluster.commit(...changes);
    };
    const dispatcher = new Dispatcher({
      store: { view: () => this.cluster.store, decide },
      managers: () => [],
      clock,
      random: this.random,
      logger: silentLogger,
      config: DISPATCHER_DEFAULTS,
    });
    return { clock, dispatcher, leadsUntilMs: number === 0 ? Infinity : 0, pausedUntilMs: 0, inbox: [] };
  }

  /** The leader's dispatcher follows commits; one that only thinks that it leads hears of none. */
  #dispatching(): Loop {
    return {
      name: 'dispatcher',
      restore: () => {},
      observe: (event) => {
        this.#changed = true;
        const { store } = this.cluster;
        const timeMs = this.cluster.nowMs;
        this.#managers[this.#leader]?.dispatcher.observe({ version: store.version, timeMs, events: [event] }, store);
      },
      plan: () => ({ changes: [], wakeAtMs: undefined }),
    };
  }

  #isAsleep(agent: SimAgent): boolean {
    return (this.#sleepers.get(agent)?.untilMs ?? 0) > this.nowMs;
  }

  #isPaused({ pausedUntilMs }: Manager): boolean {
    return pausedUntilMs > this.nowMs;
  }

  /** One direction of a stream: what is sent comes in order, or, while it is cut, not at all. */
  #way(isCut: () => boolean): (deliver: () => void) => void {
    let lastMs = 0;
    return (deliver) => {
      if (isCut()) return;
      lastMs = Math.max(lastMs, this.nowMs + this.random.next() * DELAY_MS);
      this.#messages.push({ dueMs: lastMs, deliver });
    };
  }

  /** Another manager leads; the one before believes for a while that it still does. */
  #lead(staleUntilMs: number): void {
    const before = this.#managers[this.#leader] as Manager;
    before.leadsUntilMs = staleUntilMs;
    this.#leader = (this.#leader + 1 + randomInt(this.random, MANAGERS - 1)) % MANAGERS;
    const manager = this.#managers[this.#leader] as Manager;
    manager.leadsUntilMs = Infinity;
    manager.pausedUntilMs = 0;
    this.cluster.nowMs = manager.clock.now();
    this.cluster.changeLeader();
    manager.dispatcher.start(this.cluster.store);
  }

  /** As SIGSTOP does; the others elect another one meanwhile. */
  #stopLeader(forMs: number): string {
    const leader = this.#managers[this.#leader] as Manager;
    leader.pausedUntilMs = this.nowMs + forMs;
    if (forMs > 1500) this.#lead(leader.pausedUntilMs + 500);
    return `stop leader ${forMs}`;
  }

  #spec(replicas: number, image: string): ServiceSpec {
    const container = ContainerSpec.create({ image, stopGracePeriodMs: STOP_GRACE_MS });
    return spec({ name: 'web', replicas, task: { container, stopAfterDisconnectMs: LIMIT_MS } });
  }

  #declare(): string {
    const replicas = randomInt(this.random, 3) === 0 ? 0 : 1;
    this.#declareSpec(this.#spec(replicas, `image:${randomInt(this.random, 1e6)}`));
    return `declare ${replicas}`;
  }

  #declareSpec(declared: ServiceSpec): void {
    this.#revision++;
    this.cluster.create('revision', revision('web', this.#revision, declared));
    this.cluster.edit('service', 'web', { spec: declared, revision: this.#revision });
  }

  async #step(): Promise<void> {
    this.nowMs += STEP_MS;
    for (const manager of this.#managers) this.#passManager(manager);
    for (const agent of this.agents) {
      if (this.#isAsleep(agent)) {
        agent.sleep(STEP_MS);
        continue;
      }
      // What had come is read before it is noticed how late it is.
      for (const deliver of this.#sleepers.get(agent)?.inbox.splice(0) ?? []) deliver();
      agent.clock.pass(STEP_MS);
      const wakeMs = this.#wakeMs.get(agent);
      if (wakeMs !== undefined && wakeMs <= this.nowMs) {
        this.#wakeMs.delete(agent);
        if (!agent.isUp) await agent.start();
      }
      agent.step();
    }
    const due = this.#messages.filter(({ dueMs }) => dueMs <= this.nowMs).sort((a, b) => a.dueMs - b.dueMs);
    this.#messages = this.#messages.filter(({ dueMs }) => dueMs > this.nowMs);
    for (const { deliver } of due) deliver();
    for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve));
    this.#plan();
    this.most = Math.max(this.most, this.running);
    for (const { id, containers } of this.#awake)
      if (containers.size > 0 && this.#isRemovable(id)) this.removable ??= `${id} at ${this.nowMs}`;
  }

  /** As `node rm` decides, pruning and cleanup: nobody would wait for what runs there. */
  #isRemovable(id: string): boolean {
    const found = this.cluster.store.get('node', id);
    return found !== undefined && isLost(found) && overhang(found, this.cluster.store) === undefined;
  }

  #passManager(manager: Manager): void {
    if (this.#isPaused(manager)) {
      manager.clock.standStill(STEP_MS);
      return;
    }
    manager.clock.pass(STEP_MS);
    const waiting = manager.inbox;
    manager.inbox = [];
    for (const deliver of waiting) deliver();
    if (manager.leadsUntilMs <= this.nowMs && manager.leadsUntilMs > 0) {
      manager.leadsUntilMs = 0;
      manager.dispatcher.stop('another manager leads');
    }
  }

  #plan(): void {
    const leader = this.#managers[this.#leader] as Manager;
    if (this.#isPaused(leader)) return;
    this.cluster.nowMs = leader.clock.now();
    const wakeAtMs = this.#changed ? 0 : this.cluster.wakeAtMs();
    if (wakeAtMs === undefined || wakeAtMs > this.cluster.nowMs) return;
    this.#changed = false;
    this.cluster.settle();
  }

  /** For messages of failures. */
  get states(): string {
    const names = Object.entries(NodeState);
    const nodes = [...this.cluster.store.all('node')].map(
      ({ id, status }) => `${id} ${names.find(([, value]) => value === status?.state)?.[0]} ${status?.silentMs}`,
    );
    const tasks = this.cluster
      .tasks('web')
      .map(({ id, nodeId, desiredState, status }) => `${id} on ${nodeId}: ${status?.state}, wanted ${desiredState}`);
    return [...nodes, ...tasks].join('\n');
  }
}
