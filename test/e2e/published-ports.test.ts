/** Goal: a published port is open on every node of a swarm, whichever has the task. Method: a swarm of four hosts. */
import assert from 'node:assert/strict';
import { FABRIC, FABRIC_ADDRESS } from '#src/lab/names.ts';
import { IMAGE, MANAGER, useCluster, WORKERS } from './support/cluster.ts';

const PORT = 18_080;
/** Says who asks. */
const WHO = '/cgi-bin/who';
const POLICY_PORTS = { cluster: 18_081, 'prefer-local': 18_082, local: 18_083 } as const;

describe('e2e: published ports', function () {
  const cluster = useCluster(this);

  after(async () => {
    await cluster()
      .must(['service', 'rm', 'page', 'reader', 'who'])
      .catch(() => {});
    await cluster()
      .until(
        () => cluster().on(MANAGER, ['network', 'rm', 'inside']),
        ({ exitCode }) => exitCode === 0,
        'the network to go',
      )
      .catch(() => {});
  });

  /** What each of the addresses answers to a machine outside the cluster, or why none does. */
  async function fetchFromOutside(urls: readonly string[]): Promise<readonly string[]> {
    const script = `
      const one = (url) => new Promise((resolve) => {
        const { hostname, port, pathname } = new URL(url);
        let text = '';
        const socket = require('node:net').connect(Number(port), hostname);
        socket.on('connect', () => socket.write('GET ' + pathname + ' HTTP/1.0\\r\\n\\r\\n'));
        socket.on('data', (bytes) => { text += bytes; });
        socket.on('end', () => { socket.destroy(); resolve(text); });
        socket.on('error', (error) => resolve(error.code));
      });
      Promise.all(process.argv.slice(1).map(one)).then((all) => console.log(JSON.stringify(all)));`;
    const { stdout, stderr } = await cluster().lab.exec(FABRIC, [process.execPath, '-e', script, ...urls]);
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as string[]; // of the script above
  }

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

  it('show a task, and its log, the address of who connects from outside, whichever node that goes by', async () => {
    const serve = `mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR $HOSTNAME\\n' >/www${WHO}; \
      chmod +x /www${WHO}; exec httpd -f -vv -p 80 -h /www 2>&1`;
    const ports = Object.entries(POLICY_PORTS).map(
      ([policy, port]) => `published=${port},target=80,traffic-policy=${policy}`,
    );
    const flags = ports.flatMap((port) => ['--publish', port]);
    await cluster().must(['service', 'create', '--name', 'who', ...flags, IMAGE, 'sh', '-c', serve]);
    const [home] = Object.keys(await cluster().spread('who'));
    const asked = cluster().lab.hosts.flatMap(({ name, address }) =>
      Object.entries(POLICY_PORTS).map(([policy, port]) => ({ name, policy, url: `http://${address}:${port}${WHO}` })),
    );
    const answers = await fetchFromOutside(asked.map(({ url }) => url));
    const seen = asked.map(({ name, policy }, index) => ({ name, policy, answer: answers[index] ?? '' }));
    // A node without a task of its own has nowhere to send those that are to stay with it.
    const isRefused = ({ name, policy }: { name: string; policy: string }): boolean =>
      policy === 'local' && name !== home;
    for (const one of seen)
      assert.match(
        one.answer,
        isRefused(one) ? /^ECONN(REFUSED|RESET)$/ : new RegExp(FABRIC_ADDRESS),
        JSON.stringify(one),
      );
    const log = await cluster().until(
      async () => (await cluster().must(['service', 'logs', '--raw', 'who'])).split('\n').filter(Boolean),
      (lines) => lines.length >= seen.filter((one) => !isRefused(one)).length,
      'the access log to have all requests',
    );
    for (const line of log) assert.match(line, new RegExp(`${FABRIC_ADDRESS}.*url:${WHO}`));
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
