/**
 * Goal: both ways to the kernel do the same. Method: one series of changes through each, read back through both; then
 * the whole life of a network by programs alone.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteLink } from '#agent/kernel/netlink-link.ts';
import { CommandKernel } from '#agent/network/overlay/kernel/command-kernel.ts';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import type { NetworkKernel } from '#agent/network/overlay/kernel/network-kernel.ts';
import { isRefusal } from '#agent/network/overlay/kernel/network-kernel.ts';
import { type Item, keyOf, LOOPBACK, type Operation, valueOf } from '#agent/network/overlay/kernel/operations.ts';
import { SETS } from '#agent/network/overlay/load-balancer.ts';
import { countChains, countChainsText, parseListing, routerTableText } from '#agent/network/overlay/router-table.ts';
import { SwarmError } from '#common/errors.ts';
import { type Endpoint, Hosts } from './hosts.ts';

const VX = { name: 'vx', index: 2 };
const CABLE = { name: 'e1', index: 1025 };
const INSIDE = { name: 'eth0', index: 16 };

const ITEMS: readonly Item[] = [
  { kind: 'address', device: LOOPBACK, prefix: '10.0.1.1/32' },
  { kind: 'address', device: LOOPBACK, prefix: 'fd00:1::1/128' },
  { kind: 'neighbour', device: VX, address: '169.254.0.2', linkLayerAddress: '02:4e:00:00:00:02' },
  { kind: 'neighbour', device: VX, address: 'fe80::2:2', linkLayerAddress: '02:4e:00:00:00:02' },
  { kind: 'forwarding', device: VX, linkLayerAddress: '02:4e:00:00:00:02', node: '172.31.0.2' },
  { kind: 'route', destination: '10.0.1.21/32', device: VX, gateway: '169.254.0.2', mtu: 1300 },
  { kind: 'route', destination: 'fd00:1::21/128', device: VX, gateway: 'fe80::2:2', mtu: 1300 },
  { kind: 'route', destination: '10.0.1.11/32', device: CABLE, preferredSource: '10.0.1.1' },
  { kind: 'route', destination: 'fd00:1::11/128', device: CABLE, preferredSource: 'fd00:1::1' },
  { kind: 'route', destination: '10.0.1.2/32', device: LOOPBACK, local: true },
  { kind: 'route', destination: 'fd00:1::2/128', device: LOOPBACK, local: true },
  { kind: 'route', destination: 'default', device: CABLE, gateway: '10.0.1.254', table: 101 },
  { kind: 'route', destination: '::/0', device: CABLE, gateway: 'fe80::1', table: 101 },
  { kind: 'rule', priority: 1001, source: '10.0.1.11/32', table: 101 },
  { kind: 'rule', priority: 1001, source: 'fd00:1::11/128', table: 101 },
];

const BY: readonly (readonly [string, () => NetworkKernel])[] = [
  ['system calls', () => new NetlinkKernel()],
  ['programs', () => new CommandKernel()],
];

for (const [name, make] of BY)
  describe(`overlay: the kernel by ${name}`, function () {
    this.timeout(60_000);
    const kernel = make();
    const readers = BY.map(([, other]) => other());
    let directory: string;
    let router: string;
    let task: string;

    before(() => {
      directory = mkdtempSync(join(tmpdir(), 'starling-kernels-'));
      router = join(directory, 'router');
      task = join(directory, 'task');
    });

    after(async () => {
      for (const path of [router, task]) await kernel.remove(path);
      rmSync(directory, { recursive: true });
    });

    async function found(reader: NetworkKernel, path: string): Promise<readonly string[]> {
      const namespace = await reader.open(path);
      const items = (await namespace.items()).map((item) => `${keyOf(item)} = ${valueOf(item).trim()}`);
      await namespace.close();
      return items.toSorted();
    }

    it('makes, changes and reads back', async () => {
      assert.equal(await kernel.exists(router), false);
      const namespace = await kernel.create(router);
      const inside = await kernel.create(task);
      const host = await kernel.host();
      await assert.rejects(kernel.create(router), (error) => isRefusal(error, 'EEXIST'));
      assert.equal(await kernel.exists(router), true);
      assert.deepEqual(
        (
          await namespace.ensureSettings([
            ['ipv4/ip_forward', '1'],
            ['ipv6/conf/default/addr_gen_mode', '1'],
            ['ipv4/no_such_setting', '1'],
          ])
        ).toSorted(),
        ['ipv4/ip_forward', 'ipv6/conf/default/addr_gen_mode'],
      );
      assert.deepEqual(await namespace.ensureSettings([['ipv4/ip_forward', '1']]), []);
      const number = 90_000 + Math.floor(Math.random() * 9_000_000);
      const vxlan = { vni: number, port: 4789, local: '127.0.0.1' };
      await namespace.change([{ do: 'set-up', device: LOOPBACK }]);
      await host.change([
        { do: 'add-vxlan', device: { ...VX, mtu: 1450, linkLayerAddress: '02:4e:00:00:00:01' }, vxlan, into: router },
      ]);
      await inside.change([
        {
          do: 'add-veth',
          near: { ...INSIDE, mtu: 1450, linkLayerAddress: '02:53:0a:00:01:0b' },
          far: { ...CABLE, mtu: 1450, linkLayerAddress: 'ee:ee:ee:ee:ee:ee' },
          into: router,
        },
      ]);
      const operations = ITEMS.map((item): Operation => ({ do: 'set', item }));
      await namespace.change([{ do: 'set-up', device: VX }, { do: 'set-up', device: CABLE }, ...operations]);
      // Once more: what is there is no error.
      await namespace.change(operations);
      const wanted = ITEMS.map((item) => `${keyOf(item)} = ${valueOf(item).trim()}`).toSorted();
      for (const reader of readers) assert.deepEqual(await found(reader, router), wanted);
      for (const reader of readers) {
        const opened = await reader.open(router);
        const links = new Map((await opened.links()).map((link) => [link.name, link]));
        await opened.close();
        assert.deepEqual(links.get('vx'), {
          name: 'vx',
          index: 2,
          up: true,
          mtu: 1450,
          kind: 'vxlan',
          linkLayerAddress: '02:4e:00:00:00:01',
          vxlan,
        });
        assert.deepEqual([links.get('e1')?.up, links.get('e1')?.index, links.get('e1')?.kind], [true, 1025, 'veth']);
      }
      await assert.rejects(
        host.change([
          {
            do: 'add-vxlan',
            device: { name: 'vy', index: 9, mtu: 1450, linkLayerAddress: '02:4e:00:00:00:01' },
            vxlan,
            into: task,
          },
        ]),
        (error) => isRefusal(error, 'EEXIST') && error instanceof SwarmError && error.reason === 'network-failed',
      );
      const deletions = ITEMS.toReversed().map((item): Operation => ({ do: 'delete', item }));
      await namespace.change(deletions);
      await namespace.change(deletions);
      for (const reader of readers) assert.deepEqual(await found(reader, router), []);
      await namespace.change([
        { do: 'delete-link', name: 'e1' },
        { do: 'delete-link', name: 'e1' },
      ]);
      // All are tried, the first refusal is told.
      const absent = { name: 'nothing', index: 4711 };
      await assert.rejects(
        namespace.change([
          { do: 'set-up', device: absent },
          { do: 'set', item: { kind: 'address', device: LOOPBACK, prefix: '10.0.9.9/32' } },
        ]),
        (error) => isRefusal(error, 'ENODEV'),
      );
      assert.deepEqual(await found(kernel, router), ['address lo 10.0.9.9/32 = ']);
      for (const one of [namespace, inside, host]) await one.close();
      await kernel.remove(task);
      assert.equal(await kernel.exists(task), false);
      await assert.rejects(kernel.open(task), (error) => isRefusal(error, 'ENOENT'));
    });

    it('loads tables, changes elements and lists both', async () => {
      const namespace = await kernel.open(router);
      const subnets = [
        { family: 4, prefix: '10.0.1.0/24', gateway: '10.0.1.1' },
        { family: 6, prefix: 'fd00:1::/64', gateway: 'fd00:1::1' },
      ] as const;
      await namespace.load('load', `${routerTableText({ subnets })}${countChainsText([1, 2])}`);
      await namespace.changeElements([
        [
          { set: SETS[4].eps, action: 'add', key: '10.0.1.2 . 0', value: '10.0.1.11' },
          { set: SETS[4].vips, action: 'add', key: '10.0.1.2', value: 'n1' },
        ],
        [
          { set: SETS[6].eps, action: 'add', key: 'fd00:1::2 . 0', value: 'fd00:1::11' },
          { set: SETS[6].hairpin, action: 'add', key: 'fd00:1::11 . fd00:1::11' },
        ],
      ]);
      await namespace.changeElements([
        [
          { set: SETS[4].eps, action: 'add', key: '10.0.1.2 . 1', value: '10.0.1.12' },
          { set: SETS[4].vips, action: 'delete', key: '10.0.1.2' },
          { set: SETS[4].vips, action: 'add', key: '10.0.1.2', value: 'n2' },
        ],
      ]);
      await assert.rejects(
        namespace.changeElements([[{ set: SETS[4].vips, action: 'delete', key: '10.0.1.77' }]]),
        (error) => error instanceof SwarmError && error.reason === 'network-failed',
      );
      await assert.rejects(namespace.load('be wrong', 'nonsense'), /cannot be wrong: /);
      const listings: string[] = [];
      for (const reader of readers) {
        const opened = await reader.open(router);
        const read = async (set: (typeof SETS)[4]['vips']) => Object.fromEntries(await opened.elements(set));
        assert.deepEqual(await read(SETS[4].eps), { '10.0.1.2 . 0': '10.0.1.11', '10.0.1.2 . 1': '10.0.1.12' });
        assert.deepEqual(await read(SETS[4].vips), { '10.0.1.2': 'n2' });
        assert.deepEqual(await read(SETS[6].eps), { 'fd00:1::2 . 0': 'fd00:1::11' });
        assert.deepEqual(await read(SETS[6].hairpin), { 'fd00:1::11 . fd00:1::11': '' });
        const text = await opened.ruleset();
        assert.deepEqual(countChains(parseListing(text)), new Set([1, 2]));
        listings.push(JSON.stringify([...parseListing(text)]));
        await opened.close();
      }
      assert.equal(listings[0], listings[1]);
      await namespace.close();
    });
  });

describe('overlay: by programs alone', function () {
  this.timeout(120_000);
  let hosts: Hosts;

  before(async () => {
    hosts = await Hosts.make({ count: 2, kernel: (hostPath) => new CommandKernel(hostPath) });
    await hosts.restoreAll();
  });

  after(() => hosts?.destroy());

  it('a network lives, is healed, drained, restored and goes', async () => {
    hosts.network({ id: 'red', vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
    hosts.service('web', 'red', ['10.0.1.2', 'fd00:1::2']);
    const task = (id: string, host: number, number: number, service = '') =>
      hosts.add({ id, host, networks: { red: [`10.0.1.${number}`, `fd00:1::${number}`] }, service });
    await task('client', 1, 10);
    await task('far', 2, 12, 'web');
    const client = hosts.inTask('client');
    const serve = async (id: string): Promise<Endpoint> => {
      const program = hosts.inTask(id);
      await program.call('serve', id, 80);
      for (const [port, any] of [
        [53, '0.0.0.0'],
        [54, '::'],
      ] as const)
        await program.call('serveDatagrams', id, any, port);
      return program;
    };
    await serve('far');
    for (const vip of ['10.0.1.2', 'fd00:1::2']) {
      assert.match(await client.call('converse', vip, vip, 80), /^far /);
      assert.match(await client.call('askDatagramAgain', `u${vip}`, vip, isIPv6(vip) ? 54 : 53), /^far /);
    }
    assert.deepEqual(await hosts.node(1).reconcile(), { repaired: [], problems: [] });

    await task('near', 1, 11, 'web');
    await serve('near');
    hosts.setServing('far', false);
    await hosts.sync();
    for (const vip of ['10.0.1.2', 'fd00:1::2']) {
      assert.equal(await client.call('say', vip, 'still'), 'still');
      assert.match(await client.call('askDatagramAgain', `u${vip}`, vip, isIPv6(vip) ? 54 : 53), /^near /);
    }
    await hosts.remove('far');
    for (const vip of ['10.0.1.2', 'fd00:1::2'])
      assert.match(await client.call('say', vip, 'still'), /^(ECONNRESET|closed)$/);

    const { adopted, repaired, problems } = await hosts.restart(1);
    assert.deepEqual([[...adopted].toSorted(), repaired, problems], [['client', 'near'], [], []]);
    await hosts.inside(hosts.routerPath(1, 'net-4097'), (socket) =>
      socket.execute([deleteLink('vx'), deleteLink('e1')]),
    );
    const healed = await hosts.node(1).reconcile();
    assert.deepEqual(healed.problems, []);
    assert.ok(healed.repaired.includes('network red: cable of task client'), healed.repaired.join());
    assert.match(await client.call('ask', '10.0.1.2', 80), /^near /);
    await hosts.remove('client');
    await hosts.remove('near');
    assert.equal(await new CommandKernel().exists(hosts.routerPath(1, 'net-4097')), false);
  });
});
