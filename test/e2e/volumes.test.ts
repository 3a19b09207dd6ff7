/**
 * Goal: a service that has data finds it again, and volumes of all nodes are managed from anywhere. Method: a swarm of
 * four hosts, the real command line, and a real volume plugin on a socket.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VolumePlugin } from '#test/agent/volumes/volume-plugin.ts';
import { describeTask, IMAGE, useCluster } from './support/cluster.ts';

const [W1, W2] = ['w1', 'w2'] as const;
/** What a container of the service does: it writes its name once, and says what it found. */
const KEEPER = ['sh', '-c', '[ -e /data/first ] || hostname > /data/first; cat /data/first; exec sleep 1000'] as const;

describe('e2e: volumes', function () {
  const cluster = useCluster(this);

  afterEach(async () => {
    await cluster().removeAll();
    await cluster().must(['volume', 'prune', '--all', '--force']);
  });

  async function volumesOf(filter: string): Promise<readonly string[]> {
    const text = await cluster().must([
      'volume',
      'ls',
      '--filter',
      filter,
      '--format',
      '{{.Name}} {{.Node}} {{.State}}',
    ]);
    return text
      .trim()
      .split('\n')
      .filter((line) => line !== '');
  }

  it('are made, listed, looked at and removed on any node, and not while a task has them', async () => {
    await cluster().must(['volume', 'create', '--node', W1, '--node', W2, '--label', 'tier=db', 'shop']);
    assert.deepEqual((await volumesOf('label=tier=db')).toSorted(), ['shop w1 ready', 'shop w2 ready']);
    await cluster().createService('till', 1, [
      '--constraint',
      'node.hostname==w1',
      '--stop-grace-period',
      '0s',
      '--mount',
      'src=shop,dst=/data',
    ]);
    await cluster().settled('till', 1);
    assert.match(await cluster().refused(['volume', 'rm', '--node', W1, 'shop']), /volume is in use - \[till\.1\]/);
    assert.match(await cluster().refused(['volume', 'rm', 'shop']), /2 nodes have a volume shop/);
    assert.deepEqual(await volumesOf('dangling=true'), ['shop w2 ready']);
    const status = '{{.Status.Node}} {{.Status.Services}} {{.Labels.tier}}';
    assert.equal(
      await cluster().must(['volume', 'inspect', '--node', W1, '--format', status, 'shop']),
      'w1 [till] db\n',
    );
    await cluster().must(['volume', 'rm', '--node', W2, 'shop']);
    await cluster().remove('till');
    await cluster().must(['volume', 'rm', 'shop']);
    assert.deepEqual(await volumesOf('name=shop'), []);
  });

  it('a service waits for the node that has its data, says so, and finds it again', async () => {
    const flags = ['--stop-grace-period', '0s', '--mount', 'src=ledger,dst=/data', '--restart-delay', '0s'];
    await cluster().must(['service', 'create', '-d', '--name', 'bank', ...flags, IMAGE, ...KEEPER]);
    const [first] = await cluster().settled('bank', 1);
    const host = [...(await cluster().nodes())].find(([, node]) => node.id === first?.nodeId)?.[0] ?? '';
    await cluster().until(
      async () => (await cluster().must(['volume', 'inspect', '--format', '{{.Status.Claims}}', 'ledger'])).trim(),
      (claims) => claims === '[bank.1]',
      'the volume to know whose it is',
    );
    // Otherwise it would stay until there is somewhere to go.
    await cluster().must(['node', 'update', '--availability', 'drain', '--parallel', '0', host]);
    try {
      await cluster().until(
        async () => (await cluster().tasks('bank')).map(describeTask),
        (tasks) => tasks.some((task) => task.includes(`its volume ledger is on node ${host}, where it has to wait`)),
        'the task to say what it waits for',
      );
      assert.match(await cluster().refused(['volume', 'rm', 'ledger']), /has the data of bank\.1, which returns to it/);
    } finally {
      await cluster().must(['node', 'update', '--availability', 'active', host]);
    }
    const [second] = await cluster().settled('bank', 1);
    assert.equal(second?.nodeId, first?.nodeId);
    assert.notEqual(second?.id, first?.id);
    await cluster().until(
      async () => (await cluster().must(['service', 'logs', '--raw', 'bank'])).trim().split('\n'),
      (lines) => lines.length === 2 && lines[0] === lines[1],
      'both containers to have found the same',
    );
  });

  it('of a plugin are mounted for tasks, and given back', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-plugin-'));
    const name = `keeper-${process.pid}`;
    // What it mounts would not be seen on the hosts, which have mounts of their own: it hands out directories.
    const plugin = new VolumePlugin(directory, `/run/docker/plugins/${name}.sock`, 'directories');
    await plugin.start();
    try {
      const mount = `src=vault,dst=/data,volume-driver=${name},volume-opt=size=1G`;
      await cluster().createService('guard', 1, ['--stop-grace-period', '0s', '--mount', mount]);
      await cluster().settled('guard', 1);
      assert.deepEqual(plugin.volumes.get('vault')?.options, { size: '1G' });
      assert.equal(plugin.volumes.get('vault')?.mounts.size, 1);
      await cluster().remove('guard');
      await cluster().until(
        async () => plugin.volumes.get('vault')?.mounts.size,
        (size) => size === 0,
        'the volume to be given back',
      );
      await cluster().must(['volume', 'rm', 'vault']);
      assert.equal(plugin.volumes.size, 0);
    } finally {
      await plugin.destroy();
      await rm(directory, { recursive: true });
      await rmdir('/run/docker/plugins').catch(() => {});
      await rmdir('/run/docker').catch(() => {});
    }
  });

  it('subpaths and anonymous volumes go with their containers', async () => {
    const script = 'mkdir -p /all/part; echo whole > /all/part/file';
    const base = ['run', '--rm', '--mount', 'src=tree,dst=/all'];
    await cluster().must([...base, IMAGE, 'sh', '-c', script]);
    const part = ['run', '--rm', '--mount', 'src=tree,dst=/part,volume-subpath=part', '-v', '/scratch'];
    assert.equal(await cluster().must([...part, IMAGE, 'cat', '/part/file']), 'whole\n');
    assert.deepEqual((await volumesOf('name=')).length, 1);
  });
});
