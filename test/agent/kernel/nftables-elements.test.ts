/**
 * Goal: elements written over netlink are those that nft reads, and the other way round; a group is done whole or not at
 * all. Method: sets and maps in a namespace of the test's own, looked at with libnftables.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NETLINK_NETFILTER, NetlinkSocket } from '#agent/kernel/netlink.ts';
import { createNetworkNamespace, type NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { changeElements, type ElementChange, type ElementSet, listElements } from '#agent/kernel/nftables-elements.ts';

const VIPS: ElementSet = { family: 'ip', table: 't', name: 'vips', key: ['ipv4'], value: 'goto' };
const EPS: ElementSet = { family: 'ip', table: 't', name: 'eps', key: ['ipv4', 'number'], value: 'ipv4' };
const EPS6: ElementSet = { family: 'ip6', table: 't', name: 'eps', key: ['ipv6', 'number'], value: 'ipv6' };
const PAIRS: ElementSet = { family: 'ip6', table: 't', name: 'pairs', key: ['ipv6', 'ipv6'], value: undefined };

function add(set: ElementSet, key: string, value?: string): ElementChange {
  return { set, action: 'add', key, ...(value === undefined ? {} : { value }) };
}

function remove(set: ElementSet, key: string): ElementChange {
  return { set, action: 'delete', key };
}

describe('kernel: nftables elements', () => {
  let directory: string;
  let namespace: NetworkNamespace;
  let socket: NetlinkSocket;
  let nftables: Nftables;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'starling-elements-'));
    namespace = createNetworkNamespace(join(directory, 'ns'));
    socket = NetlinkSocket.open(namespace, NETLINK_NETFILTER);
    nftables = Nftables.open(namespace);
  });

  beforeEach(() =>
    nftables.run(
      'load',
      `flush ruleset
table ip t {
  map vips { type ipv4_addr : verdict; }
  map eps { typeof ip daddr . numgen random mod 2 : ip daddr; }
  chain n1 { dnat to ip daddr . numgen random mod 1 map @eps; }
  chain n2 { dnat to ip daddr . numgen random mod 2 map @eps; }
  chain pre { type nat hook prerouting priority -100; ip daddr vmap @vips; }
}
table ip6 t {
  map eps { typeof ip6 daddr . numgen random mod 2 : ip6 daddr; }
  set pairs { type ipv6_addr . ipv6_addr; }
  chain n1 { dnat to ip6 daddr . numgen random mod 1 map @eps; }
}`,
    ),
  );

  after(async () => {
    await socket.close();
    await nftables.close();
    namespace.close();
    removeNetworkNamespace(join(directory, 'ns'));
    rmSync(directory, { recursive: true });
  });

  it('are what nft lists, and are read back', async () => {
    await changeElements(socket, [
      [
        add(EPS, '10.0.1.2 . 0', '10.0.1.11'),
        add(EPS, '10.0.1.2 . 1', '10.0.1.12'),
        add(VIPS, '10.0.1.2', 'n2'),
        add(EPS6, 'fd00::2 . 7', 'fd00::11'),
        add(PAIRS, 'fd00::11 . fd00::11'),
      ],
    ]);
    const listed = await nftables.list('list', 'list ruleset', { elements: true });
    for (const text of [
      '10.0.1.2 : goto n2',
      '10.0.1.2 . 0 : 10.0.1.11',
      '10.0.1.2 . 1 : 10.0.1.12',
      'fd00::2 . 7 : fd00::11',
      'fd00::11 . fd00::11',
    ])
      assert.ok(listed.includes(text), `${text} is in ${listed}`);
    await nftables.run('add', 'add element ip t eps { 10.0.1.3 . 2 : 10.0.1.13 }');
    assert.deepEqual(Object.fromEntries(await listElements(socket, EPS)), {
      '10.0.1.2 . 0': '10.0.1.11',
      '10.0.1.2 . 1': '10.0.1.12',
      '10.0.1.3 . 2': '10.0.1.13',
    });
    assert.deepEqual([...(await listElements(socket, VIPS))], [['10.0.1.2', 'n2']]);
    assert.deepEqual([...(await listElements(socket, EPS6))], [['fd00::2 . 7', 'fd00::11']]);
    assert.deepEqual([...(await listElements(socket, PAIRS))], [['fd00::11 . fd00::11', '']]);
  });

  it('a group is done whole or not at all, and says what was refused', async () => {
    await changeElements(socket, [[add(VIPS, '10.0.1.2', 'n2')]]);
    await changeElements(socket, [[remove(VIPS, '10.0.1.2'), add(VIPS, '10.0.1.2', 'n1')]]);
    assert.equal((await listElements(socket, VIPS)).get('10.0.1.2'), 'n1');
    await assert.rejects(
      changeElements(socket, [[add(EPS, '10.0.1.9 . 0', '10.0.1.19'), remove(VIPS, '10.0.1.99')]]),
      /cannot delete elements of ip t vips: netlink: ENOENT/,
    );
    assert.equal((await listElements(socket, EPS)).size, 0);
    // Another value for what is there is refused too: never a silent difference.
    await assert.rejects(changeElements(socket, [[add(VIPS, '10.0.1.2', 'n2')]]), /EEXIST|EBUSY/);
    await assert.rejects(listElements(socket, { ...VIPS, name: 'nothing' }), /ENOENT/);
    // The socket goes on after a refusal.
    await changeElements(socket, [[add(EPS, '10.0.1.9 . 0', '10.0.1.19')]]);
  });

  it('tens of thousands go in a few transactions, and come back', async function () {
    this.timeout(20_000);
    const groups = Array.from({ length: 10_000 }, (_, index) => {
      const vip = `10.${(index >> 14) & 63}.${(index >> 6) & 255}.${index & 63}`;
      return [add(EPS, `${vip} . 0`, '10.200.0.1'), add(EPS, `${vip} . 1`, '10.200.0.2'), add(VIPS, vip, 'n2')];
    });
    await changeElements(socket, groups);
    assert.equal((await listElements(socket, EPS)).size, 20_000);
    assert.equal((await listElements(socket, VIPS)).size, 10_000);
    await changeElements(
      socket,
      groups.map((group) => group.toReversed().map(({ set, key }) => remove(set, key))),
    );
    assert.equal((await listElements(socket, EPS)).size, 0);
  });
});
