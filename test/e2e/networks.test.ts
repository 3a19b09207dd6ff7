/**
 * Goal: tasks on a network find and reach each other and nobody else, whatever daemons and hosts do meanwhile.
 * Method: three managers and three workers with nginx, redis and postgres, asked from inside the containers.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { FABRIC, FABRIC_ADDRESS } from '#src/lab/names.ts';
import { type Cluster, isRunning } from './support/cluster.ts';
import { useManagers } from './support/managers.ts';
import { FORGOTTEN_MS, killDaemon, patientWithNodes, returns, withoutManagers } from './support/network-faults.ts';
import {
  askPostgres,
  askRedis,
  mapsOfLab,
  NETWORK_LAB,
  NETWORKS,
  prepareNetworkLab,
  runningTask,
  wholeAgain,
} from './support/network-lab.ts';
import { assertAllReached, assertApart, networkMap } from './support/network-map.ts';
import { runIn } from './support/network-probe/ask-from.ts';
import { NetworkTraffic } from './support/network-traffic.ts';
import { forgetsHost } from './support/node-tables.ts';

/** How long the managers are away. */
const AWAY_MS = 6_000;
const MIRROR_PORT = 18_091;
/** All tasks are replaced together, and looked at for no longer than needed. */
const AT_ONCE = ['--update-parallelism', '0', '--update-monitor', '100ms'] as const;

describe('e2e: networks', function () {
  const managers = useManagers(this, NETWORK_LAB);
  const cluster = (): Cluster => managers().cluster;
  let traffic: NetworkTraffic | undefined;

  before(async function () {
    this.timeout(120_000);
    await prepareNetworkLab(this, cluster());
  });

  afterEach(() => traffic?.kill());

  it('lead every task to every other by each name and address, and to nobody else', async () => {
    const maps = Object.values(await mapsOfLab(cluster()));
    for (const map of maps) assert.ok((await assertAllReached(map)) > 30);
    await assertApart(maps);
  });

  it('carry what nginx, redis and postgres say', async () => {
    assert.equal(await askPostgres(await runningTask(cluster(), 'db')), '1\n');
    assert.equal(await askRedis(await runningTask(cluster(), 'cache')), 'PONG\n');
  });

  it('forget a host that loses its power, and know it again when it is back', async () => {
    for (const [host, tookMs] of Object.entries(await forgetsHost(cluster(), 'w2')))
      assert.ok(tookMs <= FORGOTTEN_MS, `${host} has forgotten it after ${tookMs} ms`);
    await returns(cluster(), 'w2');
    await wholeAgain(cluster());
  });

  it('go on when daemons are killed, and while there is no manager', async () => {
    await patientWithNodes(cluster());
    traffic = await NetworkTraffic.start(cluster(), 'w1');
    const { front } = await mapsOfLab(cluster());
    for (const host of ['w1', await managers().leader()]) await killDaemon(managers(), host);
    await withoutManagers(managers(), AWAY_MS, async () => {
      await cluster().lab.killDaemon('w2');
      await assertAllReached(front);
      await cluster().lab.start('w2');
      await traffic?.conversationsGoOn();
    });
    assert.ok((await traffic.finishUnharmed()) > 1000);
    await assertAllReached(front);
  });

  it('follow a service whose networks, ports, names and mode change while it runs', async () => {
    const server = await startNameServer(cluster());
    try {
      const joins = ['--network-add', 'front', '--publish-add', `${MIRROR_PORT}:80`, '--hostname', 'mirror'];
      const knows = ['--host-add', 'box:192.0.2.1', '--dns-add', FABRIC_ADDRESS];
      await cluster().must(['service', 'update', ...AT_ONCE, ...joins, ...knows, 'inner']);
      await assertAllReached(await networkMap(cluster(), 'front', { ...NETWORKS.front.ports, inner: 80 }));
      for (const { address } of cluster().lab.hosts)
        assert.match(await fetchFromOutside(cluster(), `http://${address}:${MIRROR_PORT}/`), /^mirror /);
      const task = await runningTask(cluster(), 'inner');
      assert.match((await runIn(task, ['cat', '/etc/hosts'])).stdout, /^192\.0\.2\.1\s+box$/m);
      assert.match((await runIn(task, ['nslookup', '-type=a', 'anything.example'])).stdout, /^Address: 192\.0\.2\.7$/m);
    } finally {
      server.kill();
    }
    const leaves = ['--network-rm', 'front', '--publish-rm', '80', '--endpoint-mode', 'dnsrr'];
    await cluster().must(['service', 'update', ...AT_ONCE, ...leaves, 'inner']);
    const apart = await mapsOfLab(cluster());
    assert.equal(apart.back.names.get('inner')?.length, 4, 'two tasks with two addresses each, and none for both');
    await assertAllReached(apart.back);
    await assertApart([apart.front, apart.back]);
    for (const { address } of cluster().lab.hosts)
      assert.match(await fetchFromOutside(cluster(), `http://${address}:${MIRROR_PORT}/`), /Failed to connect/);
  });

  it('say that they are full, on the network and on who waits, until they are given more addresses', async () => {
    await cluster().must(['network', 'create', '--subnet', '10.98.0.0/29', 'small']);
    await cluster().createService('crowd', 6, ['--network', 'small']);
    const full = /no address left: 5 of 5 in use.*swarm network update --subnet-add/;
    // Six addresses: the gateway's, which is not to be had, the service's, and those of four tasks.
    await cluster().until(
      () => cluster().tasks('crowd'),
      (tasks) =>
        tasks.filter(isRunning).length === 4 &&
        tasks.filter((task) => full.test(task.status?.error ?? '')).length === 2,
      'four to run and two to wait for an address',
    );
    assert.match(await cluster().must(['service', 'ps', '--no-trunc', 'crowd']), full);
    assert.match(await cluster().must(['network', 'inspect', '--pretty', 'small']), full);
    await cluster().must(['network', 'update', '--subnet-add', '10.98.0.0/28', 'small']);
    await cluster().settled('crowd', 6);
    assert.doesNotMatch(await cluster().must(['network', 'inspect', '--pretty', 'small']), /no address left/);
  });
});

/** Answers what is asked on the fabric. */
async function startNameServer(cluster: Cluster): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('support/network-probe/name-server-program.ts', import.meta.url));
  const server = await cluster.lab.spawn(FABRIC, [process.execPath, program, FABRIC_ADDRESS], { stdio: 'pipe' });
  const [line] = (await once(server.stdout as Readable, 'data')) as [Buffer]; // a stream of bytes
  assert.equal(String(line), 'listening\n');
  return server;
}

/** What a machine outside the cluster gets, or why it gets nothing. */
async function fetchFromOutside(cluster: Cluster, url: string): Promise<string> {
  const { stdout, stderr } = await cluster.lab.exec(FABRIC, ['curl', '-sS', '-m', '5', url]);
  return stdout + stderr;
}
