/**
 * Goal: what moves tasks off nodes holds up nobody: a plan looks at no more tasks than its slice, whatever the size of
 * services, one after a change costs what has changed, and no node waits for another one that is always busy. Method: the
 * loop alone, on a store that counts what is read of it; the counts against those made anew.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Cluster, NodeState, NodeStatus, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeSpec, UpdateConfig } from '#gen/swarm/v1/specs.ts';
import { MoveLoop } from '#manager/orchestrator/drain/move-loop.ts';
import { SlotCount } from '#manager/orchestrator/drain/slot-count.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG } from '#manager/orchestrator/index.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import type { Change, Plan } from '#manager/store/index.ts';
import { MemoryStore } from '#test/manager/loops/memory-store.ts';
import { create, node, service, spec, T0, update } from '#test/manager/loops/objects.ts';

const SLICE = 100;
const PLANS_MAX = 1000;

/** Counts the tasks that are read by service, and by node. */
class CountingStore extends MemoryStore {
  ofServices = 0;
  ofNodes = 0;

  override tasksOfService(serviceId: string): Iterable<Task> {
    const tasks = super.tasksOfService(serviceId);
    const note = (): void => void this.ofServices++;
    return counted(tasks, note);
  }

  override tasksOfNode(nodeId: string): Iterable<Task> {
    const tasks = super.tasksOfNode(nodeId);
    const note = (): void => void this.ofNodes++;
    return counted(tasks, note);
  }
}

function* counted(tasks: Iterable<Task>, note: () => void): Generator<Task, void> {
  for (const task of tasks) {
    note();
    yield task;
  }
}

class World {
  readonly store = new CountingStore();
  readonly loop = new MoveLoop({ ...DEFAULT_ORCHESTRATOR_CONFIG, movesPerSlice: SLICE });

  constructor(nodes: number, services: number, replicas: number) {
    const changes: Change[] = [create('cluster', Cluster.create({ id: 'c', featureLevel: IDENTITY_LEVEL }))];
    for (let number = 0; number < nodes; number++) changes.push(create('node', node(`n${number}`)));
    let tasks = 0;
    for (let number = 0; number < services; number++) {
      const declared = spec({ name: `s${number}`, replicas, update: UpdateConfig.create({ parallelism: 1 }) });
      changes.push(create('service', service(`s${number}`, declared)));
      for (let slot = 1; slot <= replicas; slot++)
        changes.push(create('task', running(`s${number}`, slot, `n${tasks++ % nodes}`)));
    }
    this.loop.restore(this.store);
    this.write(...changes);
  }

  write(...changes: readonly Change[]): void {
    const events = this.store.commit(changes, T0);
    assert.ok(events !== undefined);
    for (const event of events) this.loop.observe(event);
  }

  drain(id: string): void {
    const found = this.store.get('node', id);
    assert.ok(found !== undefined);
    const nodeSpec = NodeSpec.create({ ...found.spec, availability: NodeAvailability.DRAIN });
    this.write(update('node', { ...found, spec: nodeSpec }));
  }

  /** A status of one of the node's tasks that says nothing new. */
  touch(id: string): void {
    const [task] = this.store.tasksOfNode(id);
    assert.ok(task !== undefined);
    this.write(update('task', { ...task }));
  }

  plan(): Plan {
    this.store.ofServices = 0;
    this.store.ofNodes = 0;
    const plan = this.loop.plan(this.store, T0);
    for (const group of plan.changes) this.write(...group);
    return plan;
  }

  /** Until nothing is to be done; gives the number of plans. */
  settle(look: (plan: Plan) => void = () => {}): number {
    for (let plans = 1; plans <= PLANS_MAX; plans++) {
      const plan = this.plan();
      look(plan);
      if (plan.more !== true && plan.changes.length === 0) return plans;
    }
    return assert.fail('no rest');
  }
}

function running(serviceId: string, slot: number, nodeId: string): Task {
  const status = TaskStatus.create({ state: TaskState.RUNNING });
  return Task.create({
    id: `${serviceId}-${slot}`,
    serviceId,
    slot,
    nodeId,
    revision: 1,
    desiredState: TaskState.RUNNING,
    status,
  });
}

describe('orchestrator: slices of drains', () => {
  it('a plan counts no more than its slice, however many and large the services are, and gets on', () => {
    const world = new World(20, 4, 500);
    world.drain('n0');
    const onNode = [...world.store.tasksOfNode('n0')].length;
    const plans = world.settle(() => {
      assert.ok(world.store.ofServices <= SLICE / 2, `${world.store.ofServices} tasks of services`);
      assert.ok(world.store.ofNodes <= SLICE + onNode, `${world.store.ofNodes} tasks of nodes`);
    });
    assert.ok(plans >= 2000 / SLICE, 'in slices');
    const told = [...world.store.tasksOfNode('n0')].filter(({ evictReason }) => evictReason !== '');
    assert.equal(told.length, DEFAULT_ORCHESTRATOR_CONFIG.drainParallelism);
  });

  it('what is counted is not counted again: a change costs a look at the node', () => {
    const world = new World(20, 4, 500);
    world.drain('n0');
    world.settle();
    for (const id of ['n0', 'n1', 'n7']) {
      world.touch(id);
      world.settle(() => assert.equal(world.store.ofServices, 0));
    }
    // Which tasks are healthy hangs on their nodes.
    const lost = world.store.get('node', 'n7');
    assert.ok(lost !== undefined);
    world.write(update('node', { ...lost, status: NodeStatus.create({ state: NodeState.DOWN }) }));
    let counted = 0;
    world.settle(() => {
      counted += world.store.ofServices;
    });
    assert.equal(counted, 2000);
    assert.match(world.store.get('node', 'n0')?.drain?.message ?? '', /: \d+ of 500 are healthy where they stay/);
  });

  it('a node that is always busy holds up no other', () => {
    const world = new World(4, 1, 4 * SLICE);
    for (const id of ['n0', 'n1', 'n2', 'n3']) world.drain(id);
    for (let plans = 0; plans < 40; plans++) {
      for (const id of ['n0', 'n1']) world.touch(id);
      world.plan();
    }
    for (const id of ['n0', 'n1', 'n2', 'n3']) assert.ok(world.store.get('node', id)?.drain !== undefined, id);
  });
});

describe('orchestrator: counts of slots', () => {
  const change = fc.record({
    id: fc.nat({ max: 11 }),
    nodeId: fc.constantFrom('here', 'lost'),
    state: fc.constantFrom(TaskState.READY, TaskState.RUNNING, TaskState.FAILED),
    desiredState: fc.constantFrom(TaskState.RUNNING, TaskState.SHUTDOWN),
    evictReason: fc.constantFrom('', 'its node is drained'),
    finalReason: fc.constantFrom('', 'restart condition is none'),
    kind: fc.constantFrom('set', 'set', 'remove', 'read'),
  });

  it('are those of the tasks that there are, read in whatever slices while things go on', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), fc.array(change, { maxLength: 40 }), (before, during) => {
        const made = ({ id, state, kind: _, ...fields }: (typeof before)[number]): Task =>
          // Three tasks in a slot: whose slot it is never changes.
          Task.create({ ...fields, id: `t${id}`, slot: id % 4, status: TaskStatus.create({ state }) });
        const tasks = new Map(before.map((one) => [`t${one.id}`, made(one)]));
        const count = new SlotCount([...tasks.values()], (nodeId) => nodeId === 'here');
        for (const one of during) {
          const task = made(one);
          if (one.kind === 'read') count.read(one.id);
          else if (one.kind === 'set') {
            tasks.set(task.id, task);
            count.set(task);
          } else if (tasks.delete(task.id)) count.remove(task);
          if (count.isRead) assert.deepEqual([count.healthy, count.final], counts([...tasks.values()]));
        }
        while (!count.isRead) assert.ok(count.read(3) <= 3);
        assert.deepEqual([count.healthy, count.final], counts([...tasks.values()]));
      }),
      { numRuns: 500 },
    );
  });

  /** The plain way. */
  function counts(tasks: readonly Task[]): readonly [number, number] {
    const wanted = tasks.filter(({ desiredState }) => desiredState === TaskState.RUNNING);
    const healthy = wanted.filter(
      ({ status, evictReason, nodeId }) =>
        status?.state === TaskState.RUNNING && evictReason === '' && nodeId === 'here',
    );
    const ended = tasks.filter((task) => !wanted.includes(task) && task.finalReason !== '');
    const isOver = (slot: number): boolean => !wanted.some((task) => task.slot === slot);
    const final = new Set(ended.map(({ slot }) => slot).filter(isOver));
    return [new Set(healthy.map(({ slot }) => slot)).size, final.size];
  }
});
