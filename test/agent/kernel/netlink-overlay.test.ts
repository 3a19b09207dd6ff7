/**
 * Goal: what overlay networks are made of is written to the kernel as it is read back, IPv4 and IPv6 alike. Method: real
 * devices, routes, neighbours and forwarding entries in two namespaces of the test's own.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AF_INET6, addressBytes, addressText, canonicalAddress } from '#agent/kernel/ip-address.ts';
import { hasErrno } from '#agent/kernel/libc.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress, deleteAddress, listAddresses } from '#agent/kernel/netlink-address.ts';
import { type NetworkEvent, watchNetwork } from '#agent/kernel/netlink-events.ts';
import { addVeth, deleteLink, findLink, setLinkDown, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { addIpvlan, addMacvlan } from '#agent/kernel/netlink-macvlan.ts';
import { deleteNeighbour, listNeighbours, replaceNeighbour } from '#agent/kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, replaceRoute } from '#agent/kernel/netlink-route.ts';
import { addRule, deleteRule, listRules } from '#agent/kernel/netlink-rule.ts';
import {
  addVxlan,
  deleteForwarding,
  listForwarding,
  replaceForwarding,
  vxlanSettings,
} from '#agent/kernel/netlink-vxlan.ts';
import { createNetworkNamespace, type NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { eventually } from '#test/support/eventually.ts';

describe('kernel: netlink for overlay networks', () => {
  let directory: string;
  let near: NetworkNamespace;
  let far: NetworkNamespace;
  let here: NetlinkSocket;
  let there: NetlinkSocket;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'starling-netlink-'));
    near = createNetworkNamespace(join(directory, 'near'));
    far = createNetworkNamespace(join(directory, 'far'));
    here = NetlinkSocket.open(near);
    there = NetlinkSocket.open(far);
    await here.execute([
      addVeth({ name: 'a', index: 2, mtu: 1500 }, { name: 'b', index: 2, mtu: 1500 }, far.descriptor),
      setLinkUp(1),
    ]);
    await there.execute([setLinkUp(2)]);
  });

  afterEach(async () => {
    await here.close();
    await there.close();
    near.close();
    far.close();
    for (const name of ['near', 'far']) removeNetworkNamespace(join(directory, name));
    rmSync(directory, { recursive: true });
  });

  it('addresses become bytes and one text again', () => {
    for (const [text, canonical] of [
      ['10.0.1.255', '10.0.1.255'],
      ['::', '::'],
      ['::1', '::1'],
      ['FD00:0:0::1', 'fd00::1'],
      ['fe80::2:A', 'fe80::2:a'],
      ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
      ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
      ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ] as const) {
      assert.equal(addressText(addressBytes(text)), canonical);
      assert.equal(canonicalAddress(text), canonical);
    }
    assert.throws(() => addressBytes('10.0.0'), /is not an IP address/);
    assert.throws(() => addressBytes('fe80::1%eth0'), /is not an IP address/);
  });

  it('IPv6 addresses, routes, neighbours and rules', async () => {
    await here.execute([
      addAddress(2, 'fd00:1::11/64', { noPrefixRoute: true }),
      addAddress(2, 'fd00:1::11/64', { noPrefixRoute: true }),
      replaceNeighbour(2, 'fe80::1', '02:00:00:00:00:01'),
      replaceRoute({ destination: 'fd00:1::/64', linkIndex: 2, gateway: 'fe80::1', preferredSource: 'fd00:1::11' }),
      replaceRoute({ destination: 'fd00:2::9/128', linkIndex: 2, mtu: 1300 }),
      replaceRoute({ destination: '::/0', linkIndex: 2, gateway: 'fe80::1', table: 100 }),
      replaceRoute({ destination: 'fd00:1::99/128', linkIndex: 1, local: true }),
      addRule({ priority: 77, table: 100, source: 'fd00:1::11/128' }),
    ]);
    const addresses = await listAddresses(here, AF_INET6);
    assert.ok(addresses.some((one) => one.address === 'fd00:1::11' && one.prefixLength === 64));
    const routes = await listRoutes(here, AF_INET6);
    const to = (destination: string) => routes.filter((route) => route.destination === destination);
    assert.deepEqual(
      to('fd00:1::/64').map(({ gateway, linkIndex, preferredSource }) => [gateway, linkIndex, preferredSource]),
      [['fe80::1', 2, 'fd00:1::11']],
      'no route of the kernel’s own beside it',
    );
    assert.deepEqual(
      to('fd00:2::9/128').map(({ mtu, table }) => [mtu, table]),
      [[1300, 254]],
    );
    assert.deepEqual(
      to('fd00:1::99/128').map(({ local, table }) => [local, table]),
      [[true, 255]],
    );
    assert.ok(to('::/0').some((route) => route.table === 100));
    const neighbours = await listNeighbours(here, AF_INET6);
    assert.ok(neighbours.some((one) => one.address === 'fe80::1' && one.permanent && one.linkIndex === 2));
    assert.ok(
      (await listRules(here, AF_INET6)).some((rule) => rule.priority === 77 && rule.source === 'fd00:1::11/128'),
    );

    // To another kind of next hop the same route moves, it is not doubled.
    await here.execute([replaceRoute({ destination: 'fd00:2::9/128', linkIndex: 2, gateway: 'fe80::1' })]);
    const moved = (await listRoutes(here, AF_INET6)).filter((route) => route.destination === 'fd00:2::9/128');
    assert.deepEqual(
      moved.map(({ gateway, mtu }) => [gateway, mtu]),
      [['fe80::1', undefined]],
    );
    for (let round = 0; round < 2; round++)
      await here.execute([
        deleteRoute('fd00:1::/64'),
        deleteRoute('fd00:1::99/128', 255),
        deleteRoute('::/0', 100),
        deleteNeighbour(2, 'fe80::1'),
        deleteAddress(2, 'fd00:1::11/64'),
        deleteRule({ priority: 77, table: 100, source: 'fd00:1::11/128' }),
      ]);
    const left = await listRoutes(here, AF_INET6);
    assert.ok(!left.some((route) => /^fd00:1|^::\/0/.test(route.destination)), JSON.stringify(left));
    assert.ok(!(await listNeighbours(here, AF_INET6)).some((one) => one.address === 'fe80::1'));
  });

  it('IPv4 local routes, mtu and removal of neighbours', async () => {
    await here.execute([
      replaceRoute({ destination: '10.0.1.2/32', linkIndex: 1, local: true }),
      replaceNeighbour(2, '169.254.0.9', '02:00:00:00:00:09'),
      replaceRoute({ destination: '10.0.1.21/32', linkIndex: 2, gateway: '169.254.0.9', mtu: 1400 }),
      addAddress(2, '10.0.1.11/24', { noPrefixRoute: true }),
    ]);
    const routes = await listRoutes(here);
    assert.ok(routes.some((route) => route.destination === '10.0.1.2/32' && route.local && route.table === 255));
    assert.ok(routes.some((route) => route.destination === '10.0.1.21/32' && route.mtu === 1400));
    assert.ok(!routes.some((route) => route.destination === '10.0.1.0/24'));
    await here.execute([deleteNeighbour(2, '169.254.0.9'), deleteNeighbour(2, '169.254.0.9')]);
    assert.deepEqual(await listNeighbours(here), []);
  });

  it('a VXLAN device is born in another namespace, its socket stays', async () => {
    const device = { name: 'vx', index: 7, mtu: 1450, linkLayerAddress: '02:4e:00:00:00:01' };
    await here.execute([addVxlan({ ...device, vni: 4097, port: 4789, local: '127.0.0.1', namespace: far.descriptor })]);
    await there.execute([
      setLinkUp('vx'),
      replaceForwarding(7, '02:4e:00:00:00:02', '172.31.0.2'),
      replaceForwarding(7, '02:4e:00:00:00:02', '172.31.0.3'),
      replaceForwarding(7, '02:4e:00:00:00:04', '172.31.0.4'),
      deleteForwarding(7, '02:4e:00:00:00:04'),
      deleteForwarding(7, '02:4e:00:00:00:04'),
    ]);
    const link = await findLink(there, 'vx');
    assert.ok(link !== undefined);
    assert.deepEqual(vxlanSettings(link), { vni: 4097, port: 4789, local: '127.0.0.1' });
    assert.deepEqual([link.index, link.mtu, link.linkLayerAddress], [7, 1450, '02:4e:00:00:00:01']);
    assert.deepEqual(await listForwarding(there), [
      { linkIndex: 7, linkLayerAddress: '02:4e:00:00:00:02', node: '172.31.0.3' },
    ]);
    // The number is taken in the namespace of the socket, not in that of the device.
    const again = addVxlan({ ...device, name: 'vy', index: 8, vni: 4097, port: 4789, local: '127.0.0.1' });
    const [refusal] = await here.tryExecute([again]);
    assert.equal(refusal?.code, 'EEXIST');
    await there.execute([again]);
  });

  it('macvlan devices share a parent; ipvlan says when the kernel has none', async () => {
    await here.execute([
      addMacvlan(
        { name: 'm', parentIndex: 2, linkLayerAddress: '02:53:00:00:00:05', namespace: far.descriptor },
        'bridge',
      ),
    ]);
    const link = await findLink(there, 'm');
    assert.deepEqual([link?.kind, link?.linkLayerAddress], ['macvlan', '02:53:00:00:00:05']);
    const [refusal] = await here.tryExecute([addIpvlan({ name: 'i', parentIndex: 2 }, 'l2')]);
    assert.ok(refusal === undefined || hasErrno(refusal, 'ENOTSUP', 'EBUSY'), refusal?.code);
  });
});

describe('kernel: events of a namespace', () => {
  it('tell what is gone or down, unless we did it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'starling-events-'));
    const namespace = createNetworkNamespace(join(directory, 'ns'));
    const ours = NetlinkSocket.open(namespace);
    const foreign = NetlinkSocket.open(namespace);
    const events: NetworkEvent[] = [];
    // Asked before its first message.
    const watch = watchNetwork(namespace, ours.portId, (more) => events.push(...more));
    await ours.execute([setLinkUp(1)]);
    try {
      await ours.execute([
        addVeth({ name: 'a', index: 2, mtu: 1500 }, { name: 'b', index: 3, mtu: 1500 }, namespace.descriptor),
        setLinkUp(3),
        replaceNeighbour(2, 'fe80::9', '02:00:00:00:00:09'),
        replaceRoute({ destination: '10.0.1.21/32', linkIndex: 2, gateway: '169.254.0.9' }),
        replaceRoute({ destination: '10.0.1.22/32', linkIndex: 2, gateway: '169.254.0.9' }),
        deleteRoute('10.0.1.22/32'),
      ]);
      await foreign.execute([
        replaceRoute({ destination: '10.0.1.23/32', linkIndex: 2, gateway: '169.254.0.9' }),
        deleteRoute('10.0.1.21/32'),
        deleteNeighbour(2, 'fe80::9'),
        setLinkDown(2),
        deleteLink('a'),
      ]);
      const seen = (kind: string, name: string, gone: boolean): NetworkEvent | undefined =>
        events.find((event) => event.kind === kind && event.name === name && event.gone === gone);
      await eventually('the devices are told to be gone', () => seen('link', 'b', true) !== undefined);
      assert.equal(seen('route', '10.0.1.21', true)?.portId, foreign.portId);
      assert.ok(seen('neighbour', 'fe80::9', true) !== undefined);
      assert.ok(events.some((event) => event.kind === 'link' && event.name === 'a' && !event.gone && !event.up));
      assert.equal(seen('route', '10.0.1.22', true), undefined, 'we know that ourselves');
      assert.equal(seen('route', '10.0.1.23', false), undefined, 'nobody asks for what is new');
      assert.ok(ours.portId !== 0 && ours.portId !== foreign.portId);
    } finally {
      watch.close();
      await ours.close();
      await foreign.close();
      namespace.close();
      removeNetworkNamespace(join(directory, 'ns'));
      rmSync(directory, { recursive: true });
    }
  });
});
