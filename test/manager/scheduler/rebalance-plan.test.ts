/** Goal: a rebalance moves what is better elsewhere, nothing else, and nothing when asked again. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HealthState, type Task, TaskHealth, TaskState, UpdateState, UpdateStatus } from '#gen/swarm/v1/objects.ts';
import { Affinity, PlacementStrategy } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_SCHEDULER_CONFIG, type PlannedMove, RebalancePlan } from '#manager/scheduler/index.ts';
import { commitGroups, MemoryStore } from '#test/manager/loops/memory-store.ts';
import {
  create,
  inState,
  node,
  pendingTask,
  revision,
  type SpecOptions,
  service,
  spec,
  T0,
} from '#test/manager/loops/objects.ts';

class World {
  readonly store = new MemoryStore();
  #tasks = 0;

  commit(...changes: ReturnType<typeof create>[]): void {
    assert.equal(commitGroups(this.store, [], [changes], T0), 0);
  }

  service(id: string, options: SpecOptions, fields: { readonly updateStatus?: UpdateStatus } = {}): void {
    const declared = spec({ name: id, ...options });
    this.commit(
      create('service', { ...service(id, declared), ...fields }),
      create('revision', revision(id, 1, declared)),
    );
  }

  running(serviceId: string, nodeId: string, count: number): void {
    for (let i = 0; i < count; i++) {
      const task = pendingTask(`t${++this.#tasks}`, serviceId, { nodeId, slot: this.#tasks });
      this.commit(create('task', inState(task, TaskState.RUNNING)));
    }
  }

  plan(movesMax = 0, ids?: readonly string[]): RebalancePlan {
    const services = [...this.store.all('service')].filter(({ id }) => ids === undefined || ids.includes(id));
    const plan = new RebalancePlan(this.store, services, { movesMax, nowMs: T0, config: DEFAULT_SCHEDULER_CONFIG });
    for (const _step of plan.steps());
    return plan;
  }

  /** As if the moves had been made. */
  carryOut(moves: readonly PlannedMove[]): void {
    for (const { task, toNodeId } of moves) {
      const current = this.store.get('task', task.id) as Task;
      this.commit({ kind: 'update', table: 'task', object: { ...current, nodeId: toNodeId } });
    }
  }

  counts(serviceId: string): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const task of this.store.tasksOfService(serviceId)) counts[task.nodeId] = (counts[task.nodeId] ?? 0) + 1;
    return counts;
  }
}

function worldOf(...nodes: readonly string[]): World {
  const world = new World();
  for (const id of nodes) world.commit(create('node', node(id, { labels: { zone: id.slice(0, 1) } })));
  return world;
}

describe('scheduler: rebalance', () => {
  it('spreads a service over nodes that came later, with the reason; then there is nothing to do', () => {
    const world = worldOf('a1', 'a2', 'b1');
    world.service('web', {});
    world.running('web', 'a1', 6);
    const { moves, notes } = world.plan();
    assert.equal(moves.length, 4);
    assert.deepEqual(notes, []);
    assert.match(moves[0]?.reason ?? '', /^5 others of the service on a1, 0 on /);
    world.carryOut(moves);
    assert.deepEqual(world.counts('web'), { a1: 2, a2: 2, b1: 2 });
    assert.deepEqual(world.plan().moves, []);
  });

  it('spreads tasks of different services when one node has them all', () => {
    const world = worldOf('a1', 'a2');
    for (const id of ['s1', 's2', 's3', 's4']) {
      world.service(id, {});
      world.running(id, 'a1', 1);
    }
    const { moves } = world.plan();
    assert.equal(moves.length, 2);
    assert.match(moves[0]?.reason ?? '', /other tasks on a1, 0 on a2/);
  });

  it('moves no more than it may, and says that there is more', () => {
    const world = worldOf('a1', 'a2', 'b1');
    world.service('web', {});
    world.running('web', 'a1', 6);
    const { moves, notes } = world.plan(2);
    assert.equal(moves.length, 2);
    assert.match(notes.join(), /no more than 2 moves were asked for/);
    assert.deepEqual(world.plan(4).notes, []);
  });

  it('keeps to constraints, rules and preferences', () => {
    const world = worldOf('a1', 'a2', 'b1', 'b2');
    world.service('fixed', { constraints: ['node.hostname == a1'] });
    world.running('fixed', 'a1', 4);
    world.service('lonely', { placement: { affinities: [Affinity.create({ service: 'fixed', anti: true })] } });
    world.running('lonely', 'a2', 3);
    const { moves } = world.plan();
    assert.ok(moves.every(({ task, toNodeId }) => task.serviceId === 'lonely' && toNodeId !== 'a1'));
    assert.equal(moves.length, 2);

    const zones = worldOf('a1', 'a2', 'b1');
    zones.service('web', { spread: ['node.labels.zone'] });
    zones.running('web', 'a1', 2);
    zones.running('web', 'a2', 2);
    const plan = zones.plan();
    assert.deepEqual(
      plan.moves.map(({ toNodeId }) => toNodeId),
      ['b1', 'b1'],
    );
    assert.match(plan.moves[0]?.reason ?? '', /3 others of the service at "a", 0 at "b"/);
  });

  it('binpack gathers what lies apart', () => {
    const world = worldOf('a1', 'a2');
    world.service('job', { cpus: 2, placement: { strategy: PlacementStrategy.BINPACK } });
    world.running('job', 'a1', 2);
    world.running('job', 'a2', 1);
    const { moves } = world.plan();
    assert.deepEqual(
      moves.map(({ toNodeId }) => toNodeId),
      ['a1'],
    );
  });

  it('leaves alone what is updated, global, not ready or told to go', () => {
    const world = worldOf('a1', 'a2');
    world.service('busy', {}, { updateStatus: UpdateStatus.create({ state: UpdateState.UPDATING }) });
    world.running('busy', 'a1', 4);
    world.service('everywhere', { global: true });
    world.service('leaving', {});
    for (let i = 0; i < 4; i++) {
      const task = pendingTask(`x${i}`, 'leaving', { nodeId: 'a1', evictReason: i < 2 ? 'told to' : '' });
      const health = TaskHealth.create({ state: HealthState.UNHEALTHY, ready: false });
      world.commit(create('task', inState(task, TaskState.RUNNING, i < 2 ? {} : { health })));
    }
    const { moves, notes } = world.plan();
    assert.deepEqual(moves, []);
    assert.deepEqual(notes, [
      'service busy: it is being updated',
      'service everywhere: only replicated services are moved',
    ]);
  });

  it('comes to rest: a plan that was carried out leaves no other that moves the same task', () => {
    const placed = fc.array(fc.tuple(fc.constantFrom('web', 'db', 'zoned'), fc.constantFrom('a1', 'a2', 'b1', 'b2')), {
      maxLength: 25,
    });
    fc.assert(
      fc.property(placed, (tasks) => {
        const world = worldOf('a1', 'a2', 'b1', 'b2');
        world.service('web', {});
        world.service('db', { maxReplicas: 8 });
        world.service('zoned', { spread: ['node.labels.zone'] });
        for (const [serviceId, nodeId] of tasks) world.running(serviceId, nodeId, 1);
        let rounds = 0;
        for (let plan = world.plan(); plan.moves.length > 0; plan = world.plan()) {
          world.carryOut(plan.moves);
          assert.ok(++rounds <= 4, 'it goes on for ever');
        }
        const counts = Object.values(world.counts('web'));
        const missing = 4 - counts.length > 0 ? 0 : Math.min(...counts);
        if (counts.length > 0) assert.ok(Math.max(...counts) - missing <= 1, JSON.stringify(world.counts('web')));
      }),
      { numRuns: 200 },
    );
  });
});
