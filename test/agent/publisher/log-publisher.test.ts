/**
 * Goal: logs are asked for at the manager that the session is with, and soon after every change of it. Method: the real
 * publisher under a manual clock; brokers that the test scripts.
 */
import assert from 'node:assert/strict';
import { SimulatedExecutor, SimulatedHost } from '#agent/executor/index.ts';
import { type BrokerConnection, type BrokerLink, LogPublisher } from '#agent/publisher/index.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import type { ListenSubscriptionsResponse } from '#gen/swarm/v1/logs.ts';

async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}

class World {
  readonly clock = new ManualClock();
  /** Managers at which the publisher listens now, and all at which it ever did. */
  readonly listening = new Set<string>();
  readonly asked: string[] = [];
  link: BrokerLink | undefined;
  session = new AbortController();
  readonly publisher: LogPublisher;

  constructor() {
    this.publisher = new LogPublisher({
      connect: () => this.link,
      executor: new SimulatedExecutor(this.clock, new SimulatedHost()),
      serviceOf: () => 's',
      nodeId: 'n',
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
    });
    this.publisher.start();
  }

  /** A session stands with the manager. */
  async connect(name: string, refuses = false): Promise<void> {
    this.session = new AbortController();
    this.link = { broker: this.#broker(name, refuses), ended: this.session.signal };
    this.publisher.connected();
    await settle();
  }

  async disconnect(): Promise<void> {
    this.link = undefined;
    this.session.abort();
    await settle();
  }

  #broker(name: string, refuses: boolean): BrokerConnection {
    const { listening, asked } = this;
    return {
      listen: async function* (signal): AsyncGenerator<ListenSubscriptionsResponse> {
        asked.push(name);
        if (refuses) throw new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'a follower' });
        listening.add(name);
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        listening.delete(name);
        yield* [];
      },
      publish: () => Promise.resolve(),
    };
  }
}

describe('log publisher', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.publisher.close());

  it('listens where the session is, without a pause, and nowhere else', async () => {
    await world.connect('a');
    assert.deepEqual([...world.listening], ['a']);
    await world.disconnect();
    assert.deepEqual([...world.listening], []);
    await world.connect('b');
    assert.deepEqual([...world.listening], ['b']);
    assert.equal(world.clock.monotonic(), 0);
  });

  it('is not held up by pauses that grew while there was no session', async () => {
    for (let step = 0; step < 100; step++) {
      world.clock.advance(200);
      await settle();
    }
    await world.connect('a');
    assert.deepEqual([...world.listening], ['a']);
  });

  it('asks a manager that refuses again, with growing pauses', async () => {
    await world.connect('a', true);
    for (let step = 0; step < 50; step++) {
      world.clock.advance(200);
      await settle();
    }
    assert.ok(world.asked.length > 3 && world.asked.length < 10, String(world.asked.length));
  });

  it('ends while it listens', async () => {
    await world.connect('a');
    await world.publisher.close();
    assert.deepEqual([...world.listening], []);
  });
});
