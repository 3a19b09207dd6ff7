/**
 * Goal: what goes through the tunnel is sealed and comes from the node it says, nothing of it ever goes another way, and
 * keys change while it is in use. Method: two hosts and a stranger on one wire (network namespaces), real wg and
 * wireguard-go, real sockets, and the wire watched.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { deleteLink, findLink, setLinkDown, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { addVxlan, replaceForwarding } from '#agent/kernel/netlink-vxlan.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { tunnelLinkName } from '#agent/network/wireguard/tunnel.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { type Host, type HostName, Wire } from './two-hosts.ts';

const PROGRAMS = { wg: '/usr/bin/wg', wireguardGo: '/usr/bin/wireguard-go' };
const MTU = 1500;
const INDEX = { a: 1, b: 258, stranger: 3 } as const;
const INNER = { a: '100.127.0.1', b: '100.127.1.2' } as const;

describe('agent/network: the tunnel', function () {
  this.timeout(60_000);
  let wire: Wire;
  let a: Host;
  let b: Host;

  const instance = (name: HostName): string => `${wire.directory}/${name}`;
  const device = (name: HostName): string => tunnelLinkName(instanceNames(instance(name)));
  const open = (host: Host, name: HostName, config = {}): Promise<string | undefined> =>
    host.call('open', { instance: instance(name), directory: wire.state(name), programs: PROGRAMS, config });
  const peer = async (host: Host, name: HostName, ipv6 = false) => ({
    index: INDEX[name],
    address: wire.address(name, ipv6),
    keys: await host.call('keys'),
  });
  const join2 = async (ipv6 = false): Promise<void> => {
    const peers = [await peer(a, 'a', ipv6), await peer(b, 'b', ipv6)];
    await a.call('set', INDEX.a, peers, MTU);
    await b.call('set', INDEX.b, peers, MTU);
  };
  const inside = async <T>(name: HostName, work: (socket: NetlinkSocket) => Promise<T>): Promise<T> => {
    const namespace = NetworkNamespace.open(wire.path(name));
    const socket = NetlinkSocket.open(namespace);
    try {
      return await work(socket);
    } finally {
      await socket.close();
      namespace.close();
    }
  };

  before(function () {
    if (!existsSync('/dev/net/tun')) skipBecause(this, '/dev/net/tun is not there');
  });
  beforeEach(async () => {
    wire = await Wire.make();
    a = wire.program('a');
    b = wire.program('b');
    assert.equal(await open(a, 'a'), undefined);
    assert.equal(await open(b, 'b'), undefined);
  });
  afterEach(async () => {
    for (const host of [a, b]) await host.call('remove').catch(() => {});
    await wire.remove();
  });

  for (const ipv6 of [false, true])
    it(`joins two nodes over ${ipv6 ? 'IPv6' : 'IPv4'}; big transfers pass`, async () => {
      await join2(ipv6);
      await b.call('serve', INNER.b, 7000);
      assert.equal(await a.call('say', INNER.b, 7000, 'hello'), 'hello');
      const big = 'x'.repeat(200_000);
      assert.equal((await a.call('say', INNER.b, 7000, big)).length, big.length);
      const link = await inside('a', (socket) => findLink(socket, device('a')));
      assert.equal(link?.mtu, MTU - 80);
    });

  it('the key stays on the node: in a file for root alone, in no argument, and the same after a restart', async () => {
    const keys = await a.call('keys');
    const file = join(wire.state('a'), 'keys.json');
    assert.match(execFileSync('stat', ['-c', '%a', file]).toString(), /^600/);
    await join2();
    assert.equal(existsSync(join(wire.state('a'), 'settings')), false);
    const [kept] = JSON.parse(readFileSync(file, 'utf8')) as readonly { readonly privateKey: string }[];
    assert.ok(kept !== undefined);
    const commands = execFileSync('ps', ['-e', '-o', 'args']).toString();
    assert.equal(commands.includes(kept.privateKey), false);
    await a.kill();
    a = wire.program('a');
    await open(a, 'a');
    assert.deepEqual(await a.call('keys'), keys);
  });

  it('goes on without its daemon, which finds nothing to repair when it is back', async () => {
    await join2();
    const peers = [await peer(a, 'a'), await peer(b, 'b')];
    await a.kill();
    a = wire.program('a');
    const c = wire.program('a'); // a client that has nothing to do with the tunnel
    await b.call('serve', INNER.b, 7000);
    assert.equal(await c.call('say', INNER.b, 7000, 'hello'), 'hello');
    await open(a, 'a');
    await a.call('set', INDEX.a, peers, MTU);
    assert.deepEqual(await a.call('verify'), []);
  });

  it('repairs what is damaged: the link, its address, a route, its peers, its process', async () => {
    await join2();
    await b.call('serve', INNER.b, 7000);
    const damages: readonly (readonly [string, () => unknown])[] = [
      ['the link is down', () => inside('a', (socket) => socket.execute([setLinkDown(device('a'))]))],
      ['the link is gone', () => inside('a', (socket) => socket.execute([deleteLink(device('a'))]))],
      ['a peer is gone', () => nsenter('a', ['wg', 'set', device('a'), 'peer', keyOfB, 'remove'])],
      ['a route is gone', () => nsenter('a', ['ip', 'route', 'del', `${INNER.b}/32`])],
      ['the address is gone', () => nsenter('a', ['ip', 'addr', 'flush', 'dev', device('a')])],
    ];
    const keyOfB = (await b.call('keys'))[0] ?? '';
    const nsenter = (name: HostName, words: readonly string[]): Buffer =>
      execFileSync('nsenter', [`--net=${wire.path(name)}`, ...words]);
    for (const [what, damage] of damages) {
      await damage();
      assert.notEqual(await a.call('say', INNER.b, 7000, 'x', 300), 'x', what);
      assert.notDeepEqual(await a.call('verify'), [], what);
      assert.equal(await a.call('say', INNER.b, 7000, 'x'), 'x', what);
      assert.deepEqual(await a.call('verify'), [], what);
    }
  });

  it('a node that is no member any more is cut off; without members the device and its process go', async () => {
    await join2();
    await b.call('serve', INNER.b, 7000);
    assert.equal(await a.call('say', INNER.b, 7000, 'x'), 'x');
    await b.call('set', INDEX.b, [await peer(b, 'b')], MTU);
    assert.notEqual(await a.call('say', INNER.b, 7000, 'x', 300), 'x');
    await b.call('unset');
    assert.equal(await inside('b', (socket) => findLink(socket, device('b'))), undefined);
    await eventually(
      'the end of wireguard-go',
      () => !execFileSync('ps', ['-e', '-o', 'args']).toString().includes(device('b')),
    );
  });

  it('announces a new key, then takes it into use, and what is under way goes on', async () => {
    await a.kill();
    a = wire.program('a');
    await open(a, 'a', { rotateAfterMs: 1, announceMs: 2_000 });
    await eventually('the announcement', async () => (await a.call('keys')).length === 2);
    const [old, announced] = await a.call('keys');
    await join2();
    await b.call('serve', INNER.b, 7000);
    assert.equal(await a.call('say', INNER.b, 7000, 'with the old key'), 'with the old key');
    await eventually('the change of keys', async () => (await a.call('keys'))[0] === announced);
    assert.notEqual(old, announced);
    const peers = [await peer(a, 'a'), await peer(b, 'b')];
    await b.call('set', INDEX.b, peers, MTU);
    assert.equal(await a.call('say', INNER.b, 7000, 'with the new key'), 'with the new key');
  });

  it('where nothing can encrypt it says why, and fails instead of going in the clear', async () => {
    const bare = wire.program('stranger');
    const settings = { instance: instance('stranger'), directory: wire.state('stranger') };
    const problem = await bare.call('open', { ...settings, programs: { wg: undefined, wireguardGo: undefined } });
    assert.match(problem ?? '', /wireguard-tools/);
    assert.deepEqual(await bare.call('keys'), []);
    await assert.rejects(bare.call('set', 3, [], MTU), /cannot encrypt/);
    // It is said once: comparisons, of this and of all else, go on.
    assert.deepEqual(await bare.call('verify'), []);
  });

  describe('the guard', () => {
    const encrypted = 4790;
    const plain = 4789;

    const protect = async (): Promise<void> => {
      for (const host of [a, b])
        await host.call('guard', [wire.address('a'), wire.address('b'), wire.address('a', true)], [INNER.a, INNER.b]);
    };

    it('lets VXLAN in from nodes, and what is encrypted through the tunnel only', async () => {
      await join2();
      await protect();
      const stranger = wire.program('stranger');
      await inside('stranger', (socket) => socket.execute([replaceRoute({ destination: 'default', linkIndex: 2 })]));
      for (const port of [plain, encrypted]) await b.call('listen', '0.0.0.0', port);
      await stranger.call('send', wire.address('b'), plain, 'forged');
      await stranger.call('send', wire.address('b'), plain, 'forged in fragments'.padEnd(4_000, '.'));
      for (const everybody of ['172.31.7.255', '255.255.255.255', '224.0.0.1'])
        for (const port of [plain, encrypted])
          assert.equal(await stranger.call('send', everybody, port, `forged to ${everybody}`), '');
      await stranger.call('send', wire.address('b'), encrypted, 'forged and encrypted');
      for (const port of [plain, encrypted]) await b.call('listen', '::', port);
      await stranger.call('send', wire.address('b', true), plain, 'forged over IPv6');
      await stranger.call('send', wire.address('b', true), plain, 'forged over IPv6 in fragments'.padEnd(4_000, '.'));
      await stranger.call('send', wire.address('b', true), encrypted, 'forged and encrypted over IPv6');
      assert.equal(await stranger.call('send', 'ff02::1%2', plain, 'forged to everybody over IPv6'), '');
      await inside('stranger', (socket) => socket.execute([addAddress(1, `${INNER.a}/32`)]));
      await inside('b', (socket) => socket.execute([addAddress(2, '100.127.0.9/24')])); // no reverse path filter helps
      await stranger.call('send', wire.address('b'), encrypted, 'forged from inside', INNER.a);
      await a.call('send', wire.address('b'), encrypted, 'a node in the clear');
      await a.call('send', wire.address('b'), plain, 'a node');
      await a.call('send', INNER.b, encrypted, 'through the tunnel');
      await eventually('what may pass', async () => (await b.call('heard')).length >= 2);
      assert.deepEqual([...(await b.call('heard'))].sort(), ['a node', 'through the tunnel']);
    });

    it('an encrypted network fails closed: without the tunnel not a packet leaves', async () => {
      await join2();
      await protect();
      const stranger = wire.program('stranger');
      await stranger.call('listen', wire.address('stranger'), encrypted);
      await stranger.call('listen', wire.address('stranger'), 4791);
      await inside('a', async (socket) => {
        const link = {
          name: 'vx',
          vni: 5000,
          port: encrypted,
          local: INNER.a,
          mtu: 1370,
          linkLayerAddress: '02:00:00:00:00:02',
        };
        await socket.execute([addVxlan(link)]);
        const vx = await findLinkOrFail(socket, 'vx');
        await socket.execute([
          setLinkUp(vx.index),
          // As if a route had fallen back to the wire: the peer is the stranger's own address.
          replaceForwarding(vx.index, '02:00:00:00:00:01', wire.address('stranger')),
          addAddress(vx.index, '10.9.9.2/24'),
        ]);
      });
      execFileSync('nsenter', [
        `--net=${wire.path('a')}`,
        ...['ip', 'neigh', 'replace', '10.9.9.7', 'lladdr', '02:00:00:00:00:01', 'dev', 'vx'],
      ]);
      for (let round = 0; round < 3; round++) await a.call('send', '10.9.9.7', 9, 'secret');
      await a.call('send', wire.address('stranger'), 4791, 'the end');
      await eventually('the last datagram', async () => (await stranger.call('heard')).includes('the end'));
      assert.deepEqual(await stranger.call('heard'), ['the end']);
    });

    it('follows members, and is put back after a foreign flush', async () => {
      await protect();
      await b.call('listen', '0.0.0.0', plain);
      await a.call('send', wire.address('b'), plain, '1');
      await eventually('the first', async () => (await b.call('heard')).includes('1'));
      await b.call('guard', [wire.address('b')], []);
      await a.call('send', wire.address('b'), plain, '2');
      assert.equal(await b.call('verifyGuard'), false);
      execFileSync('nsenter', [`--net=${wire.path('b')}`, 'nft', 'flush', 'ruleset']);
      assert.equal(await b.call('verifyGuard'), true);
      await a.call('send', wire.address('b'), plain, '3');
      await b.call('guard', [wire.address('a')], []);
      await a.call('send', wire.address('b'), plain, '4');
      await eventually('the last', async () => (await b.call('heard')).includes('4'));
      assert.deepEqual(await b.call('heard'), ['1', '4']);
    });
  });
});

async function findLinkOrFail(socket: NetlinkSocket, name: string): Promise<{ readonly index: number }> {
  const link = await findLink(socket, name);
  assert.ok(link !== undefined, name);
  return link;
}
