/**
 * Goal: packet sizes follow from what lies between the nodes; a network without a way to the others ends at its node, and
 * says so; addresses and subnets change under running tasks. Method: underlays of other kinds and sizes, real traffic.
 */
import assert from 'node:assert/strict';
import { listLinks } from '#agent/kernel/netlink-link.ts';
import { type Endpoint, Hosts, type HostsOptions } from './hosts.ts';

async function pair(options: Partial<HostsOptions>, driverOptions: Readonly<Record<string, string>> = {}) {
  const hosts = await Hosts.make({ count: 2, ...options });
  await hosts.restoreAll();
  hosts.network({ id: 'red', vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'], driverOptions });
  await hosts.add({ id: 'one', host: 1, networks: { red: ['10.0.1.11', 'fd00:1::11'] } });
  await hosts.add({ id: 'two', host: 2, networks: { red: ['10.0.1.12', 'fd00:1::12'] } });
  const one = hosts.inTask('one');
  const two = hosts.inTask('two');
  await two.call('serve', 'two', 80);
  await two.call('serveCounting', 81);
  await two.call('serveDatagrams', 'two', '0.0.0.0', 53);
  return { hosts, one, two };
}

describe('overlay: underlay', function () {
  this.timeout(60_000);
  let hosts: Hosts | undefined;

  afterEach(async () => {
    await hosts?.destroy();
    hosts = undefined;
  });

  const mtuIn = async (taskId: string): Promise<number | undefined> => {
    const found = hosts;
    assert.ok(found !== undefined);
    const links = await found.inside(found.taskPath(taskId), listLinks);
    return links.find((link) => link.name === 'eth0')?.mtu;
  };

  async function transfers(one: Endpoint): Promise<void> {
    for (const address of ['10.0.1.12', 'fd00:1::12']) {
      assert.match(await one.call('ask', address, 80), /^two /);
      assert.equal(await one.call('send', address, 81, 3_000_000), '3000000');
    }
  }

  it('over IPv6: 70 bytes less', async () => {
    const made = await pair({ ipv6: true });
    hosts = made.hosts;
    assert.equal(await mtuIn('one'), 1430);
    await transfers(made.one);
    assert.equal(await made.one.call('askDatagram', '10.0.1.12', 53, 1402), 'two 10.0.1.11 1402');
  });

  it('over large packets: 50 bytes less than those', async () => {
    const made = await pair({ mtu: 9000 });
    hosts = made.hosts;
    assert.equal(await mtuIn('one'), 8950);
    await transfers(made.one);
    assert.equal(await made.one.call('askDatagram', '10.0.1.12', 53, 8922), 'two 10.0.1.11 8922');
  });

  it('an option of the network counts more', async () => {
    const made = await pair({}, { 'com.docker.network.driver.mtu': '1300' });
    hosts = made.hosts;
    assert.equal(await mtuIn('one'), 1300);
    await transfers(made.one);
  });

  it('without a way to the other nodes a network is a problem, not an accident', async () => {
    const made = await pair({});
    hosts = made.hosts;
    assert.equal(await made.one.call('ask', '10.0.1.12', 80), 'two 10.0.1.11');
    hosts.encryptionIsUp = false;
    const { problems } = await hosts.node(1).reconcile();
    assert.deepEqual(problems, [{ networkId: 'red', message: 'encryption is not up' }]);
    assert.equal(await made.one.call('ask', '10.0.1.12', 80), 'ENETUNREACH');
    hosts.makeTaskNamespace('late');
    await assert.rejects(
      hosts.attach({ id: 'late', host: 1, networks: { red: ['10.0.1.13'] } }),
      /network red could not be made on this node: encryption is not up/,
    );
    hosts.encryptionIsUp = true;
    assert.deepEqual((await hosts.node(1).reconcile()).problems, []);
    assert.equal(await made.one.call('ask', '10.0.1.12', 80), 'two 10.0.1.11');
  });

  it('a network grows by a subnet under its tasks', async () => {
    const made = await pair({});
    hosts = made.hosts;
    hosts.network({ id: 'red', vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64', '10.0.8.0/24'] });
    await hosts.add({ id: 'three', host: 2, networks: { red: ['10.0.8.12'] } });
    const three = hosts.inTask('three');
    await three.call('serve', 'three', 80);
    assert.equal(await made.one.call('ask', '10.0.8.12', 80), 'three 10.0.1.11');
    assert.equal(await three.call('ask', '10.0.1.12', 80), 'two 10.0.8.12');
    assert.equal(await made.two.call('ask', '10.0.8.12', 80), 'three 10.0.1.12');
  });

  it('a table that makes no sense is a problem of that network alone', async () => {
    const made = await pair({});
    hosts = made.hosts;
    hosts.network({ id: 'odd', vni: 4100, subnets: ['nonsense/24'] });
    hosts.tasks.set('x', { id: 'x', host: 1, networks: { odd: ['10.0.3.3'] } });
    const problems = await hosts.node(1).apply(hosts.views(1));
    assert.deepEqual(
      problems.map(({ networkId, message }) => [networkId, /network odd: .*nonsense/.test(message)]),
      [['odd', true]],
    );
    assert.equal(await made.one.call('ask', '10.0.1.12', 80), 'two 10.0.1.11');
    hosts.tasks.delete('x');
    await hosts.sync();
  });
});
