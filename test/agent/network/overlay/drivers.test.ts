/**
 * Goal: networks of one node work behind the same calls, and what a node cannot do is said in words. Method: bridge and
 * macvlan networks on real devices; ipvlan where the kernel has it, its refusal where not; options that make no sense.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { deleteLink, listLinks } from '#agent/kernel/netlink-link.ts';
import { removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { SwarmError } from '#common/errors.ts';
import { Hosts } from './hosts.ts';

describe('overlay: drivers of one node', function () {
  this.timeout(60_000);
  let hosts: Hosts;

  before(async () => {
    hosts = await Hosts.make({ count: 2 });
    await hosts.restoreAll();
  });

  after(() => hosts?.destroy());

  it('bridge: tasks of one node reach each other, by service address too, and no other node’s', async () => {
    hosts.network({ id: 'local', vni: 0, driver: 'bridge', subnets: ['10.5.0.0/24'] });
    hosts.service('web', 'local', ['10.5.0.2']);
    const task = (id: string, host: number, number: number, service = '') =>
      hosts.add({ id, host, networks: { local: [`10.5.0.${number}`] }, service });
    await task('one', 1, 10);
    await task('two', 1, 11, 'web');
    await task('three', 2, 12, 'web');
    const one = hosts.inTask('one');
    for (const id of ['two', 'three']) await hosts.inTask(id).call('serve', id, 80);
    assert.equal(await one.call('ask', '10.5.0.11', 80), 'two 10.5.0.10');
    for (let count = 0; count < 8; count++) assert.equal(await one.call('ask', '10.5.0.2', 80), 'two 10.5.0.10');
    assert.equal(await one.call('ask', '10.5.0.12', 80), 'ENETUNREACH');
    assert.deepEqual(await hosts.node(1).reconcile(), { repaired: [], problems: [] });
    for (const id of ['one', 'two', 'three']) await hosts.remove(id);
    assert.deepEqual(readdirSync(join(hosts.runDirectory(1), 'ns')), []);
  });

  it('macvlan: tasks are on the network of the parent, as hosts are', async () => {
    const driverOptions = { parent: 'eth0' };
    hosts.network({ id: 'lan', vni: 0, driver: 'macvlan', driverOptions, subnets: ['172.31.0.0/24', 'fd31::/64'] });
    await hosts.add({ id: 'one', host: 1, networks: { lan: ['172.31.0.101', 'fd31::101'] } });
    await hosts.add({ id: 'two', host: 2, networks: { lan: ['172.31.0.102', 'fd31::102'] } });
    const one = hosts.inTask('one');
    await hosts.inTask('two').call('serve', 'two', 80);
    await hosts.program(hosts.hostPath(2)).call('serve', 'host2', 81);
    assert.equal(await one.call('ask', '172.31.0.102', 80), 'two 172.31.0.101');
    assert.equal(await one.call('ask', 'fd31::102', 80), 'two fd31::101');
    // Another host of the LAN (a parent's own host is out of reach of macvlan, as everywhere).
    const other = hosts.program(hosts.hostPath(2));
    await one.call('serve', 'one', 82);
    assert.equal(await other.call('ask', '172.31.0.101', 82), 'one 172.31.0.2');
    assert.deepEqual(await hosts.node(1).reconcile(), { repaired: [], problems: [] });

    await hosts.inside(hosts.taskPath('one'), (socket) => socket.execute([deleteLink('eth0')]));
    const { repaired } = await hosts.node(1).reconcile();
    assert.deepEqual(repaired, ['network lan: device eth0 of task one']);
    assert.equal(await one.call('ask', '172.31.0.102', 80), 'two 172.31.0.101');
    assert.deepEqual((await hosts.restart(1)).adopted, ['one']);
    assert.equal(await one.call('ask', '172.31.0.102', 80), 'two 172.31.0.101');
    for (const id of ['one', 'two']) await hosts.remove(id);
  });

  it('macvlan: the device of a task that nobody knows any more goes at the next start, that of another stays', async () => {
    hosts.network({
      id: 'lan',
      vni: 0,
      driver: 'macvlan',
      driverOptions: { parent: 'eth0' },
      subnets: ['172.31.0.0/24'],
    });
    for (const [id, number] of [
      ['stays', 111],
      ['goes', 112],
      ['lost', 113],
    ] as const)
      await hosts.add({ id, host: 1, networks: { lan: [`172.31.0.${number}`] } });
    const hasDevice = async (id: string): Promise<boolean> =>
      hosts.inside(hosts.taskPath(id), async (socket) =>
        (await listLinks(socket)).some((one) => one.kind === 'macvlan'),
      );
    assert.deepEqual([await hasDevice('stays'), await hasDevice('goes')], [true, true]);
    // One ended while no daemon ran; of another its device is gone.
    hosts.tasks.delete('goes');
    await hosts.inside(hosts.taskPath('lost'), (socket) => socket.execute([deleteLink('eth0')]));
    const report = await hosts.restart(1);
    assert.deepEqual([report.adopted.toSorted(), report.removed], [['lost', 'stays'], ['goes']]);
    assert.deepEqual([await hasDevice('stays'), await hasDevice('goes')], [true, false]);
    await hosts.node(1).reconcile();
    assert.equal(await hasDevice('lost'), true);
    // The address is free for the next one, and answers from there.
    await hosts.add({ id: 'next', host: 1, networks: { lan: ['172.31.0.112'] } });
    await hosts.inTask('next').call('serve', 'next', 80);
    assert.equal(await hosts.program(hosts.hostPath(2)).call('ask', '172.31.0.112', 80), 'next 172.31.0.2');
    removeNetworkNamespace(hosts.taskPath('goes'));
    for (const id of ['stays', 'lost', 'next']) await hosts.remove(id);
  });

  async function refusal(network: Parameters<Hosts['network']>[0], address: string): Promise<SwarmError> {
    hosts.network(network);
    const task = { id: 'refused', host: 1, networks: { [network.id]: [address] } };
    hosts.tasks.set(task.id, task);
    await hosts.sync();
    if (!existsSync(hosts.taskPath(task.id))) hosts.makeTaskNamespace(task.id);
    try {
      await hosts.attach(task);
    } catch (error) {
      assert.ok(error instanceof SwarmError);
      assert.equal(existsSync(join(hosts.runDirectory(1), 'tasks', 'refused.json')), false);
      return error;
    } finally {
      hosts.tasks.delete(task.id);
      await hosts.node(1).detach(task.id);
      await hosts.sync();
    }
    return new SwarmError({ code: 'internal', reason: 'internal', message: 'it was attached' });
  }

  it('ipvlan: attached, or told that the kernel has none', async () => {
    const driverOptions = { parent: 'eth0', ipvlan_mode: 'l2' };
    const error = await refusal(
      { id: 'ip', vni: 0, driver: 'ipvlan', driverOptions, subnets: ['172.31.0.0/24'] },
      '172.31.0.120',
    );
    if (error.message === 'it was attached') return;
    assert.equal(error.reason, 'not-supported');
    assert.equal(error.message, 'network ip: the kernel of this node has no ipvlan devices');
    assert.match(error.hint ?? '', /modprobe ipvlan/);
  });

  it('says what is wrong with the options', async () => {
    const lan = { id: 'bad', vni: 0, driver: 'macvlan', subnets: ['172.31.0.0/24'] };
    assert.match((await refusal(lan, '172.31.0.120')).message, /network bad: .* needs the option parent/);
    assert.match(
      (await refusal({ ...lan, driverOptions: { parent: 'eth9' } }, '172.31.0.120')).message,
      /parent device eth9 does not exist/,
    );
    assert.match(
      (await refusal({ ...lan, driverOptions: { parent: 'eth0', macvlan_mode: 'wild' } }, '172.31.0.120')).message,
      /macvlan_mode is "wild", not one of private, vepa, bridge, passthru/,
    );
    assert.match(
      (await refusal({ ...lan, driverOptions: { parent: 'eth0' } }, '10.77.0.1')).message,
      /10\.77\.0\.1 is in no subnet of network bad/,
    );
  });
});
