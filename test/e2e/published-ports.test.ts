/** Goal: a published port is open on every node of a swarm, whichever has the task. Method: a swarm of four hosts. */
import assert from 'node:assert/strict';
import { IMAGE, MANAGER, useCluster, WORKERS } from './support/cluster.ts';

const PORT = 18_080;

describe('e2e: published ports', function () {
  const cluster = useCluster(this);

  after(async () => {
    await cluster()
      .must(['service', 'rm', 'page', 'reader'])
      .catch(() => {});
    await cluster()
      .until(
        () => cluster().on(MANAGER, ['network', 'rm', 'inside']),
        ({ exitCode }) => exitCode === 0,
        'the network to go',
      )
      .catch(() => {});
  });

  it('are open on every node, with one task on one of them', async () => {
    const server = ['httpd', '-f', '-p', '80', '-h', '/etc'];
    await cluster().must(['network', 'create', '--driver', 'overlay', 'inside']);
    const flags = ['--network', 'inside', '--publish', `${PORT}:80`, '--hostname', 'the-page'];
    await cluster().must(['service', 'create', '--name', 'page', ...flags, IMAGE, ...server]);
    for (const host of [MANAGER, ...WORKERS]) {
      const script = `fetch('http://127.0.0.1:${PORT}/hostname').then(async (answer) => console.log(await answer.text()))`;
      const { stdout, stderr } = await cluster().lab.exec(host, [process.execPath, '-e', script]);
      assert.equal(stdout.trim(), 'the-page', `${host}: ${stderr}`);
    }
  });

  it('tasks on a network find a service by its name, whichever node they are on', async () => {
    const flags = ['--mode', 'global', '--name', 'reader', '--network', 'inside'];
    await cluster().must(['service', 'create', '-d', ...flags, IMAGE, 'sh', '-c', 'nslookup page; sleep 1000']);
    const lines = await cluster().until(
      async () => (await cluster().must(['service', 'logs', '--raw', 'reader'])).split('\n'),
      (all) => all.filter((line) => line.startsWith('Address: ')).length === 1 + WORKERS.length,
      'every node’s reader to know the address',
    );
    assert.equal(new Set(lines.filter((line) => line.startsWith('Address: '))).size, 1);
  });
});
