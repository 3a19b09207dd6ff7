/**
 * Goal: a reader of events gets every one that it asks for, once, in order, from where it was, and is told when some are
 * missing. Method: a store upon a log in memory whose table holds few events, read from every version.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ListEventsRequest } from '#gen/swarm/v1/events.ts';
import { Cluster, type Event } from '#gen/swarm/v1/objects.ts';
import { eventRecorder } from '#manager/events/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { listEvents } from '#manager/watch/index.ts';
import { type Member, SimulatedCluster } from '#test/manager/replicated-store/simulated-log.ts';
import { service, task } from '#test/manager/store/support.ts';

const KEPT = 6;
const CLIENT = 'client/9kx0000000000000000000000/192.0.2.7:1/ci';

class World {
  readonly cluster = new SimulatedCluster(2);
  readonly stores = this.cluster.members.map(
    (log, index) =>
      new ReplicatedStore({
        log,
        logger: silentLogger,
        random: new SeededRandom(index),
        recorder: eventRecorder(KEPT),
      }),
  );

  get store(): ReplicatedStore {
    return this.stores[0] as ReplicatedStore;
  }

  async start(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.start()));
    await this.#done(
      this.store.commit([{ kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel: 5 }) }]),
    );
  }

  async service(name: string, author = ''): Promise<void> {
    await this.#done(this.store.commit([{ kind: 'create', table: 'service', object: service(name) }], { author }));
  }

  async task(id: string): Promise<void> {
    await this.#done(this.store.commit([{ kind: 'create', table: 'task', object: task(id) }]));
  }

  async #done(work: Promise<void>): Promise<void> {
    this.cluster.commit(1000);
    (this.cluster.members[0] as Member).applyUpTo(100_000);
    await work;
  }
}

const names = (events: readonly Event[]): readonly string[] => events.map(({ subjectName }) => subjectName);

describe('list of events', () => {
  let world: World;
  beforeEach(async () => {
    world = new World();
    await world.start();
  });

  async function listed(request: Partial<ListEventsRequest>, store = world.store) {
    const all: Event[] = [];
    let version = 0;
    let gap = false;
    const pages = listEvents(store, ListEventsRequest.create(request), new AbortController().signal);
    for await (const page of pages) {
      all.push(...page.events);
      version = page.version;
      gap ||= page.gap;
    }
    return { all, version, gap };
  }

  it('goes on from every version: nothing twice, and a gap exactly where something is missing', async () => {
    const told: { readonly version: number; readonly name: string }[] = [];
    for (let number = 1; number <= 10; number++) {
      await world.service(`s${number}`);
      told.push({ version: world.store.view().version, name: `s${number}` });
      await world.task(`t${number}`);
    }
    for (let after = 1; after <= world.store.view().version; after++) {
      const { all, gap } = await listed({ afterVersion: after });
      const later = told.filter(({ version }) => version > after).map(({ name }) => name);
      assert.deepEqual(names(all), later.slice(-KEPT), `after ${after}`);
      assert.equal(gap, later.length > KEPT, `after ${after}`);
    }
    const { all, gap, version } = await listed({});
    assert.deepEqual([names(all).length, gap, version], [KEPT, false, told.at(-1)?.version]);
  });

  it('follows without a gap or a repetition, from what is kept or from now on', async () => {
    await world.service('a');
    const interrupted = new AbortController();
    const followed = async (request: Partial<ListEventsRequest>): Promise<readonly string[]> => {
      const all: Event[] = [];
      const whole = ListEventsRequest.create({ follow: true, ...request });
      for await (const page of listEvents(world.store, whole, interrupted.signal)) all.push(...page.events);
      return names(all);
    };
    const everything = followed({ types: ['service'] });
    const news = followed({ types: ['service'], onlyNew: true });
    await new Promise(setImmediate);
    for (const name of ['b', 'c', 'd']) await world.service(name);
    await new Promise(setImmediate);
    interrupted.abort();
    assert.deepEqual(await everything, ['a', 'b', 'c', 'd']);
    assert.deepEqual(await news, ['b', 'c', 'd']);
  });

  it('goes on when a snapshot took the place of the state', async () => {
    const follower = world.stores[1] as ReplicatedStore;
    const member = world.cluster.members[1] as Member;
    member.applyUpTo(100_000);
    const interrupted = new AbortController();
    const all: Event[] = [];
    const request = ListEventsRequest.create({ follow: true, types: ['service'] });
    const reading = (async () => {
      for await (const page of listEvents(follower, request, interrupted.signal)) all.push(...page.events);
    })();
    await new Promise(setImmediate);
    await world.service('a');
    await world.service('b');
    await member.installSnapshotOf(world.cluster.members[0] as Member);
    await world.service('c');
    member.applyUpTo(100_000);
    await new Promise(setImmediate);
    interrupted.abort();
    await reading;
    assert.deepEqual(names(all), ['a', 'b', 'c']);
  });

  it('gives what every filter lets through', async () => {
    await world.service('web', CLIENT);
    await world.service('db');
    const cases: readonly (readonly [Partial<ListEventsRequest>, readonly string[]])[] = [
      [{ types: ['service'] }, ['web', 'db']],
      [{ types: ['cluster'] }, ['']],
      [{ types: ['service'], actions: ['update'] }, []],
      [{ subjects: ['db', 'web'] }, ['web', 'db']],
      [{ subjects: ['nothing'] }, []],
      [{ actors: ['ci'] }, ['web']],
      [{ actors: ['9kx00000'] }, ['web']],
      [{ actors: ['9kx'] }, []],
      [{ actors: ['swarm'], types: ['service'] }, ['db']],
      [{ sinceMs: Date.now() + 60_000 }, []],
      [{ untilMs: 1 }, []],
    ];
    for (const [request, expected] of cases)
      assert.deepEqual(names((await listed(request)).all), expected, JSON.stringify(request));
  });

  it('refuses what no event can be, and versions that have not come', async () => {
    const refused: readonly (readonly [Partial<ListEventsRequest>, string])[] = [
      [{ types: ['nodes'] }, 'types'],
      [{ actions: ['explode'] }, 'actions'],
      [{ subjects: Array.from({ length: 101 }, () => 'x') }, 'subjects'],
      [{ afterVersion: 9999 }, 'after_version'],
    ];
    for (const [request, field] of refused)
      await assert.rejects(listed(request), (error) => error instanceof SwarmError && error.field === field);
  });
});
