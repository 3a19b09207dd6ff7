/**
 * Goal: updates are tried out, steered and given up as declared and asked. Method: all loops with agents under virtual
 * time; images whose name begins with "bad" end soon after they start, "hung" never comes up, "sick" runs and is never
 * ready. What operators ask for goes through the decisions of the API.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import {
  NodeState,
  RevisionOutcome,
  type Service,
  type Task,
  TaskState,
  UpdatePauseReason,
  UpdateState,
  type UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
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
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  type RolloutHelp,
  resumeRollout,
  rollbackService,
} from '#manager/control/rollouts.ts';
import { type Decision, updateService } from '#manager/control/services.ts';
import { updateRules } from '#manager/orchestrator/service-settings.ts';
import type { StoreView } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import {
  cluster as clusterObject,
  hostPort,
  node,
  revision,
  type SpecOptions,
  service,
  spec,
} from '#test/manager/loops/objects.ts';

class Rollout {
  readonly cluster: LoopCluster;
  readonly #random = new SeededRandom(7);

  constructor(options: SpecOptions, nodes = 3) {
    this.cluster = new LoopCluster({
      fate: (task) =>
        this.imageOf(task).startsWith('bad') ? { afterMs: 500, state: TaskState.FAILED, exitCode: 7 } : undefined,
      hangsAt: (task) => (this.imageOf(task).startsWith('hung') ? TaskState.PREPARING : undefined),
      isReady: (task) => (this.imageOf(task).startsWith('sick') ? false : undefined),
    });
    this.cluster.create('cluster', { ...clusterObject(), featureLevel: 4 });
    for (let i = 1; i <= nodes; i++) this.cluster.create('node', node(`n${i}`));
    const declared = spec({ image: 'good:1', ...options });
    this.cluster.create('service', service('web', declared));
    this.cluster.create('revision', revision('web', 1, declared));
    this.cluster.run(60_000);
  }

  get service(): Service {
    const found = this.cluster.store.get('service', 'web');
    assert.ok(found);
    return found;
  }

  get status(): UpdateStatus {
    const { updateStatus } = this.service;
    assert.ok(updateStatus);
    return updateStatus;
  }

  imageOf(task: Task): string {
    return this.cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
  }

  update(change: (before: ServiceSpec) => ServiceSpec): void {
    const { id, version, spec: before } = this.service;
    assert.ok(before);
    this.decide((view) => updateService(view, { id, version, spec: change(before) }, 'me', this.#random));
  }

  /** The image, and with what settings to bring it in. */
  updateTo(image: string, update: Partial<UpdateConfig>, replicas?: number): void {
    this.update((before) => {
      const made = spec({ image, replicas: replicas ?? this.replicas });
      return { ...made, update: UpdateConfig.create(update), rollback: before.rollback };
    });
  }

  get replicas(): number {
    const mode = this.service.spec?.mode;
    return mode?.kind === 'replicated' ? mode.value.replicas : 0;
  }

  scale(replicas: number): void {
    this.update((before) => ({ ...before, mode: { kind: 'replicated', value: { replicas } } }));
  }

  decide<T>(decision: (view: StoreView, help: RolloutHelp) => Decision<T>): T {
    const help = { author: 'me', random: this.#random, nowMs: this.cluster.nowMs };
    const { result, changes } = decision(this.cluster.store, help);
    if (changes.length > 0) this.cluster.commit(...changes);
    return result;
  }

  pause(): void {
    this.decide((view, help) => pauseRollout(view, 'web', help));
  }
  resume(): void {
    this.decide((view, help) => resumeRollout(view, 'web', help));
  }
  abort(): void {
    this.decide((view, help) => abortRollout(view, 'web', help));
  }
  promote(): void {
    this.decide((view) => promoteRollout(view, 'web'));
  }
  rollback(number = 0): void {
    this.decide((view, help) => rollbackService(view, 'web', number, help));
  }

  /** How many tasks of each image run and are ready. */
  images(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const task of this.cluster.running()) {
      if (task.status?.health?.ready === false) continue;
      counts[this.imageOf(task)] = (counts[this.imageOf(task)] ?? 0) + 1;
    }
    return counts;
  }

  outcome(number: number): RevisionOutcome | undefined {
    return this.cluster.store.revision('web', number)?.outcome;
  }

  /** Runs on, with a look at it after each step. */
  follow(forMs: number, look: () => void): void {
    const untilMs = this.cluster.nowMs + forMs;
    while (this.cluster.nowMs < untilMs) {
      while (this.cluster.settle() + this.cluster.stepAgents() > 0) look();
      this.cluster.nowMs += 500;
    }
  }

  /** Slots with a task that runs and is ready. */
  healthySlots(): number {
    const healthy = this.cluster.running().filter((task) => task.status?.health?.ready !== false);
    return new Set(healthy.map(({ slot }) => slot)).size;
  }
}

const startFirst: Partial<UpdateConfig> = { order: UpdateOrder.START_FIRST };
const rollsBack: Partial<UpdateConfig> = { failureAction: FailureAction.ROLLBACK };

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

describe('orchestrator: updates that operators steer', () => {
  it('paused, nothing moves; resumed, it goes on', () => {
    const rollout = new Rollout({ replicas: 4 });
    rollout.updateTo('good:2', { delayMs: 5000 });
    rollout.cluster.run(2000);
    rollout.pause();
    rollout.pause();
    rollout.cluster.run(100_000);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.USER);
    assert.deepEqual(rollout.images(), { 'good:1': 3, 'good:2': 1 });
    rollout.cluster.changeLeader();
    rollout.resume();
    rollout.cluster.run(100_000);
    assert.deepEqual(rollout.images(), { 'good:2': 4 });
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
    assert.throws(() => rollout.pause(), /there is no update of service web to pause/);
    assert.throws(() => rollout.resume(), /there is no update of service web to resume/);
    assert.throws(() => rollout.abort(), /there is no update of service web to abort/);
    assert.throws(() => rollout.promote(), /no update of service web has canaries/);
  });

  it('paused before it begins, it begins when it is resumed', () => {
    const rollout = new Rollout({ replicas: 2 });
    rollout.updateTo('good:2', {});
    rollout.pause();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 2 });
    rollout.resume();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 2 });
  });

  it('resumed after a failure, it tries what failed again, also what the restart policy had given up', () => {
    const rollout = new Rollout({ replicas: 3, task: {} });
    rollout.updateTo('good:2', { delayMs: 2000 });
    rollout.cluster.run(1000);
    const [task] = rollout.cluster.running().filter((one) => one.revision === 2);
    assert.ok(task);
    rollout.cluster.fail(task);
    rollout.cluster.run(20_000);
    assert.equal(rollout.status.pauseReason, UpdatePauseReason.FAILURE);
    assert.notEqual(rollout.status.failedTask, '');
    rollout.resume();
    assert.equal(rollout.status.failedTask, '');
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 3 });
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
    assert.equal(rollout.outcome(2), RevisionOutcome.HEALTHY);
  });

  it('resumed and failing again, it is paused again', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('bad:2', {});
    rollout.cluster.run(60_000);
    assert.equal(rollout.status.state, UpdateState.PAUSED);
    rollout.resume();
    rollout.cluster.run(600_000);
    assert.equal(rollout.status.state, UpdateState.PAUSED);
    assert.equal(rollout.status.attempt, 1);
    assert.ok((rollout.images()['good:1'] ?? 0) >= 2);
  });

  it('aborted, it goes back, and its revision is neither healthy nor failed', () => {
    const rollout = new Rollout({ replicas: 4 });
    rollout.updateTo('good:2', { delayMs: 5000 });
    rollout.cluster.run(8000);
    rollout.abort();
    assert.equal(rollout.service.revision, 3);
    assert.throws(() => rollout.abort(), /is being rolled back/);
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 4 });
    assert.equal(rollout.outcome(2), RevisionOutcome.ABORTED);
    assert.equal(rollout.outcome(3), RevisionOutcome.HEALTHY);
  });

  it('rolled back to the one before, back and forth, and to any that is kept', () => {
    const rollout = new Rollout({ replicas: 2 });
    for (const image of ['good:2', 'good:3']) {
      rollout.updateTo(image, {});
      rollout.cluster.run(60_000);
    }
    rollout.rollback();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:2': 2 });
    assert.equal(rollout.status.state, UpdateState.ROLLBACK_COMPLETED);
    rollout.rollback();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:3': 2 });
    rollout.rollback(1);
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 2 });
    assert.throws(() => rollout.rollback(1), /is as it was in revision 1 already/);
    assert.throws(() => rollout.rollback(77), /has no revision 77: kept are 1, 2, 3, 4, 5, 6/);
  });

  it('a rollback of what is paused or in the middle goes to what was well; scale and labels stay', () => {
    const rollout = new Rollout({ replicas: 3 });
    rollout.updateTo('bad:2', {});
    rollout.cluster.run(60_000);
    rollout.scale(5);
    rollout.rollback();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 5 });
    assert.throws(() => rollout.rollback(), /has no earlier revision that was well/);
    rollout.updateTo('good:2', { delayMs: 10_000 });
    rollout.cluster.run(3000);
    rollout.rollback();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 5 });
    assert.equal(rollout.outcome(4), RevisionOutcome.ABORTED);
  });

  it('an update that changes nothing moves nothing and makes no revision', () => {
    const rollout = new Rollout({ replicas: 3 });
    const before = rollout.cluster.running().map(({ id }) => id);
    rollout.update((spec_) => ({ ...spec_, labels: { a: 'b' } }));
    rollout.cluster.run(60_000);
    assert.equal(rollout.service.revision, 1);
    assert.deepEqual(
      rollout.cluster.running().map(({ id }) => id),
      before,
    );
  });

  it('goes on when a node is lost, or scaling comes in between', () => {
    const rollout = new Rollout({ replicas: 6 });
    rollout.updateTo('good:2', { delayMs: 3000 });
    rollout.cluster.run(10_000);
    rollout.cluster.setNodeState('n1', NodeState.DOWN);
    rollout.cluster.run(4000);
    rollout.scale(8);
    rollout.cluster.run(5000);
    rollout.scale(5);
    rollout.cluster.run(120_000);
    assert.deepEqual(rollout.images(), { 'good:2': 5 });
    assert.equal(rollout.status.state, UpdateState.COMPLETED);
  });
});

describe('orchestrator: revisions that are kept', () => {
  it('are ten; what tasks run and what was healthy last are among them', () => {
    const rollout = new Rollout({ replicas: 2 });
    for (let i = 2; i <= 30; i++) {
      rollout.updateTo(`hung:${i}`, {});
      rollout.cluster.run(1000);
    }
    const numbers = [...rollout.cluster.store.revisionsOfService('web')]
      .map(({ number }) => number)
      .sort((a, b) => a - b);
    assert.equal(numbers.length, 10);
    assert.equal(numbers[0], 1);
    assert.equal(numbers.at(-1), 30);
    rollout.rollback();
    rollout.cluster.run(60_000);
    assert.deepEqual(rollout.images(), { 'good:1': 2 });
  });

  it('automatic rollbacks do not pile up', () => {
    const rollout = new Rollout({ replicas: 2 });
    for (let i = 2; i <= 20; i++) {
      rollout.updateTo(`bad:${i}`, rollsBack);
      rollout.cluster.run(60_000);
      assert.deepEqual(rollout.images(), { 'good:1': 2 });
    }
    assert.ok([...rollout.cluster.store.revisionsOfService('web')].length <= 10);
  });
});
