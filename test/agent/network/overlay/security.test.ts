/**
 * Goal: a task speaks as itself and reaches its own networks only, whoever forges what. Method: forged sources from inside
 * a task; forged VXLAN from a host of the cluster, with other numbers and ports. (VXLAN from elsewhere is stopped in the
 * host's own table, which has its own tests.)
 */
import assert from 'node:assert/strict';
import { AF_INET6 } from '#agent/kernel/ip-address.ts';
import type { NetlinkRequest } from '#agent/kernel/netlink.ts';
import { addAddress, deleteAddress, listAddresses } from '#agent/kernel/netlink-address.ts';
import { replaceNeighbour } from '#agent/kernel/netlink-neighbour.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { nodeLinkAddress, ROUTER_LINK_ADDRESS } from '#agent/network/overlay/addressing.ts';
import { writeSysctls } from '#agent/network/sysctls.ts';
import { taskLinkAddress } from '#common/task-link-address.ts';
import { eventually } from '#test/support/eventually.ts';
import { PacketSocket } from '#test/support/packet-socket.ts';
import {
  datagramFrame,
  gratuitousArp,
  icmpRedirect,
  neighbourAdvertisement,
  routerAdvertisement,
  vxlanPacket,
} from '../frames.ts';
import { type Endpoint, Hosts } from './hosts.ts';
import { stateAt } from './state.ts';

const RED = 'red';
const BLUE = 'blue';
const VIP = '10.0.1.2';
/** Of a task's device: see Hosts. */
const ETH0 = 16;

describe('overlay: security', function () {
  this.timeout(60_000);
  let hosts: Hosts;
  let attacker: Endpoint;
  let victim: Endpoint;
  let far: Endpoint;
  let host2: Endpoint;

  before(async () => {
    hosts = await Hosts.make({ count: 3 });
    await hosts.restoreAll();
    hosts.network({ id: RED, vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
    hosts.network({ id: BLUE, vni: 4098, subnets: ['10.0.2.0/24'] });
    hosts.service('web', RED, [VIP]);
    const task = (id: string, host: number, number: number, service = '') =>
      hosts.add({ id, host, networks: { [RED]: [`10.0.1.${number}`, `fd00:1::${number}`] }, service });
    await task('attacker', 1, 10);
    await task('victim', 1, 11, 'web');
    await task('far', 2, 12);
    await task('farther', 3, 13);
    await hosts.add({ id: 'blue', host: 1, networks: { [BLUE]: ['10.0.2.10'] } });
    attacker = hosts.inTask('attacker');
    victim = hosts.inTask('victim');
    far = hosts.inTask('far');
    host2 = hosts.program(hosts.hostPath(2));
    for (const [id, program] of [
      ['victim', victim],
      ['far', far],
    ] as const) {
      await program.call('serve', id, 80);
      await program.call('serveDatagrams', id, '0.0.0.0', 53);
      await program.call('serveDatagrams', `${id}-6`, '::', 54);
    }
  });

  after(() => hosts?.destroy());

  /** As somebody with NET_ADMIN in the task. */
  const inTask = (id: string, ...requests: readonly NetlinkRequest[]): Promise<void> =>
    hosts.inside(hosts.taskPath(id), (socket) => socket.execute(requests));

  it('a forged source address is dropped, IPv4 and IPv6', async () => {
    // The victim's neighbour's address, an address of nobody, the router's own and the service's.
    const forged = ['10.0.1.12', '10.0.1.77', '10.0.1.1', VIP, '192.0.2.1'];
    const forged6 = ['fd00:1::12', 'fd00:1::77', 'fd00:1::1', '2001:db8::1'];
    await inTask(
      'attacker',
      ...forged.map((address) => addAddress(1, `${address}/32`)),
      ...forged6.map((address) => addAddress(1, `${address}/128`)),
    );
    const [before, before6] = [await victim.call('heard', 'victim'), await victim.call('heard', 'victim-6')];
    for (const source of forged)
      assert.equal(await attacker.call('askDatagram', '10.0.1.11', 53, 1, source, 300), 'timeout', source);
    // In fragments, of which only the first says what it is.
    assert.equal(await attacker.call('askDatagram', '10.0.1.11', 53, 4_000, forged[0], 300), 'timeout');
    for (const source of forged6)
      assert.equal(await attacker.call('askDatagram', 'fd00:1::11', 54, 1, source, 300), 'timeout', source);
    assert.equal(await victim.call('heard', 'victim'), before);
    assert.equal(await victim.call('heard', 'victim-6'), before6);
    await inTask(
      'attacker',
      ...forged.map((address) => deleteAddress(1, `${address}/32`)),
      ...forged6.map((address) => deleteAddress(1, `${address}/128`)),
    );
    // Its own address goes on working.
    assert.equal(await attacker.call('askDatagram', '10.0.1.11', 53, 1, '10.0.1.10'), 'victim 10.0.1.10 1');
    assert.equal(await attacker.call('askDatagram', 'fd00:1::11', 54, 1, 'fd00:1::10'), 'victim-6 fd00:1::10 1');
  });

  it('a task cannot take over another’s address by talking: neighbours are written down', async () => {
    // It believes of itself what it wants; ARP and ND would be asked of the router only, which does not learn.
    await inTask('attacker', addAddress(ETH0, '10.0.1.11/32'));
    assert.equal(await far.call('ask', '10.0.1.11', 80), 'victim 10.0.1.12');
    assert.equal(await victim.call('ask', '10.0.1.12', 80), 'far 10.0.1.11');
  });

  /** Frames from the attacker's device, all of which get to the router. */
  async function forgeFrames(frames: readonly Buffer[]): Promise<void> {
    const device = PacketSocket.open(hosts.taskPath('attacker'), ETH0);
    const router = PacketSocket.open(hosts.routerPath(1, 'net-4097'), 0);
    const waiting = frames.map((frame) => frame.toString('hex'));
    router.watch((frame) => {
      const at = waiting.indexOf(frame.toString('hex'));
      if (at >= 0) waiting.splice(at, 1);
    });
    try {
      for (const frame of frames) device.send(frame);
      await eventually('the frames to be at the router', () => waiting.length === 0);
    } finally {
      device.close();
      router.close();
    }
  }

  it('nobody believes what a task says of others by ARP, ND, router advertisements and redirects', async () => {
    const path = hosts.routerPath(1, 'net-4097');
    const whole = await stateAt(path);
    const from = taskLinkAddress(['10.0.1.10']);
    const everybody = '33:33:00:00:00:01';
    const lies = { to: everybody, from, source: 'fe80::53', destination: 'ff02::1' };
    await forgeFrames([
      ...['10.0.1.11', '10.0.1.12', '10.0.1.1', '169.254.0.2'].map((address) => gratuitousArp(from, address)),
      neighbourAdvertisement(lies, 'fd00:1::11'),
      neighbourAdvertisement({ ...lies, to: ROUTER_LINK_ADDRESS }, 'fd00:1::12'),
      neighbourAdvertisement({ ...lies, to: ROUTER_LINK_ADDRESS, destination: 'fe80::1' }, 'fe80::2:2'),
      routerAdvertisement(lies, '2001:db8:666::'),
      routerAdvertisement({ ...lies, to: ROUTER_LINK_ADDRESS, destination: 'fe80::1' }, '2001:db8:666::'),
      icmpRedirect(
        { to: ROUTER_LINK_ADDRESS, from, source: '10.0.1.10', destination: '10.0.1.1' },
        '10.0.1.12',
        '10.0.1.10',
      ),
    ]);
    assert.equal(await stateAt(path), whole);
    await hosts.inside(hosts.taskPath('victim'), async (socket) => {
      const addresses = (await listAddresses(socket, AF_INET6)).map((one) => one.address);
      assert.ok(!addresses.some((address) => address.startsWith('2001:db8')), addresses.join());
    });
    assert.equal(await far.call('ask', '10.0.1.11', 80), 'victim 10.0.1.12');
    assert.equal(await victim.call('ask', '10.0.1.12', 80), 'far 10.0.1.11');
    assert.equal(await far.call('askDatagram', 'fd00:1::11', 54), 'victim-6 fd00:1::12 1');
  });

  it('frames from another’s device address, to everybody’s, or by a way of their own are worth nothing', async () => {
    const own = { to: ROUTER_LINK_ADDRESS, from: taskLinkAddress(['10.0.1.10']) };
    const ends = { ...own, source: '10.0.1.10', destination: '10.0.1.11' };
    const seen: string[] = [];
    const wire = PacketSocket.open(hosts.taskPath('victim'), ETH0);
    // Past Ethernet and IP: the port tells them apart.
    wire.watch((frame) => seen.push(frame.subarray(34).toString('hex').slice(0, 8)));
    const before = await victim.call('heard', 'victim');
    try {
      await forgeFrames([
        datagramFrame({ ...ends, from: taskLinkAddress(['10.0.1.12']), source: '10.0.1.12' }, 1001),
        datagramFrame({ ...ends, to: 'ff:ff:ff:ff:ff:ff' }, 1002),
        datagramFrame({ ...ends, to: taskLinkAddress(['10.0.1.11']) }, 1003),
        datagramFrame(ends, 1004, '10.0.1.1'),
        datagramFrame({ ...ends, destination: '255.255.255.255' }, 1005),
        datagramFrame({ ...ends, destination: '224.0.0.1' }, 1006),
        // What device a task claims to have is nobody's business as long as the address is its own.
        datagramFrame({ ...ends, from: '02:00:00:00:00:99' }, 53),
      ]);
      await eventually('the last one to be delivered', async () => (await victim.call('heard', 'victim')) > before);
    } finally {
      wire.close();
    }
    assert.deepEqual(
      seen.filter((head) => head.startsWith('1092')),
      ['10920035'],
    );
  });

  it('a host that allows source routes does not hand that on to routers', async () => {
    const setting = 'ipv4/conf/all/accept_source_route';
    const namespace = NetworkNamespace.open(hosts.routerPath(1, 'net-4097'));
    namespace.run(() => writeSysctls([[setting, '1']]));
    namespace.close();
    const { repaired } = await hosts.node(1).reconcile();
    assert.ok(repaired.includes(`network ${RED}: setting net/${setting}`), repaired.join());
  });

  it('a task does not reach another network through the router', async () => {
    await inTask(
      'attacker',
      replaceRoute({ destination: '10.0.2.0/24', linkIndex: ETH0, gateway: '10.0.1.1' }),
      replaceRoute({ destination: '172.31.0.0/24', linkIndex: ETH0, gateway: '10.0.1.1' }),
      replaceRoute({ destination: '169.254.0.0/16', linkIndex: ETH0, gateway: '10.0.1.1' }),
    );
    for (const address of ['10.0.2.10', '172.31.0.1', '172.31.0.2', '169.254.0.2'])
      assert.match(await attacker.call('ask', address, 80), /^(E(HOST|NET)UNREACH|timeout)$/, address);
    // To the router itself: nobody listens, on the service's address or its own.
    assert.equal(await attacker.call('ask', '10.0.1.1', 80), 'ECONNREFUSED');
  });

  it('a task cannot pose as the router with link-local addresses', async () => {
    await inTask('attacker', replaceNeighbour(ETH0, 'fe80::99', 'ee:ee:ee:ee:ee:ee'));
    await inTask('attacker', replaceRoute({ destination: '2001:db8:2::/64', linkIndex: ETH0, gateway: 'fe80::99' }));
    assert.match(await attacker.call('ask', '2001:db8:2::1', 80, 3000), /^(E(HOST|NET)UNREACH|timeout)$/);
  });

  it('forged VXLAN: only what a node may say of its own tasks is delivered', async () => {
    const heard = (): Promise<number> => victim.call('heard', 'victim');
    const router = nodeLinkAddress(1);
    const genuine = { vni: 4097, to: router, source: '10.0.1.12', destination: '10.0.1.11', port: 53 };
    const send = (packet: Parameters<typeof vxlanPacket>[0], port = 4789): Promise<void> =>
      host2.call('sendRaw', '172.31.0.1', port, vxlanPacket(packet));
    let count = await heard();
    await send(genuine);
    count++;
    await eventually('what the other node’s task says is delivered', async () => (await heard()) === count);
    const farCount = await far.call('heard', 'far');
    // As a task of this node; as nobody; as the router.
    for (const source of ['10.0.1.10', '10.0.1.77', '10.0.1.1', VIP, '192.0.2.1']) await send({ ...genuine, source });
    // Another network's number, one that does not exist, and another port.
    await send({ ...genuine, vni: 4098 });
    await send({ ...genuine, vni: 4999 });
    await send(genuine, 4790);
    // To a service's address: that is for the client's own node to choose. To the router. Back to where it came from.
    await send({ ...genuine, destination: VIP });
    await send({ ...genuine, destination: '10.0.1.1' });
    await send({ ...genuine, source: '10.0.1.13', destination: '10.0.1.12' });
    // To another device address: not for us.
    await send({ ...genuine, to: nodeLinkAddress(7) });
    // Order is kept, so this one closes the series.
    await send(genuine);
    count++;
    await eventually('the last one is delivered', async () => (await heard()) >= count);
    assert.equal(await heard(), count);
    assert.equal(await far.call('heard', 'far'), farCount);
  });
});
