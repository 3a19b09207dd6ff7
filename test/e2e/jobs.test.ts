/**
 * Goal: jobs run to their end on real hosts, as often as declared, and who waits for them is told how they ended. Method:
 * a swarm of four hosts, real containers, the real command line.
 */
import assert from 'node:assert/strict';
import { TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, SLEEP, useCluster } from './support/cluster.ts';

const JOB = ['service', 'create', '--mode', 'replicated-job'] as const;

describe('e2e: jobs', function () {
  const cluster = useCluster(this);

  it('five completions, two at a time; run again by hand; a failure is told with its reason', async () => {
    const told = await cluster().must([
      ...JOB,
      '--name',
      'batch',
      '--replicas',
      '5',
      '--max-concurrent',
      '2',
      IMAGE,
      'sh',
      '-c',
      'echo done on $(hostname)',
    ]);
    assert.match(told, /^run 1: 5 out of 5 complete$/m);
    assert.match(told, /^job complete$/m);
    assert.doesNotMatch(told, /^active tasks: ([3-9]|\d+ out of [3-9])/m);
    assert.match(await cluster().must(['service', 'ls']), /batch +replicated job +0\/0 \(5\/5 completed\)/);
    const tasks = await cluster().tasks('batch');
    assert.deepEqual(new Set(tasks.map(({ slot }) => slot)), new Set([1, 2, 3, 4, 5]));
    assert.equal(tasks.length, 5);
    for (const { status } of tasks) assert.equal(status?.state, TaskState.COMPLETE);
    const logs = await cluster().must(['job', 'logs', '--raw', 'batch']);
    assert.equal(logs.match(/^done on /gm)?.length, 5);

    await cluster().must(['job', 'run', '--request-id', 'once', 'batch']);
    await cluster().must(['job', 'run', '--request-id', 'once', 'batch']);
    const history = await cluster().must([
      'job',
      'history',
      '--format',
      '{{.Run}} {{.Trigger}} {{.State}} {{.Completions}}',
      'batch',
    ]);
    assert.equal(history, '2 user completed 5/5\n1 update completed 5/5\n');

    const refusal = await cluster().refused([
      ...JOB,
      '--name',
      'bad',
      '--restart-max-attempts',
      '1',
      '--restart-delay',
      '0s',
      IMAGE,
      'false',
    ]);
    assert.match(refusal, /job .*: run 1 failed: task \w+ \(slot 1\): task: non-zero exit \(1\); restarted 1 times/);
    assert.match(refusal, /job logs/);
    await cluster().remove('batch', 'bad');
  });

  it('a global job runs once on every node; a periodic one by the clock, until it is stopped', async () => {
    await cluster().must(['service', 'create', '--mode', 'global-job', '--name', 'each', IMAGE, 'true']);
    const nodes = new Set((await cluster().tasks('each')).map(({ nodeId }) => nodeId));
    assert.equal(nodes.size, 4);
    assert.equal((await cluster().tasks('each')).length, 4);

    const told = await cluster().must([
      ...JOB,
      '--name',
      'tick',
      '--schedule',
      '*/2 * * * * *',
      '--schedule-overlap',
      'replace',
      IMAGE,
      ...SLEEP,
    ]);
    assert.match(told, /^Next run: \d{4}-/m);
    const runs = await cluster().until(
      async () => (await cluster().client().control.getService({ reference: 'tick' })).service?.job?.runs ?? [],
      (found) => found.length >= 3,
      'three runs',
    );
    const times = runs.map(({ dueAtMs }) => dueAtMs);
    assert.equal(new Set(times).size, times.length);
    for (const dueAtMs of times) assert.equal(dueAtMs % 2000, 0);
    await cluster().must(['service', 'update', '--schedule-suspend', 'tick']);
    await cluster().on('m1', ['job', 'stop', 'tick']);
    assert.match(await cluster().must(['job', 'ls']), /tick .*suspended/);
    await cluster().until(
      () => cluster().running('tick'),
      (running) => running.length === 0,
      'the run to stop',
    );
    await cluster().remove('each', 'tick');
  });
});
