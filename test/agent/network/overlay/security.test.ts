/**
 * Goal: a task speaks as itself and reaches its own networks only, whoever forges what. Method: forged sources from inside
 * a task; forged VXLAN from a host of the cluster, with other numbers and ports. (VXLAN from elsewhere is stopped in the
 * host's own table, which has its own tests.)
 */
import assert from 'node:assert/strict';
import type { NetlinkRequest } from '#agent/kernel/netlink.ts';
import { addAddress, deleteAddress, replaceNeighbour, replaceRoute } from '#agent/kernel/netlink-route.ts';
import { nodeLinkAddress } from '#agent/network/overlay/addressing.ts';
import { eventually } from '#test/support/eventually.ts';
import { vxlanPacket } from './frames.ts';
import { type Endpoint, Hosts } from './hosts.ts';

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
