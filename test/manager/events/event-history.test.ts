/**
 * Goal: whatever becomes of managers and their log, the table of events says what happened, once, in order, the same on
 * every member, and no more than it may hold. Method: random scripts of writes and faults on three members; what each
 * writer was told is what the events have to say.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster, type Event } from '#gen/swarm/v1/objects.ts';
import { eventPlace, eventRecorder } from '#manager/events/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { Change } from '#manager/store/index.ts';
import { type Member, SimulatedCluster } from '#test/manager/replicated-store/simulated-log.ts';
import { service, task } from '#test/manager/store/support.ts';

type Step =
  | { readonly kind: 'create' | 'batch' | 'task' | 'update' | 'remove' | 'lose' | 'time-out' | 'commit' }
  | { readonly kind: 'apply' | 'elect' | 'snapshot'; readonly member: number; readonly count: number };

const plain = (kind: Exclude<Step['kind'], 'apply' | 'elect' | 'snapshot'>, weight: number) => ({
  weight,
  arbitrary: fc.constant<Step>({ kind }),
});
const ofMember = (kind: 'apply' | 'elect' | 'snapshot', weight: number) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), member: fc.nat(2), count: fc.nat(4) }) as fc.Arbitrary<Step>,
});

const scripts = fc.array(
  fc.oneof(
    plain('create', 6),
    plain('batch', 2),
    plain('task', 3),
    plain('update', 4),
    plain('remove', 4),
    plain('lose', 1),
    plain('time-out', 1),
    plain('commit', 6),
    ofMember('apply', 8),
    ofMember('elect', 1),
    ofMember('snapshot', 1),
  ),
  { maxLength: 100, size: 'max' },
);

const KEPT = 30;

class World {
  readonly cluster = new SimulatedCluster(3);
  readonly stores: ReplicatedStore[];
  /** What was told: `create web-1`. */
  readonly made: string[] = [];
  readonly unsure = new Set<string>();
  readonly work: Promise<void>[] = [];
  /** Every event that any member saw come, by id. */
  readonly seen = new Map<string, Event>();
  #count = 0;

  constructor(kept: number) {
    this.stores = this.cluster.members.map(
      (log, index) =>
        new ReplicatedStore({
          log,
          logger: silentLogger,
          random: new SeededRandom(index),
          recorder: eventRecorder(kept),
        }),
    );
    for (const store of this.stores)
      store.onCommit(({ events }) => {
        for (const event of events) if (event.table === 'event' && event.kind === 'create') this.#saw(event.object);
      });
  }

  get leading(): ReplicatedStore {
    return this.stores[this.cluster.members.indexOf(this.cluster.leader)] as ReplicatedStore;
  }

  async start(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.start()));
    this.#write('create cluster', () => [
      { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c1', featureLevel: 5 }) },
    ]);
    await this.settle();
  }

  step(step: Step): void | Promise<void> {
    const { cluster } = this;
    switch (step.kind) {
      case 'create': {
        const name = `s${++this.#count}`;
        return this.#write(`create ${name}`, () => [{ kind: 'create', table: 'service', object: service(name) }]);
      }
      case 'batch':
        return this.#batch();
      case 'task': {
        const id = `t${++this.#count}`;
        return this.#write('', () => [{ kind: 'create', table: 'task', object: task(id) }]);
      }
      case 'update':
      case 'remove':
        return this.#changeAny(step.kind);
      case 'lose':
        cluster.lose();
        return;
      case 'time-out':
        cluster.leader.timeOut(2);
        return;
      case 'commit':
        cluster.commit(2);
        return;
      case 'apply': {
        const member = cluster.members[step.member] as Member;
        return member.applyUpTo(member.appliedIndex + step.count);
      }
      case 'elect': {
        const next = cluster.members[step.member] as Member;
        if (next !== cluster.leader) cluster.elect(next, step.count);
        return;
      }
      case 'snapshot': {
        const member = cluster.members[step.member] as Member;
        return member === cluster.leader ? undefined : member.installSnapshotOf(cluster.leader);
      }
    }
  }

  async settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      this.cluster.commit(1000);
      for (const member of this.cluster.members) member.applyUpTo(100_000);
      await nextTurn();
    }
    await Promise.all(this.work);
  }

  table(store: ReplicatedStore): readonly Event[] {
    return [...store.view().all('event')];
  }

  #saw(event: Event): void {
    const known = this.seen.get(event.id);
    if (known !== undefined) assert.deepEqual(event, known, 'all members saw the same event');
    this.seen.set(event.id, event);
  }

  /** Some service that is there by now, the same for the same history. */
  #changeAny(kind: 'update' | 'remove'): void {
    const number = ++this.#count;
    let what = '';
    this.#write(
      () => what,
      (store) => {
        // It may be decided again, upon another state.
        what = '';
        const [first] = store.all('service');
        if (first === undefined) return [];
        what = `${kind} ${first.spec?.name ?? ''}`;
        const spec = first.spec && { ...first.spec, labels: { number: String(number) } };
        return [{ kind, table: 'service', object: kind === 'update' ? { ...first, spec } : first }];
      },
    );
  }

  #write(
    what: string | (() => string),
    changes: (view: ReturnType<ReplicatedStore['view']>) => readonly Change[],
  ): void {
    const name = (): string => (typeof what === 'string' ? what : what());
    const work = this.leading.decide(changes, { author: '' }).then(
      () => this.#told(name()),
      (thrown: unknown) => this.#failed(name(), thrown),
    );
    this.work.push(work);
  }

  #batch(): void {
    const names = Array.from({ length: 4 }, () => `s${++this.#count}`);
    const groups = names.map((name): readonly Change[] => [
      { kind: 'create', table: 'service', object: service(name) },
      { kind: 'create', table: 'task', object: task(`of-${name}`) },
    ]);
    const work = this.leading.batch(groups).then((outcomes) => {
      outcomes.forEach((outcome, index) => {
        const what = `create ${names[index] ?? ''}`;
        if (outcome === undefined) this.#told(what);
        else this.#failed(what, outcome);
      });
    });
    this.work.push(work);
  }

  #told(what: string): void {
    if (what !== '') this.made.push(what);
  }

  #failed(what: string, thrown: unknown): void {
    assert.ok(thrown instanceof SwarmError, String(thrown));
    assert.notEqual(thrown.reason, 'internal', thrown.stack);
    if (what !== '' && (thrown.reason === 'timeout' || thrown.reason === 'leadership-lost')) this.unsure.add(what);
  }
}

async function run(script: readonly Step[], kept: number): Promise<World> {
  const world = new World(kept);
  await world.start();
  for (const step of script) {
    const work = world.step(step);
    if (work !== undefined) await work;
  }
  await world.settle();
  return world;
}

const inOrder = (events: Iterable<Event>): readonly Event[] => [...events].sort((a, b) => (a.id < b.id ? -1 : 1));
const said = ({ type, action, subjectName }: Event): string =>
  `${action} ${type === 'cluster' ? 'cluster' : subjectName}`;

describe('history of events', () => {
  it('says what was acknowledged, once, and nothing that was not made', async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const world = await run(script, 10_000);
        const events = inOrder(world.seen.values());
        const counts = new Map<string, number>();
        for (const event of events) counts.set(said(event), (counts.get(said(event)) ?? 0) + 1);
        for (const what of world.made) {
          const left = (counts.get(what) ?? 0) - 1;
          assert.ok(left >= 0, `${what} is an event`);
          counts.set(what, left);
        }
        for (const [what, left] of counts)
          assert.ok(left === 0 || world.unsure.has(what), `${what} was made when there is an event of it`);
        for (const store of world.stores)
          assert.deepEqual(world.table(store), events, 'what came is what every member has');
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the newest ones, in order and without a hole, the same on every member', async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const world = await run(script, KEPT);
        const [first, ...others] = world.stores.map((store) => world.table(store));
        assert.ok(first !== undefined);
        for (const other of others) assert.deepEqual(other, first);
        const all = inOrder(world.seen.values());
        assert.deepEqual(first, all.slice(-Math.min(KEPT, all.length)));
        first.forEach((event, index) => {
          assert.equal(eventPlace(event.id).version, event.version);
          const before = first[index - 1];
          if (before === undefined || before.version === event.version) return;
          assert.equal(eventPlace(event.id).previousVersion, before.version, 'each names the one before');
        });
      }),
      { numRuns: 60 },
    );
  });
});
