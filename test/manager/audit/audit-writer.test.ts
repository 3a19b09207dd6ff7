/**
 * Goal: the audit log has every event that the table had, once and in order, whatever happens to the manager between: it
 * dies, falls behind, takes over another state, has no disk. Method: a real store upon a log in memory, real files.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { Cluster } from '#gen/swarm/v1/objects.ts';
import { AuditWriter, DEFAULT_AUDIT_CONFIG, linesOfLog, verifyLines } from '#manager/audit/index.ts';
import { eventRecorder } from '#manager/events/index.ts';
import { ReplicatedStore, type StoreConfig } from '#manager/replicated-store/index.ts';
import { type Member, SimulatedCluster } from '#test/manager/replicated-store/simulated-log.ts';
import { service } from '#test/manager/store/support.ts';
import { eventually } from '#test/support/eventually.ts';
import { whileFlushesAreHeld } from './intercept-files.ts';

interface Line {
  readonly kind: string;
  readonly version?: number;
  readonly subject?: { readonly name: string };
  readonly cluster: string;
  readonly message?: string;
  readonly more?: number;
}

const CONFIG = {
  ...DEFAULT_AUDIT_CONFIG,
  waiting: 3,
  gatherMs: 1,
  retry: { baseMs: 5, maxMs: 20, factor: 2, jitter: 0 },
};

const REFUSAL = { method: '/swarm.v1.A/B', caller: 'worker x', peer: '192.0.2.7:1', reason: 'wrong-role' };

class World {
  readonly cluster = new SimulatedCluster(2);
  readonly stores: ReplicatedStore[];
  readonly directory: string;
  readonly writers: AuditWriter[] = [];
  #names = 0;

  constructor(directory: string, kept: number, config: Partial<StoreConfig> = {}) {
    this.directory = directory;
    this.stores = this.cluster.members.map(
      (log, index) =>
        new ReplicatedStore({
          log,
          logger: silentLogger,
          random: new SeededRandom(index),
          recorder: eventRecorder(kept),
          config,
        }),
    );
  }

  get leader(): ReplicatedStore {
    return this.stores[0] as ReplicatedStore;
  }

  async found(id = 'c1'): Promise<void> {
    await Promise.all(this.stores.map((store) => store.start()));
    await this.#done(
      this.leader.commit([{ kind: 'create', table: 'cluster', object: Cluster.create({ id, featureLevel: 5 }) }]),
    );
  }

  async services(count: number): Promise<void> {
    for (let number = 0; number < count; number++)
      await this.#done(
        this.leader.commit([{ kind: 'create', table: 'service', object: service(`s${++this.#names}`) }]),
      );
  }

  writer(
    store = this.leader,
    logger: Logger = silentLogger,
    caughtUp = () => Promise.resolve(),
    config = CONFIG,
  ): AuditWriter {
    const writer = new AuditWriter({
      directory: this.directory,
      store,
      clock: systemClock,
      random: new SeededRandom(1),
      logger,
      config,
      caughtUp,
    });
    this.writers.push(writer);
    writer.start();
    return writer;
  }

  async lines(): Promise<readonly Line[]> {
    const lines: Line[] = [];
    for await (const { text } of linesOfLog(this.directory)) lines.push(JSON.parse(text) as Line);
    return lines;
  }

  /** The names of the services of which it is told that they were made. */
  async told(): Promise<readonly string[]> {
    return (await this.lines()).flatMap(({ subject }) => (subject?.name ? [subject.name] : []));
  }

  async #done(work: Promise<void>): Promise<void> {
    this.cluster.commit(1000);
    this.applyAll(this.cluster.members[0] as Member);
    await work;
  }

  applyAll(member: Member): void {
    member.applyUpTo(100_000);
  }
}

const names = (count: number, first = 1): readonly string[] =>
  Array.from({ length: count }, (_, index) => `s${first + index}`);

describe('audit writer', () => {
  let directory: string;
  let world: World;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'audit-'));
    world = new World(directory, 10_000);
  });
  afterEach(async () => {
    for (const writer of world.writers) await writer.close();
    await rm(directory, { recursive: true, force: true });
  });

  const toldAre = (expected: readonly string[]) =>
    eventually(
      () => `the audit log to tell of ${expected.join(', ')}`,
      async () => (await world.told()).join() === expected.join(),
    );

  it('follows from the first event on, and begins with whose record it is', async () => {
    const writer = world.writer();
    await world.found();
    await world.services(20);
    await toldAre(names(20));
    await writer.close();
    const [first, second] = await world.lines();
    assert.deepEqual([first?.kind, first?.cluster, second?.version], ['begin', 'c1', 1]);
    assert.equal((await verifyLines(linesOfLog(directory))).problem, undefined);
  });

  it('writes what came while it was away, once, also when it died in the middle of a line', async () => {
    await world.found();
    const writer = world.writer();
    await world.services(4);
    await toldAre(names(4));
    await writer.close();
    const file = join(directory, 'audit.log');
    const whole = await readFile(file);
    await writeFile(file, whole.subarray(0, whole.length - 40));
    await world.services(4);
    world.writer();
    await world.services(2);
    await toldAre(names(10));
    assert.equal((await verifyLines(linesOfLog(directory))).problem, undefined);
    assert.equal((await world.lines()).filter(({ kind }) => kind === 'begin').length, 1);
  });

  it('says when events are missing that the swarm does not keep any more', async () => {
    world = new World(directory, 5);
    await world.found();
    const writer = world.writer();
    await world.services(2);
    await toldAre(names(2));
    await writer.close();
    await world.services(5);
    world.writer();
    await toldAre(names(7));
    assert.ok(!(await world.lines()).some(({ kind }) => kind === 'gap'), 'nothing is missing');
    await world.writers.at(-1)?.close();
    await world.services(6);
    world.writer();
    await toldAre([...names(7), ...names(5, 9)]);
    const gaps = (await world.lines()).filter(({ kind }) => kind === 'gap');
    assert.equal(gaps.length, 1);
  });

  it('goes on from the table when a snapshot took the place of the state', async () => {
    await world.found();
    const [, follower] = world.cluster.members;
    assert.ok(follower !== undefined);
    world.applyAll(follower);
    world.writer(world.stores[1]);
    await world.services(3);
    await follower.installSnapshotOf(world.cluster.members[0] as Member);
    await world.services(2);
    world.applyAll(follower);
    await toldAre(names(5));
    assert.ok(!(await world.lines()).some(({ kind }) => kind === 'gap'));
  });

  it('writes nothing twice and nothing out of order when the state is replaced while a write is under way', async () => {
    await world.found();
    const [leader, follower] = world.cluster.members as [Member, Member];
    world.applyAll(follower);
    world.writer(world.stores[1]);
    await world.services(1);
    world.applyAll(follower);
    await toldAre(names(1));
    await whileFlushesAreHeld(async (flushes, release) => {
      await world.services(1);
      world.applyAll(follower);
      await eventually('the second to be on its way to the disk', () => flushes.count === 1);
      await world.services(1);
      world.applyAll(follower);
      await world.services(1);
      await follower.installSnapshotOf(leader);
      await world.services(1);
      world.applyAll(follower);
      // Whoever would begin again without the write has begun by then.
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      release();
      await world.services(1);
      world.applyAll(follower);
      await toldAre(names(6));
    });
    await world.writers[0]?.close();
    assert.deepEqual(await world.told(), names(6));
  });

  it('writes nothing twice when it was too slow for the stream while a write is under way', async () => {
    world = new World(directory, 10_000, { historyEvents: 2, watcherEvents: 2 });
    await world.found();
    world.writer();
    await world.services(1);
    await toldAre(names(1));
    await whileFlushesAreHeld(async (flushes, release) => {
      await world.services(1);
      await eventually('the second to be on its way to the disk', () => flushes.count === 1);
      // Three wait with the writer, two in the stream; the next ends it.
      await world.services(8);
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      release();
      await world.services(1);
      await toldAre(names(11));
    });
  });

  it('begins anew in another swarm, and when the state was put back', async () => {
    await world.found();
    const writer = world.writer();
    await world.services(3);
    await toldAre(names(3));
    await writer.close();
    const other = new World(directory, 10_000);
    await other.found('c2');
    const second = other.writer();
    await eventually('the other swarm', async () => (await other.lines()).at(-1)?.cluster === 'c2');
    await second.close();
    const back = new World(directory, 10_000);
    await back.found('c2');
    await back.services(1);
    const third = back.writer();
    await eventually('the state put back', async () => (await back.told()).at(-1) === 's1');
    await third.close();
    assert.equal((await verifyLines(linesOfLog(directory))).problem, undefined);
  });

  it('says of each line which swarm it is about, also when it begins before that swarm does', async () => {
    await world.found();
    const first = world.writer();
    await world.services(2);
    await toldAre(names(2));
    await first.close();
    const other = new World(directory, 10_000);
    let isOpen = false;
    const second = other.writer(other.leader, silentLogger, () => {
      isOpen = true;
      return Promise.resolve();
    });
    await eventually('the file of the former swarm to be open', () => isOpen);
    await nextTurn(); // it follows
    second.refused(REFUSAL);
    await whileFlushesAreHeld(async (flushes, release) => {
      await other.found('c2');
      await eventually('the first line to be on its way', () => flushes.count === 1);
      second.refused(REFUSAL);
      await other.services(2);
      release();
      await eventually('the other swarm', async () => (await other.told()).length === 4);
    });
    second.refused(REFUSAL);
    await second.close();
    const lines = await other.lines();
    const begun = lines.findLastIndex(({ kind }) => kind === 'begin');
    assert.deepEqual(lines.map(({ kind, cluster }) => [kind, cluster].join(' of ')).slice(begun), [
      'begin of c2',
      'event of c2',
      'event of c2',
      'event of c2',
      'refused of c2',
    ]);
    assert.ok(lines.slice(0, begun).every(({ cluster, kind }) => cluster === 'c1' && kind !== 'refused'));
  });

  it('does not take a state for put back that is behind the file after a restart', async () => {
    await world.found();
    const writer = world.writer();
    await world.services(3);
    await toldAre(names(3));
    await writer.close();
    const again = new World(directory, 10_000);
    await again.found();
    let attempts = 0;
    const caughtUp = async (): Promise<void> => {
      if (++attempts === 1) throw new Error('there is no leader');
      await again.services(4);
    };
    again.writer(again.leader, silentLogger, caughtUp);
    await eventually('the fourth', async () => (await again.told()).at(-1) === 's4');
    assert.deepEqual(await again.told(), names(4));
    assert.equal((await again.lines()).filter(({ kind }) => kind === 'begin').length, 1);
    for (const open of again.writers) await open.close();
  });

  it('waits for a disk that does not take it, says so, and then lacks nothing', async () => {
    await writeFile(join(directory, 'in-the-way'), '');
    const warnings: string[] = [];
    const logger: Logger = { ...silentLogger, warn: (message: string) => warnings.push(message) };
    const outer = directory;
    world = new World(join(outer, 'in-the-way'), 10_000);
    await world.found();
    world.writer(world.leader, logger);
    await world.services(3);
    await eventually('two attempts', () => warnings.length >= 2);
    assert.match(warnings[0] ?? '', /audit log cannot be written/);
    await rm(join(outer, 'in-the-way'));
    await toldAre(names(3));
  });

  it('has in the file what is known when it is asked to', async () => {
    await world.found();
    const writer = world.writer(world.leader, silentLogger, undefined, { ...CONFIG, waiting: 100, gatherMs: 60_000 });
    await eventually('the first event', async () => (await world.lines()).length === 2);
    await world.services(3);
    await nextTurn(); // it has heard of them
    assert.deepEqual(await world.told(), []);
    await writer.flush();
    assert.deepEqual(await world.told(), names(3));
  });

  it('notes refused calls, a few of many', async () => {
    await world.found();
    const writer = world.writer();
    await world.services(1);
    await toldAre(names(1));
    await eventually('the first one', async () => {
      writer.refused(REFUSAL);
      return (await world.lines()).some(({ kind }) => kind === 'refused');
    });
    for (let count = 0; count < CONFIG.refusalsBurst + 40; count++) writer.refused(REFUSAL);
    await writer.close();
    const refused = (await world.lines()).filter(({ kind }) => kind === 'refused');
    assert.equal(refused.length, CONFIG.refusalsBurst);
    assert.equal((await verifyLines(linesOfLog(directory))).problem, undefined);
  });
});
