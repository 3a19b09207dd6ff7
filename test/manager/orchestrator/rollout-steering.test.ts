/**
 * Goal: operators pause, resume, abort and roll back what they like, and nothing else comes of it; revisions are kept as
 * long as somebody may need them. Method: one service (`rollout-cluster.ts`), and the decisions of the API.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import { NodeState, RevisionOutcome, type Service, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  resumeRollout,
  rollbackService,
} from '#manager/control/rollouts.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { cluster as clusterObject, revision, service, spec } from '#test/manager/loops/objects.ts';

import { Rollout, rollsBack } from './rollout-cluster.ts';

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

describe('control: jobs and services on their way out', () => {
  function declared(mode: ServiceSpec['mode'], fields: Partial<Service> = {}): LoopCluster {
    const cluster = new LoopCluster();
    cluster.create('cluster', { ...clusterObject(), featureLevel: 4 });
    const specs = [1, 2].map((number) => ({ ...spec({ image: `good:${number}` }), mode }));
    for (const [place, one] of specs.entries()) cluster.create('revision', revision('web', place + 1, one));
    const [, present] = specs;
    assert.ok(present);
    cluster.create('service', { ...service('web', present, 2), ...fields });
    return cluster;
  }

  it('jobs have no updates to steer, and go back without one', () => {
    const job = declared({ kind: 'globalJob', value: {} });
    const help = { author: 'me', random: new SeededRandom(1), nowMs: job.nowMs };
    for (const steer of [pauseRollout, resumeRollout, promoteRollout, abortRollout])
      assert.throws(() => steer(job.store, 'web', help), /web is a job: .* no update to steer/);
    const { changes } = rollbackService(job.store, 'web', 1, help);
    job.commit(...changes);
    assert.equal(job.store.get('service', 'web')?.revision, 3);
    assert.equal(job.store.get('service', 'web')?.updateStatus, undefined);
  });

  it('what is being removed is left alone', () => {
    const leaving = declared({ kind: 'global', value: {} }, { pendingDelete: true });
    const help = { author: 'me', random: new SeededRandom(1), nowMs: leaving.nowMs };
    assert.throws(() => pauseRollout(leaving.store, 'web', help), /service web is being removed/);
    assert.throws(() => rollbackService(leaving.store, 'web', 1, help), /service web is being removed/);
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
