/** Goal: updates are tried out, watched and given up as declared. Method: one service (`rollout-cluster.ts`). */
import assert from 'node:assert/strict';
import { RevisionOutcome, type Task, TaskState, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import {
  EndpointSpec,
  FailureAction,
  Mount,
  MountType,
  NetworkAttachmentSpec,
  NodeAvailability,
  NodeSpec,
  ServiceSpec,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { updateRules } from '#manager/orchestrator/service-settings.ts';
import { hostPort, spec } from '#test/manager/loops/objects.ts';

import { Rollout, rollsBack, startFirst } from './rollout-cluster.ts';

describe('orchestrator: a bad revision costs what the settings allow', () => {
  for (const image of ['bad:2', 'hung:2', 'sick:2'])
    it(`start-first with ${image}: all ten stay healthy, and it is rolled back by itself`, () => {
      const rollout = new Rollout({ replicas: 10 });
      rollout.updateTo(image, { ...startFirst, ...rollsBack, progressDeadlineMs: 60_000 });
      let fewest = 10;
      rollout.follow(200_000, () => {
        fewest = Math.min(fewest, rollout.healthySlots());
      });
      // One that crashes has run, and is known to be bad only then.
      assert.equal(fewest, image === 'bad:2' ? 9 : 10);
      assert.deepEqual(rollout.images(), { 'good:1': 10 });
      assert.equal(rollout.status.state, UpdateState.ROLLBACK_COMPLETED);
      assert.equal(rollout.outcome(2), RevisionOutcome.FAILED);
      assert.equal(rollout.outcome(3), RevisionOutcome.HEALTHY);
    });

  it('stop-first: as many slots as are moved at a time, for all that have nothing to check', () => {
    const rollout = new Rollout({ replicas: 10 });
    rollout.updateTo('bad:2', { ...rollsBack, parallelism: 2 });
    let fewest = 10;
    rollout.follow(100_000, () => {
      fewest = Math.min(fewest, rollout.healthySlots());
    });
    assert.equal(fewest, 8);
    assert.deepEqual(rollout.images(), { 'good:1': 10 });
  });

  it('the first ones prove themselves, then the others follow at their pace', () => {
    const rollout = new Rollout({ replicas: 6 });
    rollout.updateTo('good:2', { parallelism: 2, monitorMs: 20_000 });
    rollout.cluster.run(19_000);
    assert.equal(rollout.images()['good:2'], 2);
    rollout.cluster.run(3000);
    assert.equal(rollout.images()['good:2'], 6);
  });

  it('a task that loses its readiness while it is watched is waited for anew', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('good:2', { monitorMs: 10_000 });
    rollout.cluster.run(5000);
    const [task] = rollout.cluster.running().filter((one) => one.revision === 2);
    assert.ok(task);
    rollout.cluster.setReady(task, false, 'no connection to the database');
    rollout.cluster.run(60_000);
    assert.equal(rollout.images()['good:1'], 2, 'nothing follows it');
    const ready = rollout.cluster.store.get('task', task.id);
    assert.ok(ready);
    rollout.cluster.setReady(ready, true);
    rollout.cluster.run(9000);
    assert.equal(rollout.images()['good:1'], 2);
    rollout.cluster.run(30_000);
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
  });

  it('with order start-first an abandoned update does not take what runs with it', () => {
    const rollout = new Rollout({ replicas: 2 });
    for (const image of ['hung:2', 'hung:3']) {
      rollout.updateTo(image, { ...startFirst, parallelism: 0 });
      rollout.cluster.run(60_000);
      assert.deepEqual(rollout.images(), { 'good:1': 2 });
    }
  });
});

describe('orchestrator: order auto', () => {
  function isStartFirst(fields: Partial<ServiceSpec>): boolean {
    const update = UpdateConfig.create({ order: UpdateOrder.AUTO });
    return updateRules({ ...spec({ update }), ...fields }, 'update').startFirst;
  }

  function mounted(fields: Partial<Mount>): Partial<ServiceSpec> {
    const base = spec();
    assert.ok(base.task?.container);
    const mounts = [Mount.create({ type: MountType.VOLUME, source: 'data', target: '/data', ...fields })];
    return { task: { ...base.task, container: { ...base.task.container, mounts } } };
  }

  it('is start-first, unless something is for one task at a time', () => {
    assert.equal(isStartFirst({}), true);
    assert.equal(isStartFirst({ endpoint: EndpointSpec.create({ ports: [hostPort(80)] }) }), false);
    assert.equal(isStartFirst(mounted({})), false);
    assert.equal(isStartFirst(mounted({ type: MountType.BIND, source: '/srv' })), false);
    assert.equal(isStartFirst(mounted({ readOnly: true })), true);
    assert.equal(isStartFirst(mounted({ source: '' })), true, 'a volume of its own');
    assert.equal(isStartFirst(mounted({ type: MountType.TMPFS, source: '' })), true);
    const on = (fields: Partial<NetworkAttachmentSpec>): Partial<ServiceSpec> =>
      ({ task: { ...spec().task, networks: [NetworkAttachmentSpec.create(fields)] } }) as Partial<ServiceSpec>;
    assert.equal(isStartFirst(on({ network: 'front' })), true);
    assert.equal(isStartFirst(on({ network: 'front', addresses: ['10.0.0.9'] })), false);
    assert.equal(isStartFirst(on({ network: 'host' })), false);
  });
});

describe('orchestrator: progress deadline', () => {
  it('says which task does not come and why, with the reason of a stalled update', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('hung:2', { progressDeadlineMs: 30_000 });
    rollout.cluster.run(29_000);
    assert.equal(rollout.status.state, UpdateState.UPDATING);
    rollout.cluster.run(2000);
    assert.equal(rollout.status.state, UpdateState.PAUSED);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.STALLED);
    assert.match(
      rollout.status.message,
      /^update paused because no task became healthy within 30s: task \w+ is being prepared/,
    );
    assert.equal(rollout.status.failedTask, rollout.cluster.wanted().find((task) => task.revision === 2)?.id);
  });

  it('tells an impossible place, a crash loop within tolerance, and a task that is not ready', () => {
    const impossible = new Rollout({ replicas: 2 });
    impossible.update((before) => {
      const made = spec({ image: 'good:2', replicas: 2, constraints: ['node.labels.a==b'] });
      return { ...made, name: before.name, update: UpdateConfig.create({ progressDeadlineMs: 30_000 }) };
    });
    impossible.cluster.run(40_000);
    assert.match(impossible.status.message, /has no node: no suitable node/);
    const sick = new Rollout({ replicas: 2 });
    sick.updateTo('sick:2', { progressDeadlineMs: 30_000 });
    sick.cluster.run(5000);
    const [task] = sick.cluster.running().filter((one) => one.revision === 2);
    assert.ok(task);
    sick.cluster.setReady(task, false, 'HTTP 503');
    sick.cluster.run(40_000);
    assert.match(sick.status.message, /runs and is not ready: HTTP 503$/);
  });

  it('each task that becomes healthy gives new time, and one that lost it again does not', () => {
    const rollout = new Rollout({ replicas: 4 });
    rollout.updateTo('sick:2', { progressDeadlineMs: 60_000, parallelism: 4, monitorMs: 1000 });
    rollout.cluster.run(1000);
    const tasks = rollout.cluster.running().filter((one) => one.revision === 2);
    assert.equal(tasks.length, 4);
    rollout.cluster.run(40_000);
    rollout.cluster.setReady(tasks[0] as Task, true);
    rollout.cluster.run(50_000);
    assert.equal(rollout.status.state, UpdateState.UPDATING);
    rollout.cluster.run(15_000);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.STALLED);

    const flapping = new Rollout({ replicas: 1 });
    flapping.updateTo('sick:2', { progressDeadlineMs: 60_000, monitorMs: 20_000 });
    flapping.cluster.run(1000);
    for (let i = 0; i < 10; i++) {
      const [task] = flapping.cluster.running();
      assert.ok(task);
      flapping.cluster.setReady(task, i % 2 === 0);
      flapping.cluster.run(9000);
    }
    assert.equal(flapping.status.pauseReason, UpdatePauseReason.STALLED);
  });

  it('waiting between slots is no lack of progress; without a deadline it waits for ever', () => {
    const slow = new Rollout({ replicas: 3 });
    slow.updateTo('good:2', { delayMs: 3_600_000, progressDeadlineMs: 10_000 });
    slow.cluster.run(12_000_000);
    assert.equal(slow.status.state, UpdateState.COMPLETED);
    const patient = new Rollout({ replicas: 1 });
    patient.updateTo('hung:2', { progressDeadlineMs: 0 });
    patient.cluster.run(86_400_000);
    assert.equal(patient.status.state, UpdateState.UPDATING);
  });

  it('ten minutes when nothing is said; continue gives the slot up and ends', () => {
    const rollout = new Rollout({ replicas: 2 });
    rollout.updateTo('hung:2', { failureAction: FailureAction.CONTINUE });
    rollout.cluster.run(9 * 60_000);
    assert.equal(rollout.cluster.wanted().filter((task) => task.revision === 2).length, 1);
    rollout.cluster.run(12 * 60_000);
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
    assert.equal(rollout.outcome(2), RevisionOutcome.FAILED);
  });

  it('is kept by a new leader', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('hung:2', { progressDeadlineMs: 30_000 });
    for (let i = 0; i < 14; i++) {
      rollout.cluster.run(2000);
      rollout.cluster.changeLeader();
    }
    assert.equal(rollout.status.state, UpdateState.UPDATING);
    rollout.cluster.run(3000);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.STALLED);
  });

  it('carries the last lines of the task that failed', () => {
    const rollout = new Rollout({ replicas: 2 });
    rollout.updateTo('good:2', { failureAction: FailureAction.ROLLBACK });
    rollout.cluster.run(1000);
    const [task] = rollout.cluster.running().filter((one) => one.revision === 2);
    assert.ok(task);
    rollout.cluster.report(task, TaskState.FAILED, { error: 'exit code 3', lastLog: ['no such table: users'] });
    rollout.cluster.run(60_000);
    assert.equal(rollout.status.state, UpdateState.ROLLBACK_COMPLETED);
    assert.deepEqual(rollout.status.failedTaskLog, ['no such table: users']);
    assert.equal(rollout.status.failedTask, task.id);
  });
});

describe('orchestrator: canaries', () => {
  it('are moved, watched to the end, and waited with; promoted, the rest follows', () => {
    const rollout = new Rollout({ replicas: 5 });
    rollout.updateTo('good:2', { canaries: 2, parallelism: 2 });
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 3, 'good:2': 2 });
    assert.equal(rollout.status.state, UpdateState.PAUSED);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.CANARY);
    assert.throws(() => rollout.resume(), /waits for a word on its canaries/);
    rollout.promote();
    rollout.promote();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 5 });
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
  });

  it('run beside the full old set with order start-first, and replace it when promoted', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('good:2', { ...startFirst, canaries: 1 });
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 3, 'good:2': 1 });
    rollout.promote();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 3 });
    assert.equal(rollout.cluster.wanted().length, 3);
  });

  it('promote themselves when that was asked for', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('good:2', { ...startFirst, canaries: 1, autoPromote: true });
    rollout.cluster.run(4000);
    assert.deepEqual(rollout.images(), { 'good:1': 3, 'good:2': 1 });
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 3 });
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
  });

  it('that fail end the update; aborted ones too, and the old set is as it was', () => {
    const failing = new Rollout({ replicas: 3 });
    const before = failing.cluster.running().map(({ id }) => id);
    failing.updateTo('bad:2', { ...startFirst, ...rollsBack, canaries: 1 });
    failing.cluster.run(60_000);
    assert.equal(failing.status.state, UpdateState.ROLLBACK_COMPLETED);
    assert.deepEqual(
      failing.cluster
        .running()
        .map(({ id }) => id)
        .sort(),
      before.sort(),
    );

    const aborted = new Rollout({ replicas: 3 });
    const old = aborted.cluster.running().map(({ id }) => id);
    aborted.updateTo('good:2', { ...startFirst, canaries: 2, parallelism: 2 });
    aborted.cluster.run(60_000);
    aborted.abort();
    aborted.cluster.run(60_000);
    assert.deepEqual(
      aborted.cluster
        .running()
        .map(({ id }) => id)
        .sort(),
      old.sort(),
    );
    assert.equal(aborted.outcome(2), RevisionOutcome.ABORTED);
    assert.equal(aborted.status.state, UpdateState.ROLLBACK_COMPLETED);
  });

  it('scaling meanwhile adds tasks of the old kind, and takes away no more than was asked', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('good:2', { canaries: 1 });
    rollout.cluster.run(60_000);
    rollout.scale(6);
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 5, 'good:2': 1 });
    rollout.scale(2);
    rollout.cluster.run(60_000);
    assert.equal(rollout.cluster.running().length, 2);
    rollout.promote();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 2 });
  });

  it('more than there are tasks: all of them, and still a word is waited for', () => {
    const rollout = new Rollout({ replicas: 2 });
    rollout.updateTo('good:2', { canaries: 9 });
    rollout.cluster.run(60_000);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.CANARY);
    assert.deepEqual(rollout.images(), { 'good:2': 2 });
    rollout.promote();
    rollout.cluster.run(10_000);
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
  });

  it('an old task beside a canary leaves a drained node', () => {
    const rollout = new Rollout({ replicas: 2 });
    rollout.updateTo('good:2', { ...startFirst, canaries: 2, parallelism: 2 });
    rollout.cluster.run(60_000);
    assert.equal(rollout.cluster.running().length, 4);
    const [old] = rollout.cluster.running().filter((one) => one.revision === 1);
    assert.ok(old);
    const drained = NodeSpec.create({ availability: NodeAvailability.DRAIN });
    rollout.cluster.edit('node', old.nodeId, { spec: drained });
    rollout.cluster.run(60_000);
    assert.equal(rollout.cluster.running().filter(({ nodeId }) => nodeId === old.nodeId).length, 0);
    assert.equal(rollout.images()['good:2'], 2);
  });
});
