/**
 * Goal: a swarm whose managers are lost for good goes on elsewhere with all that was declared. Method: three managers that
 * lose their power, and a worker that restores a saved snapshot. The parts: test/src/swarmd, test/manager/backup.
 */
import assert from 'node:assert/strict';
import { SOON_MS } from '#test/e2e/support/cluster.ts';
import { useManagers } from '#test/e2e/support/managers.ts';

const REPLICAS = 4;

describe('e2e: a swarm restored', function () {
  const managers = useManagers(this, { managers: 3, workers: 2 });
  const cluster = () => managers().cluster;

  it('a saved snapshot is restored on a host with another address', async () => {
    cluster().entrance = await managers().formed();
    await cluster().createService('web', REPLICAS);
    await cluster().settled('web', REPLICAS);
    const file = `${cluster().host('w2').paths.volatile}/swarm.snapshot`;
    const key = (await cluster().must(['snapshot', 'key', '--quiet'])).trim();
    await cluster().must(['snapshot', 'save', file]);
    const inspected = await cluster().must(['snapshot', 'inspect', '--key-file', '-', file], { input: key });
    assert.match(inspected, /Verified:\s+yes/);
    for (const host of managers().names) await cluster().lab.kill(host);
    await cluster().mustOn('w2', ['leave', '--force']);
    const restore = ['snapshot', 'restore', '--key-file', '-', '--advertise-addr', cluster().host('w2').address, file];
    const said = await cluster().mustOn('w2', restore, { input: key });
    assert.match(said, /m1/);
    cluster().entrance = 'w2';
    assert.equal(await managers().leader(['w2']), 'w2');
    assert.equal((await cluster().mustOn('w2', ['service', 'ls', '--format', '{{.Name}}'])).trim(), 'web');
    // The worker of the old swarm comes over, and takes what the lost ones ran.
    const lost = [...(await cluster().nodes())]
      .filter(([host]) => !['w1', 'w2'].includes(host))
      .map(([, { id }]) => id);
    await cluster().mustOn('w1', ['leave', '--force']);
    await managers().joinAs('worker', 'w1', 'w2');
    await cluster().loadImage('w1');
    await cluster().must(['node', 'rm', '--force', ...lost]);
    await cluster().until(
      async () => {
        const nodes = await cluster().nodes();
        const ids = [nodes.get('w1')?.id, nodes.get('w2')?.id];
        return (await cluster().running('web')).filter((task) => ids.includes(task.nodeId)).length;
      },
      (running) => running === REPLICAS,
      'all tasks to run on the hosts that there are',
      3 * SOON_MS,
    );
  });
});
