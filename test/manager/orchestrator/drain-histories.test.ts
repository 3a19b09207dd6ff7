/**
 * Goal: however nodes are drained, paused and taken back, whoever leads and whoever writes in between: no service has
 * fewer healthy tasks than its updates would leave it, no node has more on their way than its drain says, and in the end
 * every drained node is empty, or says what keeps its tasks. Method: random histories in which nothing else goes wrong
 * (in those with lost nodes the end alone is looked at), over all loops with agents that work at different speeds.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { randomInt, SeededRandom } from '#common/random.ts';
import { NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { GlobalJobMode, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { DrainCluster } from './drain-cluster.ts';

const NODES = ['n1', 'n2', 'n3', 'n4'] as const;
/** Tasks of it may go at once, by node. */
const PARALLELISM: Readonly<Record<string, number>> = { n1: 1, n2: 1, n3: 2, n4: 3 };
/** How long a job is at work. */
const SCANNED = { afterMs: 200_000, state: TaskState.COMPLETE };

interface Declared {
  readonly replicas: number;
  readonly order: UpdateOrder;
  readonly parallelism: number;
}

type Step =
  | { readonly kind: 'drain' | 'activate' | 'lose' | 'return'; readonly node: (typeof NODES)[number] }
  | { readonly kind: 'agents'; readonly fast: number }
  | { readonly kind: 'change-leader' | 'pass' | 'interfere' };

const declared: fc.Arbitrary<Declared> = fc.record({
  replicas: fc.integer({ min: 1, max: 6 }),
  order: fc.constantFrom(UpdateOrder.STOP_FIRST, UpdateOrder.START_FIRST, UpdateOrder.AUTO),
  parallelism: fc.nat({ max: 3 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('drain', 'activate'), node: fc.constantFrom(...NODES) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('agents'), fast: fc.nat({ max: 15 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('change-leader', 'pass', 'interfere') }) },
);

const faultyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('lose', 'return'), node: fc.constantFrom(...NODES) }) },
);

class History {
  readonly cluster: DrainCluster;
  readonly #services: readonly Declared[];
  readonly #random: SeededRandom;
  #interferes = false;

  constructor(services: readonly Declared[], seed: number) {
    this.cluster = new DrainCluster(4, {
      seed,
      fate: ({ serviceId }) => (serviceId === 'scan' ? SCANNED : undefined),
      // Every second one in slices that end in the middle of a look.
      orchestrator: seed % 2 === 0 ? { movesPerSlice: 4 } : {},
    });
    this.#services = services;
    this.#random = new SeededRandom(seed);
    for (const [index, { replicas, order, parallelism }] of services.entries())
      this.cluster.declare(`s${index}`, { replicas, update: UpdateConfig.create({ order, parallelism }) });
    this.cluster.run(10_000);
    this.cluster.interfere = () => this.#interfere();
  }

  do(one: Step, isLimited = true): void {
    this.#take(one);
    this.cluster.settle();
    this.check(isLimited);
  }

  /** While nodes are lost services have fewer tasks than any update would leave them. */
  doFaulty(one: Step): void {
    this.#take(one);
    this.cluster.settle();
  }

  #take(one: Step): void {
    switch (one.kind) {
      case 'drain':
        this.cluster.drain(one.node, PARALLELISM[one.node]);
        break;
      case 'activate':
        this.cluster.activate(one.node);
        break;
      case 'agents':
        this.cluster.stepAgents(({ id }) => (one.fast & (1 << NODES.indexOf(id as 'n1'))) !== 0);
        break;
      case 'change-leader':
        this.cluster.changeLeader();
        break;
      case 'interfere':
        this.#interferes = !this.#interferes;
        break;
      case 'pass':
        this.cluster.nowMs += 1000;
        break;
      case 'lose':
        this.cluster.setNodeState(one.node, NodeState.DOWN);
        break;
      case 'return':
        this.cluster.setNodeState(one.node, NodeState.READY);
        break;
    }
  }

  check(isLimited = true): void {
    for (const [index, { replicas, order, parallelism }] of this.#services.entries()) {
      const gap = order === UpdateOrder.STOP_FIRST ? (parallelism === 0 ? replicas : parallelism) : 0;
      const healthy = this.cluster.healthySlots(`s${index}`);
      assert.ok(healthy >= replicas - gap, `s${index}: ${healthy} of ${replicas} are healthy`);
    }
    for (const id of isLimited ? NODES : []) {
      const leaving = this.cluster.leaving(id).length;
      assert.ok(leaving <= (PARALLELISM[id] ?? 0), `${id}: ${leaving} are leaving`);
    }
  }

  /** Everybody works until nothing moves any more. */
  finish(): void {
    this.cluster.interfere = undefined;
    for (let round = 0; round < 500; round++) {
      const moved = this.cluster.settle() + this.cluster.stepAgents();
      this.check();
      if (moved === 0) break;
    }
    for (const [index, { replicas }] of this.#services.entries()) {
      assert.equal(this.cluster.healthySlots(`s${index}`), replicas);
      assert.equal(this.cluster.running(`s${index}`).length, replicas);
    }
  }

  /** Somebody writes a task between a plan and its commit. */
  #interfere(): void {
    if (!this.#interferes) return;
    const tasks = this.cluster.tasks();
    const task = tasks[randomInt(this.#random, Math.max(1, tasks.length))];
    if (task !== undefined) this.cluster.edit('task', task.id, {});
  }
}

const services = fc.array(declared, { minLength: 1, maxLength: 5 });
const numRuns = Number(process.env['HISTORIES'] ?? 60);

describe('orchestrator: histories of drains', function () {
  this.timeout(120_000);

  it('while one node is there for all: services keep what their updates would, and drained nodes end up empty', () => {
    fc.assert(
      fc.property(services, fc.array(step, { maxLength: 60, size: 'max' }), fc.nat(), (made, steps, seed) => {
        const history = new History(made, seed);
        // The first is always there: what it is told to do is not done.
        for (const one of steps) if (!('node' in one) || one.node !== 'n1') history.do(one);
        history.finish();
        for (const { id, drain } of history.cluster.store.all('node'))
          if (drain !== undefined) assert.deepEqual([history.cluster.on(id), drain.left, drain.message], [0, 0, '']);
      }),
      { numRuns, endOnFailure: false },
    );
  });

  it('nodes that are lost on the way and come back: every drain ends, with global services and jobs, too', () => {
    fc.assert(
      fc.property(services, fc.array(faultyStep, { maxLength: 60, size: 'max' }), fc.nat(), (made, steps, seed) => {
        const history = new History(made, seed);
        const { cluster } = history;
        cluster.declare('agent', { global: true });
        cluster.declareJob('scan', { kind: 'globalJob', value: GlobalJobMode.create() });
        cluster.run(1000);
        for (const one of steps) if (!('node' in one) || one.node !== 'n1') history.doFaulty(one);
        cluster.interfere = undefined;
        cluster.run(600_000);
        const ended = (): void => {
          for (const { id, drain, status } of cluster.store.all('node'))
            if (drain !== undefined) {
              assert.deepEqual([drain.left, drain.message], [0, ''], id);
              if (status?.state === NodeState.READY) assert.equal(cluster.on(id), 0, id);
            }
        };
        ended();
        for (const id of NODES) cluster.setNodeState(id, NodeState.READY);
        cluster.run(600_000);
        ended();
        for (const [index, { replicas }] of made.entries()) assert.equal(cluster.healthySlots(`s${index}`), replicas);
        const active = [...cluster.store.all('node')].filter(({ drain }) => drain === undefined);
        assert.equal(cluster.running('agent').length, active.length);
      }),
      { numRuns, endOnFailure: false },
    );
  });

  it('all nodes at once: comes to rest, nothing is lost, and every node says what keeps its tasks', () => {
    fc.assert(
      fc.property(services, fc.array(step, { maxLength: 20 }), fc.nat(), (made, steps, seed) => {
        const history = new History(made, seed);
        const { cluster } = history;
        for (const id of NODES) {
          cluster.drain(id, 1);
          cluster.settle();
        }
        // What waits for a place is not on its way: there is nowhere to go.
        for (const one of steps) if (!('node' in one)) history.do(one, false);
        cluster.interfere = undefined;
        cluster.run(600_000);
        assert.equal(cluster.settle(), 0);
        for (const id of NODES) {
          const { drain } = cluster.node(id);
          assert.equal(drain?.left, cluster.on(id));
          assert.equal(drain.message === '', drain.left === 0, drain.message);
        }
        const running = cluster.tasks().filter(({ status }) => status?.state === TaskState.RUNNING).length;
        assert.equal(
          running,
          made.reduce((sum, { replicas }) => sum + replicas, 0),
        );
      }),
      { numRuns, endOnFailure: true },
    );
  });
});
