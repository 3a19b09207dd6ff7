/**
 * Goal: loops run while this manager leads, on exactly what they have observed, and never otherwise; what goes wrong is
 * tried again and seen. Method: loops that record what is done to them, on an in-memory store that commits in its own
 * time, with a clock that moves when told.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { type Logger, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { NodeSpec } from '#gen/swarm/v1/specs.ts';
import { type LoopStore, Runner, type RunnerConfig, type RunnerObserver } from '#manager/runner/index.ts';
import type { Change, ChangeGroup, CommitEvents, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import { MemoryStore } from '#test/manager/loops/memory-store.ts';
import { create, node, T0, update } from '#test/manager/loops/objects.ts';

const CONFLICT = new SwarmError({ code: 'conflict', reason: 'out-of-sequence', message: 'changed meanwhile' });

class SlowStore implements LoopStore {
  readonly memory = new MemoryStore();
  readonly #listeners = new Set<(commit: CommitEvents) => void>();
  /** Outcomes for the next groups; those that are left out are committed. */
  refusals: (SwarmError | undefined)[] = [];
  groups = 0;

  view(): StoreView {
    return this.memory;
  }

  onCommit(listener: (commit: CommitEvents) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async batch(groups: Iterable<ChangeGroup>): Promise<readonly (SwarmError | undefined)[]> {
    const outcomes: (SwarmError | undefined)[] = [];
    for (const group of groups) {
      this.groups++;
      await nextTurn();
      const refusal = this.refusals.shift();
      outcomes.push(refusal ?? (this.write(...group) ? undefined : CONFLICT));
    }
    return outcomes;
  }

  write(...changes: readonly Change[]): boolean {
    const events = this.memory.commit(changes, T0);
    if (events === undefined) return false;
    const commit = { version: this.memory.version, timeMs: T0, events };
    for (const listener of [...this.#listeners]) listener(commit);
    return true;
  }
}

/** Mirrors what it observes; plans what it is told to. */
class ProbeLoop implements Loop {
  readonly name: string;
  restores = 0;
  plans = 0;
  observed = 0;
  readonly mirror = new Map<string, number>();
  next: (view: StoreView, nowMs: number) => Partial<Plan> = () => ({});

  constructor(name = 'probe') {
    this.name = name;
  }

  restore(view: StoreView): void {
    this.restores++;
    this.mirror.clear();
    for (const object of view.all('node')) this.mirror.set(object.id, object.version);
  }

  observe(event: StoreEvent): void {
    this.observed++;
    if (event.kind === 'remove') this.mirror.delete(event.object.id);
    else this.mirror.set(event.object.id, event.object.version);
  }

  plan(view: StoreView, nowMs: number): Plan {
    this.plans++;
    const actual = new Map([...view.all('node')].map((object) => [object.id, object.version]));
    assert.deepEqual(this.mirror, actual, 'planned on something else than was observed');
    return { changes: [], wakeAtMs: undefined, ...this.next(view, nowMs) };
  }
}

interface Bench {
  readonly store: SlowStore;
  readonly clock: ManualClock;
  readonly runner: Runner;
  readonly failures: string[];
  readonly logged: string[];
}

const running: Runner[] = [];

function bench(loops: readonly Loop[], config: Partial<RunnerConfig> = {}, observer: RunnerObserver = {}): Bench {
  const store = new SlowStore();
  const clock = new ManualClock(T0);
  const failures: string[] = [];
  const logged: string[] = [];
  const note = (message: string) => logged.push(message);
  const logger: Logger = { ...silentLogger, warn: note, error: note, with: () => logger };
  const runner = new Runner({
    loops,
    store,
    clock,
    logger,
    random: new SeededRandom(1),
    observer: { ...observer, failed: (_loop, error) => failures.push(error.message) },
    config: { stopTimeoutMs: 1000, ...config },
  });
  running.push(runner);
  return { store, clock, runner, failures, logged };
}

async function turns(count = 30): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

describe('runner', () => {
  afterEach(async () => {
    for (const runner of running.splice(0)) await runner.stop();
  });

  it('restores, plans, and plans again when something happens', async () => {
    const loop = new ProbeLoop();
    const { store, runner } = bench([loop]);
    store.write(create('node', node('n1')));
    await turns();
    assert.equal(loop.plans, 0);
    runner.start();
    await turns();
    assert.deepEqual([loop.restores, loop.plans, loop.mirror.size], [1, 1, 1]);
    store.write(create('node', node('n2')));
    await turns();
    assert.deepEqual([loop.restores, loop.plans, loop.mirror.size], [1, 2, 2]);
    await turns();
    assert.equal(loop.plans, 2);
  });

  it('plans on exactly what was observed, whatever others write meanwhile', async () => {
    const loop = new ProbeLoop();
    const { store, runner, failures } = bench([loop], { sliceMs: 0 });
    loop.next = (view) => {
      const wanting = [...view.all('node')].filter((one) => one.spec?.name === '');
      return {
        changes: wanting
          .slice(0, 3)
          .map((one) => [update('node', { ...one, spec: NodeSpec.create({ ...one.spec, name: 'named' }) })]),
        more: wanting.length > 3,
      };
    };
    for (let i = 0; i < 200; i++) store.write(create('node', node(`before${i}`)));
    runner.start();
    for (let i = 0; i < 200; i++) {
      store.write(create('node', node(`during${i}`)));
      if (i % 3 === 0) await nextTurn();
    }
    await turns(2000);
    assert.deepEqual(failures, []);
    assert.equal(loop.restores, 1);
    assert.ok([...store.memory.all('node')].every((one) => one.spec?.name === 'named'));
  });

  it('a commit that comes between the last event and the plan is observed first', async () => {
    const loop = new ProbeLoop();
    const { store, runner, failures } = bench([loop]);
    store.write(create('node', node('n1')));
    const observe = loop.observe.bind(loop);
    loop.observe = (event) => {
      observe(event);
      if (store.memory.count('node') < 20)
        queueMicrotask(() => store.write(create('node', node(`m${store.memory.count('node')}`))));
    };
    runner.start();
    await turns();
    assert.deepEqual(failures, []);
    assert.equal(loop.mirror.size, 20);
  });

  it('gives way to the event loop while it restores and catches up', async () => {
    const loop = new ProbeLoop();
    const { store, clock, runner } = bench([loop]);
    for (let i = 0; i < 1000; i++) store.write(create('node', node(`n${i}`)));
    const observe = loop.observe.bind(loop);
    loop.observe = (event) => {
      clock.advance(1); // as if each took a millisecond
      observe(event);
    };
    runner.start();
    await turns(2);
    assert.ok(loop.observed > 0 && loop.observed < 200, `${loop.observed} in a row`);
    assert.equal(loop.plans, 0);
    await turns(100);
    assert.equal(loop.observed, 1000);
    assert.equal(loop.plans, 1);
  });

  it('restores one loop in a turn, however many there are', async () => {
    const loops = Array.from({ length: 5 }, () => new ProbeLoop());
    const { store, runner } = bench(loops);
    for (let i = 0; i < 20; i++) store.write(create('node', node(`n${i}`)));
    runner.start();
    for (let turn = 0; turn < 10; turn++) {
      const before = loops.map(({ observed }) => observed);
      await turns(1);
      const grown = loops.filter(({ observed }, place) => observed > (before[place] ?? 0));
      assert.ok(grown.length <= 1, `${grown.length} in turn ${turn}`);
    }
    assert.deepEqual(
      loops.map(({ observed }) => observed),
      loops.map(() => 20),
    );
  });

  it('after a conflict plans again at once; conflicts in a row get pauses', async () => {
    const loop = new ProbeLoop();
    const conflicts: number[] = [];
    const { store, clock, runner } = bench(
      [loop],
      {},
      { committed: (_loop, _ms, _groups, count) => conflicts.push(count) },
    );
    store.write(create('node', node('n1')));
    loop.next = (view) => {
      const [one] = [...view.all('node')];
      return one?.spec?.name === ''
        ? { changes: [[update('node', { ...one, spec: { ...one.spec, name: 'x' } })]] }
        : {};
    };
    store.refusals = [CONFLICT, CONFLICT];
    runner.start();
    await turns();
    assert.deepEqual(conflicts, [1, 1]);
    clock.advance(10);
    await turns();
    assert.deepEqual(conflicts, [1, 1, 0]);
    assert.equal(store.memory.get('node', 'n1')?.spec?.name, 'x');
    assert.equal(loop.restores, 1);
  });

  it('a loop that throws is logged, starts over after a growing pause, and holds up no other', async () => {
    const broken = new ProbeLoop('broken');
    const sound = new ProbeLoop('sound');
    const { store, clock, runner, failures, logged } = bench([broken, sound]);
    broken.next = () => {
      throw new Error('a defect');
    };
    runner.start();
    await turns();
    assert.deepEqual(failures, ['a defect']);
    assert.deepEqual(logged, ['a leader loop failed and starts over']);
    store.write(create('node', node('n1')));
    await turns();
    assert.equal(sound.plans, 2);
    assert.equal(broken.plans, 1);
    for (let i = 0; i < 4; i++) {
      clock.advance(2000);
      await turns();
    }
    assert.ok(failures.length >= 4, `${failures.length} attempts`);
    broken.next = () => ({});
    clock.advance(30_000);
    await turns();
    assert.equal(broken.mirror.size, 1);
    assert.ok(broken.restores >= 5);
    clock.advance(120_000);
    await turns();
    assert.ok(failures.length < 10);
  });

  it('a log that refuses is no defect of the loop: it tries again without starting over', async () => {
    const loop = new ProbeLoop();
    const { store, clock, runner, logged } = bench([loop]);
    store.write(create('node', node('n1')));
    loop.next = (view) => {
      const [one] = [...view.all('node')];
      return one?.spec?.name === ''
        ? { changes: [[update('node', { ...one, spec: { ...one.spec, name: 'x' } })]] }
        : {};
    };
    store.refusals = [new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no quorum' })];
    runner.start();
    await turns();
    assert.deepEqual(logged, ['the changes of a leader loop were not committed']);
    clock.advance(200);
    await turns();
    assert.equal(store.memory.get('node', 'n1')?.spec?.name, 'x');
    assert.equal(loop.restores, 1);
  });

  it('stops every loop: nothing is planned or proposed afterwards, not even the rest of a batch', async () => {
    const loops = [new ProbeLoop('a'), new ProbeLoop('b'), new ProbeLoop('c')];
    const { store, clock, runner } = bench(loops);
    for (let i = 0; i < 50; i++) store.write(create('node', node(`n${i}`)));
    (loops[0] as ProbeLoop).next = (view) => ({
      changes: [...view.all('node')].map((one) => [
        update('node', { ...one, spec: NodeSpec.create({ ...one.spec, name: 'x' }) }),
      ]),
      wakeAtMs: T0 + 10,
    });
    runner.start();
    await turns(10);
    const proposed = store.groups;
    assert.ok(proposed > 0 && proposed < 50, `${proposed}`);
    const plans = loops.map((loop) => loop.plans);
    await runner.stop();
    assert.ok(store.groups <= proposed + 1);
    store.write(create('node', node('later')));
    clock.advance(60_000);
    await turns();
    assert.deepEqual(
      loops.map((loop) => loop.plans),
      plans,
    );
    assert.equal(runner.running, false);
  });

  it('starts again after a stop, from the store as it is then', async () => {
    const loop = new ProbeLoop();
    const { store, runner } = bench([loop]);
    runner.start();
    runner.start();
    await turns();
    const stopped = runner.stop();
    store.write(create('node', node('n1')));
    runner.start();
    await stopped;
    await turns();
    assert.equal(loop.restores, 2);
    assert.equal(loop.mirror.size, 1);
    await runner.stop();
    await runner.stop();
  });

  it('stop does not wait for ever for what is on its way', async () => {
    const loop = new ProbeLoop();
    const { store, clock, runner, logged } = bench([loop]);
    store.batch = () => new Promise(() => {});
    loop.next = () => ({ changes: [[create('node', node('n1'))]] });
    runner.start();
    await turns();
    const stopped = runner.stop();
    await turns();
    clock.advance(1000);
    await stopped;
    assert.deepEqual(logged, ['leader loops stopped with changes on their way']);
  });

  it('wakes a loop when it asked to be woken, and looks at the wall clock now and then', async () => {
    const loop = new ProbeLoop();
    const { clock, runner } = bench([loop]);
    const times: number[] = [];
    loop.next = (_view, nowMs) => {
      times.push(nowMs - T0);
      return { wakeAtMs: T0 + 100_000 };
    };
    runner.start();
    await turns();
    for (let i = 0; i < 8; i++) {
      clock.advance(15_000);
      await turns();
    }
    assert.deepEqual(times.slice(0, 5), [0, 30_000, 60_000, 90_000, 105_000]);
  });

  it('loops that gain from it wait a little for more', async () => {
    const slow = new ProbeLoop('task-reaper');
    const quick = new ProbeLoop('scheduler');
    const { store, clock, runner } = bench([slow, quick]);
    runner.start();
    await turns();
    for (let i = 0; i < 5; i++) {
      store.write(create('node', node(`n${i}`)));
      clock.advance(49);
      await turns();
    }
    assert.deepEqual([slow.plans, quick.plans], [1, 6]);
    clock.advance(10);
    await turns();
    assert.equal(slow.plans, 2);
  });

  it('a loop that fell behind too far starts over', async () => {
    const loop = new ProbeLoop();
    const { store, clock, runner } = bench([loop], { queueEventsMax: 10 });
    runner.start();
    await turns();
    for (let i = 0; i < 50; i++) store.write(create('node', node(`n${i}`)));
    await turns();
    assert.equal(loop.restores, 2);
    assert.equal(loop.mirror.size, 50);
    assert.equal(clock.now(), T0);
  });
});
