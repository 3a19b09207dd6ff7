/**
 * Goal: a slot returns to the node that has its volume, waits for it and says so, and goes elsewhere only when that is
 * allowed; whatever happens, no task of a slot starts with an empty volume while its own is somewhere else. Method: all
 * loops on a store under virtual time, with agents that have a volume once a task that mounts it runs.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { NodeState, type Task, TaskState, Volume, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import {
  ContainerSpec,
  Mount,
  MountType,
  NodeAvailability,
  NodeSpec,
  RestartPolicy,
  type ServiceSpec,
  VolumeOptions,
  VolumeSticky,
} from '#gen/swarm/v1/specs.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

function stateful(
  name: string,
  options: SpecOptions = {},
  sticky: VolumeSticky = VolumeSticky.UNSPECIFIED,
  source = 'data',
): ServiceSpec {
  const mounts = [
    Mount.create({ type: MountType.VOLUME, source, target: '/data', volume: VolumeOptions.create({ sticky }) }),
  ];
  const container = ContainerSpec.create({ image: 'image:1', mounts });
  return spec({ name, ...options, task: { container, restart: RestartPolicy.create({ delayMs: 0 }) } });
}

/** A cluster whose agents report the volumes that their tasks have made. */
class Swarm extends LoopCluster {
  scope = 'local';
  #volumes = 0;

  constructor(nodes: readonly string[]) {
    super();
    for (const id of nodes) this.create('node', node(id));
  }

  declare(id: string, declared: ServiceSpec): void {
    this.create('service', service(id, declared));
    this.create('revision', revision(id, 1, declared));
  }

  /** Nodes say which volumes they have: each that a task of theirs has mounted. */
  reportVolumes(): number {
    let reports = 0;
    for (const task of this.tasks()) {
      if (task.status?.state !== TaskState.RUNNING) continue;
      if (this.store.get('node', task.nodeId)?.status?.state !== NodeState.READY) continue;
      for (const mount of this.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.mounts ?? []) {
        const name = mount.source.replace('{{.Task.Slot}}', String(task.slot));
        if (this.store.find('volume', 'nameOnNode', `${task.nodeId}/${name}`) !== undefined) continue;
        const object = Volume.create({
          id: `vol${++this.#volumes}`,
          nodeId: task.nodeId,
          spec: VolumeSpec.create({ name, driver: 'local' }),
          state: VolumeState.READY,
          scope: this.scope,
        });
        this.create('volume', object);
        reports++;
      }
    }
    return reports;
  }

  work(forMs = 60_000): void {
    do this.run(forMs);
    while (this.reportVolumes() > 0);
    this.run(0);
  }

  one(serviceId: string): Task {
    const wanted = this.wanted(serviceId);
    assert.equal(wanted.length, 1, `tasks of ${serviceId}`);
    const [task] = wanted;
    assert.ok(task !== undefined);
    return task;
  }

  homes(): readonly string[] {
    return [...this.store.all('volume')]
      .flatMap((volume) => volume.claims.map((claim) => `${claim.serviceId}.${claim.slot} ${volume.nodeId}`))
      .toSorted();
  }
}

function other(id: string): string {
  return id === 'a' ? 'b' : 'a';
}

describe('volumes: slots return to their data', () => {
  it('waits for a node that is down, with the reason, and goes on there', () => {
    const swarm = new Swarm(['a', 'b']);
    swarm.declare('db', stateful('db'));
    swarm.work();
    const home = swarm.one('db').nodeId;
    assert.deepEqual(swarm.homes(), [`db.1 ${home}`]);
    swarm.setNodeState(home, NodeState.DOWN);
    swarm.work();
    const waiting = swarm.one('db');
    assert.deepEqual([waiting.status?.state, waiting.nodeId], [TaskState.PENDING, '']);
    assert.match(
      waiting.status?.error ?? '',
      new RegExp(`its volume data is on node ${home}, where it has to wait: .*1 node not available`),
    );
    swarm.changeLeader();
    swarm.work();
    assert.equal(swarm.one('db').nodeId, '', 'a new leader knows it, too');
    swarm.setNodeState(home, NodeState.READY);
    swarm.work();
    assert.deepEqual([swarm.one('db').nodeId, swarm.one('db').status?.state], [home, TaskState.RUNNING]);
  });

  it('goes elsewhere when that is only preferred, and lives there from then on', () => {
    const swarm = new Swarm(['a', 'b']);
    swarm.declare('db', stateful('db', {}, VolumeSticky.PREFERRED));
    swarm.work();
    const home = swarm.one('db').nodeId;
    swarm.fail(swarm.one('db'));
    swarm.work();
    assert.equal(swarm.one('db').nodeId, home, 'the emptier node is not the better one');
    swarm.setNodeState(home, NodeState.DOWN);
    swarm.work();
    assert.equal(swarm.one('db').nodeId, other(home));
    assert.deepEqual(swarm.homes(), [`db.1 ${other(home)}`]);
    swarm.setNodeState(home, NodeState.READY);
    swarm.fail(swarm.one('db'));
    swarm.work();
    assert.equal(swarm.one('db').nodeId, other(home));
  });

  it('goes anywhere when it is off, or when every node reaches the data', () => {
    for (const [sticky, scope] of [
      [VolumeSticky.OFF, 'local'],
      [VolumeSticky.UNSPECIFIED, 'global'],
    ] as const) {
      const swarm = new Swarm(['a', 'b']);
      swarm.scope = scope;
      swarm.declare('db', stateful('db', {}, sticky));
      swarm.work();
      const home = swarm.one('db').nodeId;
      assert.deepEqual(swarm.homes(), []);
      swarm.setNodeState(home, NodeState.DOWN);
      swarm.work();
      assert.equal(swarm.one('db').nodeId, other(home));
    }
  });

  it('each slot by itself, also with a volume of its own', () => {
    for (const source of ['data', 'data-{{.Task.Slot}}']) {
      const swarm = new Swarm(['a', 'b', 'c']);
      swarm.declare('db', stateful('db', { replicas: 3 }, VolumeSticky.UNSPECIFIED, source));
      swarm.work();
      const before = swarm.homes();
      assert.equal(before.length, 3);
      for (const task of swarm.running('db')) swarm.fail(task);
      swarm.work();
      assert.deepEqual(swarm.homes(), before);
      const places = swarm.running('db').map((task) => `db.${task.slot} ${task.nodeId}`);
      assert.deepEqual(places.toSorted(), before);
    }
  });

  it('constraints that the node does not meet any more keep it waiting; a node that was removed sets it free', () => {
    const swarm = new Swarm(['a', 'b']);
    swarm.declare('db', stateful('db'));
    swarm.work();
    const home = swarm.one('db').nodeId;
    swarm.edit('node', home, { spec: NodeSpec.create({ availability: NodeAvailability.DRAIN }) });
    swarm.work();
    assert.equal(swarm.one('db').status?.state, TaskState.PENDING);
    swarm.setNodeState(home, NodeState.DOWN);
    swarm.remove('node', home);
    swarm.work();
    assert.equal(swarm.one('db').nodeId, other(home));
    assert.deepEqual(
      [...swarm.store.all('volume')].map(({ nodeId }) => nodeId),
      [other(home)],
    );
  });

  it('a service that is removed, or mounts it no longer, has no home any more', () => {
    const swarm = new Swarm(['a', 'b']);
    swarm.declare('db', stateful('db'));
    swarm.work();
    const declared = spec({ name: 'db', image: 'image:2' });
    swarm.create('revision', revision('db', 2, declared));
    swarm.edit('service', 'db', { spec: declared, revision: 2 });
    swarm.work();
    assert.deepEqual(swarm.homes(), []);
    swarm.declare('other', stateful('other'));
    swarm.work();
    assert.equal(swarm.homes().length, 1);
    swarm.edit('service', 'other', { pendingDelete: true });
    swarm.work();
    assert.deepEqual(swarm.homes(), []);
    assert.ok(swarm.store.count('volume') > 0, 'what was written stays');
  });

  it('whatever happens: nothing runs away from its data, and a restored leader decides the same', () => {
    const command = fc.oneof(
      fc.record({
        kind: fc.constantFrom('down', 'up', 'drain', 'activate', 'remove', 'crash'),
        pick: fc.nat({ max: 5 }),
      }),
      fc.constant({ kind: 'leader', pick: 0 }),
      fc.constant({ kind: 'pass', pick: 0 }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
        const swarm = new Swarm(['a', 'b', 'c', 'd']);
        swarm.declare('db', stateful('db', { replicas: 3 }));
        swarm.declare('any', spec({ name: 'any', replicas: 2 }));
        swarm.work();
        let before = new Map(swarm.homes().map((home) => home.split(' ') as [string, string]));
        for (const { kind, pick } of commands) {
          act(swarm, kind, pick);
          swarm.work();
          const nodes = new Set([...swarm.store.all('node')].map(({ id }) => id));
          for (const task of swarm.running('db')) {
            const home = before.get(`db.${task.slot}`);
            if (home !== undefined && nodes.has(home))
              assert.equal(task.nodeId, home, `${kind} ${pick}: slot ${task.slot}`);
          }
          before = new Map(swarm.homes().map((home) => home.split(' ') as [string, string]));
          for (const volume of swarm.store.all('volume'))
            assert.ok(nodes.has(volume.nodeId), 'of a node that is there');
          const restored = swarm.newLoops();
          for (const loop of restored) {
            loop.restore(swarm.store);
            if (loop.name === 'volumes' || loop.name === 'scheduler')
              assert.deepEqual(loop.plan(swarm.store, swarm.nowMs).changes, [], loop.name);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});

function act(swarm: Swarm, kind: string, pick: number): void {
  const nodes = [...swarm.store.all('node')].map(({ id }) => id).toSorted();
  const id = nodes[pick % Math.max(1, nodes.length)];
  const tasks = swarm.running('db');
  const task = tasks[pick % Math.max(1, tasks.length)];
  if (kind === 'leader') swarm.changeLeader();
  else if (
    kind === 'crash' &&
    task !== undefined &&
    swarm.store.get('node', task.nodeId)?.status?.state === NodeState.READY
  )
    swarm.fail(task);
  else if (id === undefined) return;
  else if (kind === 'down') swarm.setNodeState(id, NodeState.DOWN);
  else if (kind === 'up') swarm.setNodeState(id, NodeState.READY);
  else if (kind === 'drain' || kind === 'activate') {
    const availability = kind === 'drain' ? NodeAvailability.DRAIN : NodeAvailability.ACTIVE;
    swarm.edit('node', id, { spec: NodeSpec.create({ availability }) });
  } else if (kind === 'remove' && nodes.length > 2) swarm.remove('node', id);
}
