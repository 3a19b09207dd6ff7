/**
 * Goal: an agent follows the leader: at once where it is named, soon where it has to be looked for, and never in circles.
 * Method: the real session under a manual clock; managers are streams that the test scripts, and in the last part the
 * real dispatcher on two managers that take turns.
 */
import assert from 'node:assert/strict';
import { type DispatcherStream, SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import {
  SessionEnd,
  SessionEndReason,
  type SessionRequest,
  SessionResponse,
  SessionWelcome,
} from '#gen/swarm/v1/dispatcher.ts';
import { type ManagerPeer, Node, NodeDescription, NodeState } from '#gen/swarm/v1/objects.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession, redirectAgent } from '#manager/dispatcher/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const NODE = 'n'.repeat(25);

async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) await new Promise((resolve) => setImmediate(resolve));
}

/** How a manager takes an agent. The queue is what the agent hears. */
type Manager = (request: SessionRequest, queue: AsyncQueue<SessionResponse>) => void;

const peer = (address: string): ManagerPeer => ({ nodeId: `id-${address}`, address });

function end(reason: SessionEndReason, leader?: string): SessionResponse {
  const named = leader === undefined ? undefined : peer(leader);
  return { message: { kind: 'end', value: SessionEnd.create({ reason, message: 'test', leader: named }) } };
}

const leads: Manager = (request, queue) => {
  if (request.message?.kind === 'hello')
    queue.offer({
      message: { kind: 'welcome', value: SessionWelcome.create({ sessionId: 's', heartbeatPeriodMs: 1_000 }) },
    });
  else if (request.message?.kind === 'heartbeat')
    queue.offer({ message: { kind: 'heartbeatAck', value: { periodMs: 1_000, certExpiryMs: 0 } } });
};

const names =
  (leader: string | undefined): Manager =>
  (_request, queue) => {
    queue.offer(end(SessionEndReason.NOT_LEADER, leader));
    queue.end();
  };

const silent: Manager = () => {};

/** As silent, and its host does not answer either. */
const gone: Manager = () => {};

const refuses: Manager = (_request, queue) =>
  queue.fail(new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'refused' }));

class Agent {
  readonly clock = new ManualClock();
  readonly managers: Record<string, Manager>;
  readonly dialled: string[] = [];
  readonly broken: string[] = [];
  readonly queues = new Map<string, AsyncQueue<SessionResponse>>();
  readonly session: Session;
  established = 0;
  /** Addresses that it has been told of. */
  known: readonly string[];

  constructor(managers: Record<string, Manager>) {
    this.managers = managers;
    this.known = Object.keys(managers);
    this.session = new Session({
      dial: (address) => this.#dial(address),
      managers: () => this.known,
      addressOf: ({ address }) => address,
      describe: async () => NodeDescription.create({}),
      advertiseAddress: () => '',
      statuses: () => [],
      apply: async () => {},
      onManagers: () => {},
      onNode: () => {},
      onNetworks: () => {},
      onEstablished: () => this.established++,
      onRemoved: () => {},
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: SESSION_DEFAULTS,
    });
  }

  #dial(address: string): DispatcherStream {
    this.dialled.push(address);
    const queue = new AsyncQueue<SessionResponse>(100);
    this.queues.set(address, queue);
    return {
      send: (request) => this.managers[address]?.(request, queue),
      responses: queue,
      hasReached: async () => this.managers[address] !== gone,
      close: (connection) => {
        if (connection === 'broken') this.broken.push(address);
        queue.end();
      },
    };
  }

  async start(): Promise<this> {
    this.session.start();
    await settle();
    return this;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 20) {
      this.clock.advance(Math.min(20, left));
      await settle();
    }
  }

  async close(): Promise<void> {
    await this.session.close();
  }
}

describe('an agent looking for the leader', () => {
  let agent: Agent;
  const start = async (managers: Record<string, Manager>): Promise<Agent> => {
    agent = new Agent(managers);
    return agent.start();
  };
  afterEach(() => agent.close());

  it('goes to the one that is named at once', async () => {
    const { session, dialled, clock } = await start({ a: names('c'), b: silent, c: leads });
    assert.deepEqual([dialled, session.connected, clock.monotonic()], [['a', 'c'], true, 0]);
    assert.equal(session.link?.address, 'c');
  });

  it('also to one that it did not know', async () => {
    agent = new Agent({ a: names('new'), new: leads });
    agent.known = ['a'];
    await agent.start();
    assert.deepEqual(agent.dialled, ['a', 'new']);
    assert.equal(agent.session.link?.address, 'new');
  });

  it('gives managers that are all silent longer and longer, and one that has just led a second', async () => {
    await start({ a: leads, b: silent });
    agent.managers['a'] = silent;
    agent.queues.get('a')?.end();
    await agent.pass(1500);
    assert.deepEqual(agent.broken, ['a'], 'a second where it was');
    const at: number[] = [];
    for (let ms = 0; ms < 120_000; ms += 100) {
      const before = agent.broken.length;
      await agent.pass(100);
      if (agent.broken.length > before) at.push(agent.clock.monotonic());
    }
    const waited = at.map((ms, place) => Math.round((ms - (at[place - 1] ?? ms)) / 5000) * 5);
    assert.deepEqual(waited.slice(1, 4), [10, 20, 40], 'five at first');
    agent.managers['b'] = leads;
    await agent.pass(50_000);
    assert.equal(agent.session.link?.address, 'b');
  }).timeout(60_000);

  it('leaves hosts that are not there soon, and not later for having tried them often', async () => {
    await start({ a: names(undefined), b: gone, c: gone });
    await agent.pass(60_000);
    agent.managers['a'] = leads;
    await agent.pass(6_000);
    assert.equal(agent.session.link?.address, 'a');
    // They are tried after those that are there.
    agent.dialled.length = 0;
    agent.managers['a'] = names(undefined);
    agent.managers['d'] = names(undefined);
    agent.known = ['b', 'c', 'a', 'd'];
    agent.queues.get('a')?.end();
    await agent.pass(60_000);
    assert.match(agent.dialled.slice(8).join(''), /^.{0,3}(?:(?:ad|da)(?:bc|cb)){5}/);
  });

  it('waits for one that is busy although others are not there', async () => {
    await start({ a: silent, b: gone });
    agent.broken.length = 0;
    const waits: string[] = [];
    for (let ms = 0; ms < 100_000; ms += 500) {
      const before = agent.broken.length;
      await agent.pass(500);
      waits.push(
        ...agent.broken.slice(before).map((address) => `${address}@${Math.round(agent.clock.monotonic() / 1000)}`),
      );
    }
    const lastOfA = waits.filter((text) => text.startsWith('a')).map((text) => Number(text.slice(2)));
    const gaps = lastOfA.map((at, place) => at - (lastOfA[place - 1] ?? 0));
    assert.ok(gaps[0] === 5 && (gaps[1] ?? 0) >= 10 && (gaps[2] ?? 0) >= 20, gaps.join());
  });

  it('does not follow managers that name each other, or themselves, for ever', async () => {
    await start({ a: names('b'), b: names('a') });
    assert.deepEqual(agent.dialled, ['a', 'b', 'a', 'b']);
    await agent.pass(10_000);
    assert.ok(agent.dialled.length < 60, String(agent.dialled.length));
    agent.managers['b'] = leads;
    await agent.pass(3_000);
    assert.equal(agent.session.link?.address, 'b');
    await agent.close();
    await start({ a: names('a') });
    assert.deepEqual(agent.dialled, ['a']);
  });

  it('tries all of them before it tries one again', async () => {
    await start({ a: refuses, b: refuses, c: refuses, d: leads });
    await agent.pass(1_500);
    assert.deepEqual(agent.dialled, ['a', 'b', 'c', 'd']);
  });

  it('goes back to the leader when a session breaks, and on when it is not there', async () => {
    await start({ a: names('c'), b: refuses, c: leads });
    agent.queues.get('c')?.end();
    await agent.pass(200);
    assert.deepEqual(agent.dialled, ['a', 'c', 'c']);
    agent.managers['c'] = refuses;
    agent.managers['b'] = leads;
    agent.queues.get('c')?.end();
    await agent.pass(2_000);
    assert.deepEqual(agent.dialled.slice(3), ['c', 'a', 'c', 'b']);
  });

  it('does not wait long where the leader was: its host may have lost its power', async () => {
    await start({ a: leads, b: names('c'), c: leads });
    agent.managers['a'] = silent;
    agent.queues.get('a')?.end();
    await agent.pass(2_000);
    assert.deepEqual(agent.dialled, ['a', 'a', 'b', 'c']);
    assert.equal(agent.established, 2);
  });

  it('does not go back first to one that has given up the lead', async () => {
    await start({ a: leads, b: leads });
    agent.managers['a'] = names(undefined);
    agent.queues.get('a')?.offer(end(SessionEndReason.NOT_LEADER));
    agent.queues.get('a')?.end();
    await agent.pass(1_000);
    assert.equal(agent.session.link?.address, 'b');
  });

  it('tries one that fell silent last, on a new connection', async () => {
    await start({ a: leads, b: refuses, c: refuses });
    agent.managers['a'] = silent;
    await agent.pass(5_000);
    assert.deepEqual(agent.broken, ['a']);
    await agent.pass(1_000);
    assert.deepEqual(agent.dialled, ['a', 'b', 'c', 'a']);
  });

  it('says which manager its session is with, and when that ends', async () => {
    await start({ a: leads });
    const { link } = agent.session;
    assert.deepEqual([link?.address, link?.ended.aborted, agent.established], ['a', false, 1]);
    agent.queues.get('a')?.end();
    await settle();
    assert.equal(link?.ended.aborted, true);
    assert.equal(agent.session.link, undefined);
    await agent.pass(500);
    assert.equal(agent.established, 2);
  });
});

describe('a change of leader', () => {
  /** Two managers on one state; agents that come to the one that does not lead are sent on. */
  class World {
    readonly view = new MemoryView();
    readonly agent: Agent;
    readonly dispatchers: Record<string, Dispatcher>;
    leader: string | undefined;
    /** Every state that the node has had. */
    readonly states: (NodeState | undefined)[] = [];

    constructor() {
      this.view.commit([{ kind: 'create', table: 'node', object: Node.create({ id: NODE }) }]);
      this.agent = new Agent({ a: this.#manager('a'), b: this.#manager('b') });
      const make = (): Dispatcher =>
        new Dispatcher({
          store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
          managers: () => [peer('a'), peer('b')],
          clock: this.agent.clock,
          random: new SeededRandom(1),
          logger: silentLogger,
          config: DISPATCHER_DEFAULTS,
        });
      this.dispatchers = { a: make(), b: make() };
      this.view.onCommit((commit, view) => {
        for (const dispatcher of Object.values(this.dispatchers)) dispatcher.observe(commit, view);
        this.states.push(view.get('node', NODE)?.status?.state);
      });
    }

    #manager(name: string): Manager {
      const sessions = new Map<AsyncQueue<SessionResponse>, DispatcherSession>();
      return (request, queue) => {
        const dispatcher = this.dispatchers[name] as Dispatcher;
        const session = sessions.get(queue);
        const output = { send: (message: SessionResponse) => void queue.offer(message), end: () => queue.end() };
        if (session !== undefined) dispatcher.receive(session, request);
        else if (request.message?.kind !== 'hello') return;
        else if (this.leader === name)
          sessions.set(queue, dispatcher.open(NODE, request.message.value, '10.0.0.1', output));
        else redirectAgent(output, [peer('a'), peer('b')], this.leader === undefined ? undefined : peer(this.leader));
      };
    }

    elect(leader: string | undefined): void {
      if (this.leader !== undefined) this.dispatchers[this.leader]?.stop('the lead has moved');
      this.leader = leader;
      if (leader !== undefined) this.dispatchers[leader]?.start(this.view);
    }

    get state(): NodeState | undefined {
      return this.view.get('node', NODE)?.status?.state;
    }
  }

  it('brings the agent back in a second, and declares no node down, again and again', async () => {
    const world = new World();
    world.elect('a');
    await world.agent.start();
    await world.agent.pass(100);
    assert.equal(world.state, NodeState.READY);
    for (let round = 0; round < 6; round++) {
      world.elect(undefined);
      await world.agent.pass(200 + 700 * round);
      const next = round % 2 === 0 ? 'b' : 'a';
      world.elect(next);
      await world.agent.pass(1_300);
      assert.equal(world.state, NodeState.READY, `round ${round}`);
      assert.equal(world.agent.session.link?.address, next);
      // What the one that leads no more remembers must not come back with its next lead.
      await world.agent.pass(7_000);
    }
    assert.ok(!world.states.includes(NodeState.DOWN));
    await world.agent.close();
    world.elect(undefined);
  });

  it('a leader that comes back does not count the time in which it did not lead', async () => {
    const world = new World();
    world.elect('a');
    await world.agent.start();
    await world.agent.pass(100);
    world.elect('b');
    // The agent is with b; a has not heard of it for long.
    await world.agent.pass(30_000);
    world.elect('a');
    await world.agent.pass(1_300);
    assert.ok(!world.states.includes(NodeState.DOWN));
    assert.equal(world.state, NodeState.READY);
    await world.agent.close();
    world.elect(undefined);
  });
});
