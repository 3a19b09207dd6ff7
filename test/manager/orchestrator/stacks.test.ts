/**
 * Goal: what leaves a stack goes in order and whole, and services come behind what they depend on, also across changes of
 * leader. Method: all loops with agents under virtual time; at every step a loop that was restored has to plan what the
 * one that saw everything plans.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import {
  Network,
  type Service,
  Stack,
  StackLeftovers,
  StackSpec,
  StackState,
  type Task,
  TaskState,
  Volume,
  VolumeSpec,
  VolumeState,
} from '#gen/swarm/v1/objects.ts';
import {
  DependencyCondition,
  NetworkAttachmentSpec,
  NetworkSpec,
  RestartCondition,
  ServiceDependency,
  UpdateConfig,
} from '#gen/swarm/v1/specs.ts';
import {
  DEFAULT_ORCHESTRATOR_CONFIG,
  DependencyLoop,
  reviseService,
  StackLoop,
  waitsFor,
} from '#manager/orchestrator/index.ts';
import type { Loop } from '#manager/store/index.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

interface Wants {
  readonly options?: SpecOptions;
  readonly dependsOn?: readonly (readonly [id: string, condition: DependencyCondition])[];
  readonly restart?: boolean;
  readonly optional?: boolean;
  readonly networks?: readonly string[];
}

const { STARTED, HEALTHY, COMPLETED } = DependencyCondition;

class World {
  readonly cluster: LoopCluster;

  constructor(options: Partial<LoopClusterOptions> = {}) {
    this.cluster = new LoopCluster({ seed: 7, ...options });
    for (const id of ['n1', 'n2']) this.cluster.create('node', node(id));
  }

  /** As the API declares one. */
  declare(id: string, wants: Wants = {}): void {
    const declared = service(id, spec(wants.options ?? { replicas: 2 }));
    const dependsOn = (wants.dependsOn ?? []).map(([on, condition]) =>
      ServiceDependency.create({
        service: on,
        condition,
        optional: wants.optional === true,
        restart: wants.restart === true,
      }),
    );
    const networks = (wants.networks ?? []).map((network) => NetworkAttachmentSpec.create({ network }));
    const before = declared.spec;
    assert.ok(before?.task !== undefined);
    const whole = { ...declared, spec: { ...before, name: id, dependsOn, task: { ...before.task, networks } } };
    this.cluster.create('service', { ...whole, waitsFor: waitsFor(this.cluster.store, whole) });
    this.cluster.create('revision', revision(id, 1, whole.spec));
  }

  /** As the API updates one. */
  update(id: string): void {
    const current = this.get(id);
    const task = current.spec?.task;
    assert.ok(current.spec !== undefined && task !== undefined);
    const next = { ...current.spec, task: { ...task, forceUpdate: task.forceUpdate + 1 } };
    const random = new SeededRandom(current.revision);
    const { changes } = reviseService(this.cluster.store, current, {
      id: `revision-${id}-${current.revision + 1}-${random.next()}`.replace('.', ''),
      spec: next,
      createdBy: 'test',
      behindDependencies: true,
    });
    this.cluster.commit(...changes);
  }

  get(id: string): Service {
    const found = this.cluster.store.get('service', id);
    assert.ok(found !== undefined, `service ${id} is there`);
    return found;
  }

  running(id: string): readonly Task[] {
    return this.cluster.running(id);
  }
}

describe('orchestrator: services that wait for others', () => {
  it('first tasks come when all of the dependency run, in a chain', () => {
    const world = new World();
    world.declare('db');
    world.declare('api', { dependsOn: [['db', STARTED]] });
    world.declare('web', { dependsOn: [['api', STARTED]] });
    assert.match(world.get('web').waitsFor, /^api to run \(it waits for db to run\)$/);
    world.cluster.run();
    const first = (id: string) => Math.min(...world.running(id).map(({ createdAtMs }) => createdAtMs));
    const last = (id: string) => Math.max(...world.running(id).map(({ updatedAtMs }) => updatedAtMs));
    assert.equal(world.running('web').length, 2);
    assert.ok(first('api') >= last('db') && first('web') >= last('api'));
    for (const id of ['db', 'api', 'web']) assert.equal(world.get(id).waitsFor, '');
  });

  it('healthy means ready, and the reason is in the service until then', () => {
    let ready = false;
    const world = new World({ isReady: (task) => (task.serviceId === 'db' ? ready : undefined) });
    world.declare('db');
    world.declare('web', { dependsOn: [['db', HEALTHY]] });
    world.cluster.run(30_000);
    assert.equal(world.cluster.tasks('web').length, 0);
    assert.equal(world.get('web').waitsFor, 'db to be healthy');
    ready = true;
    for (const task of world.running('db')) world.cluster.setReady(task, true);
    world.cluster.run(30_000);
    assert.equal(world.running('web').length, 2);
  });

  it('completed means that every task has done its work', () => {
    const done = { afterMs: 1000, state: TaskState.COMPLETE, exitCode: 0 };
    const world = new World({ fate: ({ serviceId }) => (serviceId === 'once' ? done : undefined) });
    world.declare('once', {
      options: { replicas: 1, restart: { condition: RestartCondition.NONE, delayMs: 0, maxAttempts: 0, windowMs: 0 } },
    });
    world.declare('web', { dependsOn: [['once', COMPLETED]] });
    world.cluster.settle();
    assert.equal(world.cluster.tasks('web').length, 0);
    world.cluster.run();
    assert.equal(world.running('web').length, 2);
  });

  it('an update begins when that of the dependency is done, and its tasks run on until then', () => {
    const world = new World();
    world.declare('db', { options: { replicas: 2, update: UpdateConfig.create({ monitorMs: 1000, delayMs: 5000 }) } });
    world.declare('web', { dependsOn: [['db', STARTED]] });
    world.cluster.run();
    const before = world
      .running('web')
      .map(({ id }) => id)
      .sort();
    world.update('db');
    world.update('web');
    world.cluster.settle();
    assert.match(world.get('web').waitsFor, /^db to run: its update goes on$/);
    assert.deepEqual(
      world
        .running('web')
        .map(({ id }) => id)
        .sort(),
      before,
    );
    world.cluster.run();
    assert.equal(world.get('web').waitsFor, '');
    assert.ok(world.running('web').every(({ revision: number }) => number === 2));
    const updatedAtMs = world.get('db').updateStatus?.completedAtMs ?? 0;
    assert.ok(world.running('web').every(({ createdAtMs }) => createdAtMs >= updatedAtMs && updatedAtMs > 0));
  });

  it('a task that is lost is replaced, and a service is scaled, whatever became of the dependency', () => {
    const world = new World();
    world.declare('db');
    world.declare('web', { dependsOn: [['db', STARTED]] });
    world.cluster.run();
    world.cluster.edit('service', 'db', { pendingDelete: true });
    world.cluster.run();
    const [task] = world.running('web');
    assert.ok(task !== undefined);
    world.cluster.fail(task);
    world.cluster.edit('service', 'web', {
      spec: { ...spec({ replicas: 4 }), dependsOn: world.get('web').spec?.dependsOn ?? [] },
    });
    world.cluster.run();
    assert.equal(world.running('web').length, 4);
  });

  it('one that is gone is waited for with that reason, unless it is optional', () => {
    const world = new World();
    world.declare('strict', { dependsOn: [['ghost', STARTED]] });
    world.declare('loose', { dependsOn: [['ghost', STARTED]], optional: true });
    world.cluster.run();
    assert.equal(world.get('strict').waitsFor, 'service ghost, which is not there any more');
    assert.equal(world.running('strict').length, 0);
    assert.equal(world.running('loose').length, 2);
  });

  it('services of nodes and jobs keep behind, too', () => {
    let ready = false;
    const world = new World({ isReady: (task) => (task.serviceId === 'db' ? ready : undefined) });
    world.declare('db');
    world.declare('agent', { options: { global: true }, dependsOn: [['db', HEALTHY]] });
    world.cluster.run(30_000);
    assert.equal(world.cluster.tasks('agent').length, 0);
    ready = true;
    for (const task of world.running('db')) world.cluster.setReady(task, true);
    world.cluster.run(30_000);
    assert.equal(world.running('agent').length, 2);
  });

  it('a service that asked for it gets new tasks once when its dependency was updated', () => {
    const world = new World();
    world.declare('db');
    world.declare('web', { dependsOn: [['db', STARTED]], restart: true });
    world.cluster.run();
    world.update('db');
    world.cluster.run();
    assert.equal(world.get('web').revision, 2);
    assert.ok(world.running('web').every(({ revision: number }) => number === 2));
    world.cluster.changeLeader();
    world.cluster.run();
    assert.equal(world.get('web').revision, 2);
  });
});

describe('orchestrator: volumes of a removed stack', () => {
  it('that their node does not give away are asked for again every few seconds, until it does', () => {
    const { cluster } = new World();
    const volume = Volume.create({ id: 'v1', nodeId: 'n1', state: VolumeState.READY, mountpoint: '/data' });
    cluster.create('volume', { ...volume, spec: VolumeSpec.create({ name: 'shop_data' }) });
    cluster.create('stack', {
      ...Stack.create({ id: 'shop', state: StackState.REMOVING, removeVolumes: true, volumeNames: ['shop_data'] }),
      spec: StackSpec.create({ name: 'shop' }),
    });
    let asked = 0;
    const beganMs = cluster.nowMs;
    while (cluster.nowMs < beganMs + 60_000) {
      cluster.settle();
      if (cluster.store.get('volume', 'v1')?.pendingDelete === true) {
        asked++;
        cluster.edit('volume', 'v1', { pendingDelete: false, message: 'it is in use' });
        cluster.settle();
      }
      cluster.nowMs = Math.max(cluster.nowMs + 1, cluster.wakeAtMs() ?? 0);
    }
    const every = DEFAULT_ORCHESTRATOR_CONFIG.volumeRetryMs;
    assert.ok(asked >= 60_000 / every && asked <= 60_000 / every + 1, `asked ${asked} times in a minute`);
    assert.match(cluster.store.get('stack', 'shop')?.message ?? '', /volume shop_data to be removed by its node/);
    cluster.remove('volume', 'v1');
    cluster.settle();
    assert.equal(cluster.store.get('stack', 'shop'), undefined);
  });
});

describe('orchestrator: what leaves a stack', () => {
  const stack = (fields: Partial<Stack>): Stack =>
    Stack.create({ id: 'shop', spec: StackSpec.create({ name: 'shop' }), state: StackState.DEPLOYED, ...fields });
  const network = (id: string): Network => Network.create({ id, spec: NetworkSpec.create({ name: id }) });

  it('services, then networks, then the stack; the message says what is waited for', () => {
    const world = new World();
    world.cluster.create('network', network('front'));
    world.declare('web', { networks: ['front'] });
    world.cluster.create('stack', stack({ serviceIds: ['web'], networkIds: ['front'] }));
    world.cluster.run();
    const removals: string[] = [];
    const seen = world.cluster.events.length;
    const messages = new Set<string>();
    world.cluster.edit('stack', 'shop', { state: StackState.REMOVING });
    world.cluster.run();
    for (const event of world.cluster.events.slice(seen)) {
      if (event.table === 'stack') messages.add(event.object.message);
      if (event.kind === 'remove' && event.table !== 'revision' && event.table !== 'task') removals.push(event.table);
    }
    assert.deepEqual(removals, ['service', 'network', 'stack']);
    assert.ok(
      [...messages].some((text) => /services to be gone: web/.test(text)),
      [...messages].join('; '),
    );
  });

  it('a network that another service is on waits for it, and goes with it', () => {
    const world = new World();
    world.cluster.create('network', network('front'));
    world.declare('guest', { networks: ['front'] });
    world.cluster.create('stack', stack({ networkIds: ['front'], state: StackState.REMOVING }));
    world.cluster.run();
    assert.equal(world.cluster.store.get('stack', 'shop')?.message, 'network front, which is in use by service guest');
    world.cluster.edit('service', 'guest', { pendingDelete: true });
    world.cluster.run();
    assert.equal(world.cluster.store.get('network', 'front'), undefined);
    assert.equal(world.cluster.store.get('stack', 'shop'), undefined);
  });

  it('what was pruned goes, and the stack stays; a change of leader in the middle changes nothing', () => {
    const world = new World();
    world.cluster.create('network', network('front'));
    world.declare('web', { networks: ['front'] });
    world.declare('db');
    const leaving = StackLeftovers.create({ serviceIds: ['web'], networkIds: ['front'] });
    world.cluster.run();
    world.cluster.create('stack', stack({ serviceIds: ['db'], leaving }));
    world.cluster.settle();
    world.cluster.changeLeader();
    world.cluster.run();
    const after = world.cluster.store.get('stack', 'shop');
    assert.deepEqual([after?.leaving, after?.message], [undefined, '']);
    assert.equal(world.cluster.store.get('service', 'web'), undefined);
    assert.equal(world.cluster.store.get('network', 'front'), undefined);
    assert.equal(world.running('db').length, 2);
  });
});

describe('orchestrator: the loops of stacks and dependencies are what the store says', () => {
  it('restored at any moment, they plan what those plan that saw everything', () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const world = new World({ seed });
      const make = (): readonly Loop[] => [
        new DependencyLoop(DEFAULT_ORCHESTRATOR_CONFIG, new SeededRandom(9)),
        new StackLoop(DEFAULT_ORCHESTRATOR_CONFIG),
      ];
      const { store, nowMs } = world.cluster;
      const watching = make();
      for (const loop of watching) loop.restore(store);
      let seen = world.cluster.events.length;
      const compare = (): void => {
        for (const event of world.cluster.events.slice(seen)) for (const loop of watching) loop.observe(event);
        seen = world.cluster.events.length;
        for (const [i, fresh] of make().entries()) {
          fresh.restore(store);
          const shape = (loop: Loop | undefined) =>
            loop
              ?.plan(store, Math.max(nowMs, world.cluster.nowMs))
              .changes.map((group) =>
                group
                  .map(({ kind, table, object }) => `${kind} ${table} ${table === 'revision' ? '' : object.id}`)
                  .join(),
              )
              .sort();
          assert.deepEqual(shape(watching[i]), shape(fresh));
        }
      };
      const random = new SeededRandom(seed);
      world.declare('s0');
      for (let i = 1; i < 4; i++)
        world.declare(`s${i}`, {
          dependsOn: [[`s${i - 1}`, random.next() < 0.5 ? STARTED : HEALTHY]],
          restart: random.next() < 0.5,
        });
      world.cluster.create(
        'stack',
        Stack.create({
          id: 'shop',
          spec: { name: 'shop', labels: {}, compose: '' },
          state: StackState.DEPLOYED,
          serviceIds: ['s3'],
        }),
      );
      for (let step = 0; step < 25; step++) {
        const pick = `s${Math.floor(random.next() * 4)}`;
        const choice = random.next();
        const isThere = store.get('service', pick)?.pendingDelete === false;
        if (choice < 0.3 && isThere) world.update(pick);
        else if (choice < 0.4 && step > 15) world.cluster.edit('stack', 'shop', { state: StackState.REMOVING });
        else if (choice < 0.5) {
          const [task] = world.cluster.running();
          if (task !== undefined) world.cluster.fail(task);
        } else world.cluster.stepAgents();
        compare();
        if (random.next() < 0.5) world.cluster.settle();
        if (store.get('stack', 'shop') === undefined) break;
        compare();
      }
    }
  });
});
