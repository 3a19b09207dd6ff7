/**
 * Goal: over a log that does everything Raft may do, no write is lost, made twice or half made, whatever was told to its
 * writer holds, all members end up the same, and every watcher saw each commit once and in order. Method: a random
 * script of writes and faults on three members; every write leaves a marker, and increments of one counter must add up.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { type CommitStream, ReplicatedStore } from '#manager/replicated-store/index.ts';
import { type IndexedStoreView, TABLE_NAMES } from '#manager/store/index.ts';
import { task } from '#test/manager/store/support.ts';
import { type Member, SimulatedCluster } from './simulated-log.ts';

type Plain = 'increment' | 'blind' | 'batch' | 'read' | 'refuse' | 'time-out' | 'lose' | 'commit' | 'watch';
type Step =
  | { readonly kind: Plain }
  | { readonly kind: 'apply' | 'elect' | 'snapshot'; readonly member: number; readonly count: number };

const plain = (kind: Plain, weight: number) => ({ weight, arbitrary: fc.constant<Step>({ kind }) });
const ofMember = (kind: 'apply' | 'elect' | 'snapshot', weight: number) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), member: fc.nat(2), count: fc.nat(4) }) as fc.Arbitrary<Step>,
});

const scripts = fc.array(
  fc.oneof(
    plain('increment', 8),
    plain('blind', 3),
    plain('batch', 2),
    plain('read', 1),
    plain('refuse', 1),
    plain('time-out', 1),
    plain('lose', 1),
    plain('commit', 6),
    plain('watch', 1),
    ofMember('apply', 8),
    ofMember('elect', 1),
    ofMember('snapshot', 1),
  ),
  { maxLength: 120, size: 'max' },
);

/** What a writer was told about its marker. */
type Told = 'made' | 'not made' | 'unknown';

const UNKNOWN = new Set(['timeout', 'leadership-lost']);

interface Watcher {
  readonly stream: CommitStream;
  readonly from: number;
  readonly seen: number[];
}

class World {
  readonly cluster = new SimulatedCluster(3);
  readonly stores: ReplicatedStore[];
  readonly told = new Map<string, Told>();
  readonly increments = new Set<string>();
  readonly watchers: Watcher[] = [];
  readonly work: Promise<void>[] = [];
  #markers = 0;

  constructor() {
    this.stores = this.cluster.members.map(
      (log, index) => new ReplicatedStore({ log, logger: silentLogger, random: new SeededRandom(index) }),
    );
  }

  get #leading(): ReplicatedStore {
    return this.stores[this.cluster.members.indexOf(this.cluster.leader)] as ReplicatedStore;
  }

  /** A promise where the step takes time; the others happen in the same turn of the event loop unless told otherwise. */
  step(step: Step): void | Promise<void> {
    const { cluster } = this;
    switch (step.kind) {
      case 'increment':
        return this.#record(this.#mark('i'), (marker) => this.#increment(marker));
      case 'blind':
        return this.#record(this.#mark('b'), (marker) =>
          this.#leading.commit([{ kind: 'create', table: 'task', object: task(marker) }]),
        );
      case 'batch':
        return this.#batch();
      case 'read':
        return this.#read();
      case 'watch':
        return this.#watch();
      case 'refuse':
        cluster.leader.refuseNext = true;
        return;
      case 'time-out':
        cluster.leader.timeOut(2);
        return;
      case 'lose':
        cluster.lose();
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

  /** Everything is committed and applied everywhere, and everybody is told. */
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      this.cluster.commit(1000);
      for (const member of this.cluster.members) member.applyUpTo(100_000);
      await nextTurn();
    }
    await Promise.all(this.work);
    for (const { stream } of this.watchers) stream.close();
    await nextTurn();
  }

  #mark(kind: string): string {
    return `${kind}${++this.#markers}`;
  }

  #record(marker: string, write: (marker: string) => Promise<unknown>): void {
    this.work.push(
      write(marker).then(
        () => void this.told.set(marker, 'made'),
        (thrown: unknown) => this.#recordError(marker, thrown),
      ),
    );
  }

  #recordError(marker: string, thrown: unknown): void {
    assert.ok(thrown instanceof SwarmError, String(thrown));
    assert.notEqual(thrown.reason, 'internal', thrown.stack);
    this.told.set(marker, UNKNOWN.has(thrown.reason) ? 'unknown' : 'not made');
  }

  /** Reads the counter and writes it back with a marker, in one step. */
  #increment(marker: string): Promise<void> {
    this.increments.add(marker);
    return this.#leading.update((transaction) => {
      const counter = transaction.view.get('task', 'counter');
      if (counter === undefined) transaction.create('task', task('counter', { slot: 1 }));
      else transaction.update('task', { ...counter, slot: counter.slot + 1 });
      transaction.create('task', task(marker));
    });
  }

  #batch(): void {
    const markers = Array.from({ length: 5 }, () => this.#mark('g'));
    // The middle one always fails: its object does not exist.
    const groups = markers.map((marker, index) => [
      { kind: 'create' as const, table: 'task' as const, object: task(marker) },
      ...(index === 2
        ? [{ kind: 'remove' as const, table: 'task' as const, object: task('nowhere', { version: 1 }) }]
        : []),
    ]);
    this.work.push(
      this.#leading.batch(groups).then((outcomes) => {
        assert.equal(outcomes[2]?.reason, 'unknown-object');
        outcomes.forEach((outcome, index) => {
          const marker = markers[index] as string;
          if (outcome === undefined) this.told.set(marker, 'made');
          else this.#recordError(marker, outcome);
        });
      }),
    );
  }

  /** A transaction that only reads is answered when what it read is committed. */
  #read(): void {
    const store = this.#leading;
    this.work.push(
      store
        .update((transaction) => transaction.view.get('task', 'counter')?.slot ?? 0)
        .then(
          (slot) => assert.ok((store.view().get('task', 'counter')?.slot ?? 0) >= slot, 'read what was not committed'),
          () => {},
        ),
    );
  }

  #watch(): void {
    for (const store of this.stores) {
      const { view, commits } = store.viewAndWatch();
      const watcher: Watcher = { stream: commits, from: view.version, seen: [] };
      this.watchers.push(watcher);
      // Not part of what `settle` waits for: only its end closes the stream.
      void (async () => {
        for await (const commit of commits) watcher.seen.push(commit.version);
      })().catch((thrown: unknown) => assert.equal((thrown as SwarmError).reason, 'version-gone'));
    }
  }
}

function assertSame(left: IndexedStoreView, right: IndexedStoreView): void {
  assert.equal(left.version, right.version);
  for (const table of TABLE_NAMES) assert.deepEqual([...left.all(table)], [...right.all(table)]);
}

describe('manager/replicated-store: over a log that loses and delays', function () {
  this.timeout(60_000);

  it('keeps every promise', async () => {
    const totals = { made: 0, 'not made': 0, unknown: 0, commits: 0 };
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        const world = new World();
        for (const store of world.stores) await store.start();
        for (const [position, step] of script.entries()) {
          const taking = world.step(step);
          if (taking !== undefined) await taking;
          // In runs of one to seven steps nothing that was rejected or resolved is noticed by anyone.
          if (position % ((script.length % 7) + 1) === 0) await nextTurn();
        }
        await world.settle();
        const [first, ...others] = world.stores.map((store) => store.view()) as [
          IndexedStoreView,
          ...IndexedStoreView[],
        ];
        for (const other of others) assertSame(first, other);
        for (const [marker, told] of world.told) {
          totals[told]++;
          if (told === 'unknown') continue;
          assert.equal(first.get('task', marker) !== undefined, told === 'made', `${marker} was told to be ${told}`);
        }
        const made = [...world.increments].filter((marker) => first.get('task', marker) !== undefined);
        assert.equal(first.get('task', 'counter')?.slot ?? 0, made.length, 'increments add up');
        for (const { from, seen } of world.watchers)
          assert.deepEqual(
            seen,
            seen.map((_, index) => from + 1 + index),
            'a gap or a repetition',
          );
        for (const { stream, from, seen } of world.watchers)
          if (stream.error === undefined) assert.equal(from + seen.length, first.version, 'a commit was not shown');
        totals.commits += first.version;
      }),
      { numRuns: 150 },
    );
    for (const [what, count] of Object.entries(totals))
      assert.ok(count > 50, `only ${count} ${what}: the test is too tame`);
  });
});
