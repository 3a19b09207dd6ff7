/**
 * Goal: a periodic job runs once for each time that its schedule names, whatever leaders and clocks do, and says what it
 * left out. Method: as for the other jobs, under virtual time that is also put forward and back.
 */
import assert from 'node:assert/strict';
import { JobOverlap } from '#gen/swarm/v1/specs.ts';
import type { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { T0 } from '#test/manager/loops/objects.ts';
import { declareJob, editJobSpec, jobCluster, runNow, runsOf, statusOf, told, updateJob } from './job-cluster.ts';

const MINUTE = 60_000;
/** T0 is 22:13:20. */
const NEXT_MINUTE = T0 + 40_000;

const everyMinute = { cron: '* * * * *' };

function dueTimes(cluster: LoopCluster): readonly number[] {
  return runsOf(cluster).map(({ dueAtMs }) => (dueAtMs - NEXT_MINUTE) / MINUTE);
}

describe('orchestrator: periodic jobs', () => {
  it('runs when a time has come, not when it is declared or updated', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.run(30_000);
    assert.deepEqual(told(cluster), []);
    assert.equal(cluster.wakeAtMs(), NEXT_MINUTE);
    updateJob(cluster, { schedule: everyMinute, forceUpdate: 1 });
    cluster.run(2 * MINUTE);
    assert.deepEqual(told(cluster), ['1 completed 1/1', '2 completed 1/1']);
    assert.deepEqual(dueTimes(cluster), [0, 1]);
    assert.equal(runsOf(cluster)[0]?.revision, 2);
  });

  it('one run for each time, with a new leader at every step', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { schedule: everyMinute, total: 2, historyLimit: 100 });
    for (let i = 0; i < 60; i++) {
      cluster.changeLeader();
      cluster.run(11_000);
    }
    const times = dueTimes(cluster);
    assert.deepEqual(
      times,
      times.map((_, i) => i),
    );
    assert.equal(times.length, 11);
    assert.deepEqual(new Set(told(cluster).map((text) => text.split(' ')[1])), new Set(['completed']));
    assert.equal(cluster.tasks('job').length, 22);
  });

  it('skip: what is due while a run goes on is left out and counted', () => {
    const cluster = jobCluster(1, { fate: () => ({ afterMs: 150_000, state: 576 }) });
    declareJob(cluster, { schedule: everyMinute });
    cluster.run(5 * MINUTE);
    assert.deepEqual(told(cluster), ['1 completed 1/1', 'skipped 2', '2 running 0/1', 'skipped 1']);
    assert.equal(runsOf(cluster)[1]?.message, 'run 1 was still running');
    assert.equal(statusOf(cluster).skipped, 3);
  });

  it('queue: one waits and begins when the other has ended; more are left out', () => {
    const cluster = jobCluster(1, { fate: () => ({ afterMs: 150_000, state: 576 }) });
    declareJob(cluster, { schedule: { ...everyMinute, overlap: JobOverlap.QUEUE } });
    cluster.run(160_000);
    assert.deepEqual(told(cluster), ['1 running 0/1', 'skipped 1', '2 queued 0/0']);
    cluster.run(40_000);
    assert.equal(told(cluster)[2], '2 running 0/1');
    assert.deepEqual(dueTimes(cluster).slice(0, 3), [0, 2, 1]);
  });

  it('replace: the run that goes on is stopped', () => {
    const cluster = jobCluster(1, { fate: () => undefined });
    declareJob(cluster, { schedule: { ...everyMinute, overlap: JobOverlap.REPLACE } });
    cluster.run(2 * MINUTE);
    assert.deepEqual(told(cluster), ['1 replaced 0/1', '2 running 0/1']);
    assert.equal(cluster.running('job').length, 1);
    assert.equal(
      [...cluster.containers.values()].reduce((sum, ids) => sum + ids.size, 0),
      1,
    );
  });

  it('after the managers were away: the last time is made up for within the start deadline, the others are counted', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.settle();
    cluster.nowMs = NEXT_MINUTE + 10 * MINUTE + 30_000;
    cluster.changeLeader();
    cluster.run(20_000);
    assert.deepEqual(told(cluster), ['skipped 10', '1 completed 1/1']);
    assert.deepEqual(dueTimes(cluster), [0, 10]);
    assert.equal(runsOf(cluster)[0]?.message, 'a later one was due as well');
  });

  it('what would begin later than the start deadline is left out', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: { ...everyMinute, startDeadlineMs: 20_000 } });
    cluster.settle();
    cluster.nowMs = NEXT_MINUTE + 10 * MINUTE + 30_000;
    cluster.changeLeader();
    cluster.run(20_000);
    assert.deepEqual(told(cluster), ['skipped 11']);
    assert.equal(runsOf(cluster)[0]?.message, 'too late: the start deadline is 20s');
    cluster.run(MINUTE);
    assert.deepEqual(told(cluster), ['skipped 11', '1 completed 1/1']);
  });

  it('a clock that is put back brings no time a second time', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.run(3 * MINUTE);
    assert.equal(told(cluster).length, 3);
    cluster.nowMs -= 2 * MINUTE;
    cluster.changeLeader();
    cluster.run(2 * MINUTE);
    assert.equal(told(cluster).length, 3);
    cluster.run(MINUTE);
    assert.deepEqual(dueTimes(cluster), [0, 1, 2, 3]);
  });

  it('a schedule that was suspended or changed makes nothing up for', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.run(MINUTE);
    editJobSpec(cluster, { schedule: { ...everyMinute, suspended: true } });
    cluster.run(10 * MINUTE);
    assert.equal(cluster.wakeAtMs(), undefined);
    editJobSpec(cluster, { schedule: everyMinute });
    cluster.run(MINUTE);
    assert.deepEqual(dueTimes(cluster), [0, 11]);
    editJobSpec(cluster, { schedule: { cron: '10 * * * *' } });
    cluster.run(MINUTE);
    assert.equal(told(cluster).length, 2);
    assert.equal(statusOf(cluster).skipped, 0);
  });

  it('a schedule that is taken away runs nothing by itself; an update does then', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.settle();
    editJobSpec(cluster, {});
    cluster.run(10 * MINUTE);
    assert.deepEqual(told(cluster), []);
    updateJob(cluster, { forceUpdate: 1 });
    cluster.run(MINUTE);
    assert.deepEqual(told(cluster), ['1 completed 1/1']);
  });

  it('history: ended runs up to the limit, the last one always, with what was left out between them', () => {
    const cluster = jobCluster(1, { fate: () => ({ afterMs: 70_000, state: 576 }) });
    declareJob(cluster, { schedule: everyMinute, historyLimit: 2 });
    cluster.run(9 * MINUTE);
    assert.deepEqual(told(cluster), ['3 completed 1/1', 'skipped 1', '4 completed 1/1', 'skipped 1', '5 running 0/1']);
    editJobSpec(cluster, { schedule: everyMinute, historyLimit: 0 });
    cluster.run(MINUTE + 35_000);
    assert.deepEqual(told(cluster), ['5 completed 1/1', 'skipped 1']);
    assert.deepEqual(
      cluster.tasks('job').map(({ jobIteration }) => jobIteration),
      [5],
    );
  });

  it('asked for beside the schedule: run at once, and the schedule goes on', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { schedule: everyMinute });
    cluster.settle();
    runNow(cluster);
    cluster.run(MINUTE);
    assert.deepEqual(told(cluster), ['1 completed 1/1', '2 completed 1/1']);
    assert.deepEqual(
      runsOf(cluster).map(({ trigger }) => trigger),
      [3, 2],
    );
  });
});
