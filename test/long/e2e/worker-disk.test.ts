/**
 * Goal: a worker whose disk is full keeps what runs, says why it can start nothing, and is used again once there is room.
 * Method: a lab whose hosts have disks of their own.
 */
import assert from 'node:assert/strict';
import { Lab } from '#src/lab/lab.ts';
import { Cluster, SOON_MS } from '#test/e2e/support/cluster.ts';
import { labTraces } from '#test/e2e/support/footprint.ts';

describe('long e2e: a full disk of a worker', function () {
  this.timeout(240_000);
  const name = `d${process.pid.toString(36)}`;
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(name, { managers: 1, workers: 2, diskMegabytes: 512 });
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(await cluster.complaints());
    await cluster.lab.undoFaults();
  });

  after(async () => {
    cluster?.close();
    await Lab.remove(name);
    assert.deepEqual(await labTraces(name), []);
  });

  it('what runs goes on, what is new runs elsewhere, and the reason is shown', async () => {
    await cluster.createService('web', 6, ['--restart-delay', '0s']);
    const before = await cluster.settled('web', 6);
    await cluster.host('w1').disk.fill();
    await cluster.must(['service', 'scale', '-d', 'web=12']);
    const running = await cluster.until(
      () => cluster.running('web'),
      (tasks) => tasks.length === 12,
      'twelve tasks to run',
      4 * SOON_MS,
    );
    for (const { id } of before)
      assert.ok(
        running.some((task) => task.id === id),
        'what ran goes on',
      );
    const rows = await cluster.must([
      'service',
      'ps',
      '--no-trunc',
      '--format',
      '{{.Node}} {{.CurrentState}} {{.Error}}',
      'web',
    ]);
    assert.match(rows, /w1 .*(disk|space)/i);
    const listed = await cluster.must(['node', 'ls', '--format', '{{.Hostname}} {{.Status}}']);
    assert.match(listed, /w1 Ready/);

    await cluster.host('w1').disk.free();
    await cluster.must([
      'service',
      'create',
      '-d',
      '--name',
      'there',
      '--constraint',
      'node.hostname==w1',
      'localhost/busybox:e2e',
      'sleep',
      '1000',
    ]);
    await cluster.settled('there', 1, 4 * SOON_MS);
    await cluster.remove('web', 'there');
  });

  it('an agent that is started with a full disk says so, and works when it is started with room', async () => {
    await cluster.host('w2').disk.fill();
    await cluster.lab.killDaemon('w2');
    await cluster.lab.start('w2');
    assert.match(await cluster.mustOn('w2', ['info']), /disk is full/);
    await cluster.host('w2').disk.free();
    await cluster.lab.stopDaemon('w2');
    await cluster.lab.start('w2');
    await cluster.createService('web', 3, ['--restart-delay', '0s']);
    await cluster.until(
      () => cluster.spread('web'),
      (spread) => spread['w2'] === 1,
      'w2 to run its share',
      4 * SOON_MS,
    );
    await cluster.remove('web');
  });
});
