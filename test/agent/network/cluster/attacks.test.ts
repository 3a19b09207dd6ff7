/**
 * Goal: nobody who sits in a task or on the wire beside the nodes gets at what is not theirs. Method: hosts with all that a
 * daemon has for networks, real sockets and forged frames; docs/network-security.md says which attack is tried where.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { findLink } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { nodeLinkAddress } from '#agent/network/overlay/addressing.ts';
import { eventually } from '#test/support/eventually.ts';
import { PacketSocket } from '#test/support/packet-socket.ts';
import { gatewayAddress, inNamespace, type NamespaceProcess } from '../fixture.ts';
import {
  datagramFrame,
  gratuitousArp,
  icmpRedirect,
  neighbourAdvertisement,
  routerAdvertisement,
  vxlanPacket,
} from '../frames.ts';
import { ClusterHosts, hostAddress, INGRESS, STRANGER_ADDRESS, STRANGER_ADDRESS6 } from './cluster-hosts.ts';

const RED = { id: 'red', vni: 4097, subnet: '10.0.1.0/24' } as const;
const BLUE = { id: 'blue', vni: 4098, subnet: '10.0.2.0/24' } as const;
const CLOSED = { id: 'closed', vni: 4099, subnet: '10.0.3.0/24', internal: true } as const;
const VXLAN = 4789;
/** Of the device to the gateway, in every task. */
const GW = 2;
const NEXT_HOP = '169.254.1.1';
const NEXT_HOP_LINK_ADDRESS = 'ee:ee:ee:ee:ee:ee';
/** No answer that anybody gave. */
const NO_WAY = /^(timeout|E(HOST|NET)UNREACH|ECONNREFUSED)$/;

describe('network: attacks', function () {
  this.timeout(90_000);
  let hosts: ClusterHosts;
  let stranger: NamespaceProcess;
  const onHost: NamespaceProcess[] = [];
  /** On host 1, of network red, and root there. */
  let attacker: NamespaceProcess;
  /** On host 2, of network red, with published ports. */
  let victim: NamespaceProcess;
  let confined: NamespaceProcess;

  before(async () => {
    hosts = await ClusterHosts.make(2, [RED, BLUE, CLOSED]);
    stranger = hosts.process(hosts.hostPath(0));
    for (const host of [1, 2]) onHost[host] = hosts.process(hosts.hostPath(host));
    hosts.services = [
      {
        id: 'web',
        addresses: { red: '10.0.1.2' },
        ports: [
          { publishedPort: 8080, targetPort: 80 },
          { publishedPort: 8081, targetPort: 53, udp: true, hostIp: '127.0.0.1' },
        ],
      },
      { id: 'inner', addresses: { closed: '10.0.3.2' }, ports: [{ publishedPort: 8085, targetPort: 80 }] },
    ];
    await hosts.add({ id: 'attacker', host: 1, networks: { red: '10.0.1.10' } });
    await hosts.add({ id: 'victim', host: 2, service: 'web', networks: { red: '10.0.1.11', [INGRESS]: '10.0.0.11' } });
    await hosts.add({ id: 'blue', host: 2, networks: { blue: '10.0.2.10' } });
    await hosts.add({ id: 'confined', host: 1, networks: { closed: '10.0.3.10' } });
    await hosts.add({
      id: 'inner',
      host: 1,
      service: 'inner',
      networks: { closed: '10.0.3.11', [INGRESS]: '10.0.0.12' },
    });
    attacker = hosts.inTask('attacker');
    victim = hosts.inTask('victim');
    confined = hosts.inTask('confined');
    await victim.call('serve', 'victim', '0.0.0.0', 80);
    await victim.call('serveDatagrams', 'victim', '0.0.0.0', 53);
    await stranger.call('serve', 'outside', '::', 80);
    await stranger.call('serveDatagrams', 'outside', '0.0.0.0', 53);
    for (const host of [1, 2]) {
      await onHost[host]?.call('serve', `host${host}`, '0.0.0.0', 22);
      await onHost[host]?.call('serveDatagrams', `host${host}`, '0.0.0.0', 123);
    }
    assert.equal(await attacker.call('ask', '10.0.1.2', 80), 'victim 10.0.1.10');
    assert.equal(await stranger.call('ask', hostAddress(1), 8080), `victim ${STRANGER_ADDRESS}`);
    assert.equal(await attacker.call('ask', STRANGER_ADDRESS6, 80), 'outside fd31:2::1');
  });

  after(() => hosts?.destroy());

  const heard = (): Promise<number> => victim.call('heard', 'victim');

  async function linkAddress(path: string, name: string): Promise<string> {
    return inNamespace(path, async (socket) => (await findLink(socket, name))?.linkLayerAddress ?? '');
  }

  async function onHostRuleset(host: number, text: string): Promise<void> {
    const namespace = NetworkNamespace.open(hosts.hostPath(host));
    const nftables = Nftables.open(namespace);
    try {
      await nftables.run('somebody else', text);
    } finally {
      await nftables.close();
      namespace.close();
    }
  }

  it('VXLAN that a machine on the wire or a task forges is delivered to nobody', async () => {
    const genuine = { vni: RED.vni, to: nodeLinkAddress(2), source: '10.0.1.10', destination: '10.0.1.11', port: 53 };
    const byMesh = { ...genuine, vni: 4096, source: STRANGER_ADDRESS, destination: '10.0.0.11' };
    const before = await heard();
    for (const forged of [genuine, { ...genuine, padding: 3_000 }, byMesh].map(vxlanPacket)) {
      for (const target of [hostAddress(2), '192.0.2.255', '255.255.255.255', '224.0.0.1'])
        assert.equal(await stranger.call('sendRaw', target, VXLAN, forged), '', target);
      // It would leave with the host's own address, as a node's.
      for (const target of [hostAddress(2), hostAddress(1), '192.0.2.255'])
        for (const port of [VXLAN, 4790]) await attacker.call('sendRaw', target, port, forged);
    }
    assert.equal(await onHost[1]?.call('sendRaw', hostAddress(2), VXLAN, vxlanPacket(genuine)), '');
    await eventually('what a node says to be delivered', async () => (await heard()) > before);
    assert.equal(await heard(), before + 1);
  });

  it('a task reaches nothing of the hosts but names and published ports, whatever routes it makes', async () => {
    const cables = [await hosts.daemon(1).call('nameserver'), await hosts.daemon(2).call('nameserver')];
    const [own = '', others = ''] = cables;
    assert.notEqual(own, others);
    await inNamespace(hosts.taskPath('attacker'), (socket) =>
      socket.execute(
        ['10.0.0.0/16', '10.254.0.0/15', '169.254.64.0/18', '192.0.2.0/24'].map((destination) =>
          replaceRoute({ destination, linkIndex: GW, gateway: NEXT_HOP }),
        ),
      ),
    );
    for (const address of [own, hostAddress(1)]) {
      assert.equal(await attacker.call('ask', address, 22), 'ECONNREFUSED');
      assert.equal(await attacker.call('askDatagram', address, 123), 'ECONNREFUSED');
    }
    const gateways = ['victim', 'blue'].map((id) => {
      const attachment = hosts.attachments.get(id);
      assert.ok(attachment);
      return gatewayAddress(attachment);
    });
    for (const address of [others, ...gateways, '10.0.0.11', '10.0.2.10'])
      for (const port of [22, 53, 80]) assert.match(await attacker.call('ask', address, port, 200), NO_WAY, address);
    assert.deepEqual(await attacker.call('resolveName', 'web', others), ['ETIMEOUT']);
    assert.deepEqual(await attacker.call('resolveName', 'web'), ['10.0.1.2']);
    assert.equal(await attacker.call('ask', hostAddress(1), 8080), `victim ${hostAddress(1)}`);
  });

  it('the gateway believes nothing of what a task says by ARP, ND, router advertisements and redirects', async () => {
    const gateway = `${hosts.runDirectory(1)}/network/ns/gateway`;
    const state = (): string =>
      ['ip -d route show table all', 'ip -6 -d route show table all', 'ip neigh', 'ip -6 neigh', 'ip addr']
        .map((command) => execFileSync('nsenter', [`--net=${gateway}`, ...command.split(' ')]).toString())
        .join('\n');
    const whole = state();
    const others = hosts.attachments.get('confined');
    const own = hosts.attachments.get('attacker');
    assert.ok(others !== undefined && own !== undefined);
    const from = await linkAddress(hosts.taskPath('attacker'), 'gw');
    const lies = { to: NEXT_HOP_LINK_ADDRESS, from, source: 'fe80::53', destination: 'fe80::1' };
    const [, stolen6 = ''] = others.addresses.filter((one) => one.network === 'gateway').map((one) => one.address);
    const frames = [
      ...[gatewayAddress(others), '10.0.0.12', NEXT_HOP].map((address) => gratuitousArp(from, address)),
      ...[stolen6 || 'fe80::1', 'fe80::1'].map((address) => neighbourAdvertisement(lies, address)),
      routerAdvertisement(lies, '2001:db8:666::'),
      routerAdvertisement({ ...lies, to: '33:33:00:00:00:01', destination: 'ff02::1' }, '2001:db8:666::'),
      icmpRedirect(
        { to: NEXT_HOP_LINK_ADDRESS, from, source: gatewayAddress(own), destination: gatewayAddress(own) },
        STRANGER_ADDRESS,
        gatewayAddress(own),
      ),
    ];
    const cable = PacketSocket.open(hosts.taskPath('attacker'), GW);
    for (const frame of frames) cable.send(frame);
    cable.close();
    assert.equal(await attacker.call('ask', STRANGER_ADDRESS, 80), `outside ${hostAddress(1)}`);
    assert.equal(state(), whole);
    // A host that allows source routes does not hand that on.
    const setting = ['sysctl', '-n', 'net.ipv4.conf.all.accept_source_route'];
    assert.equal(execFileSync('nsenter', [`--net=${gateway}`, ...setting]).toString(), '0\n');
    assert.deepEqual(await confined.call('resolveName', 'inner'), ['10.0.3.2']);
  });

  it('names are told to tasks, each those of its own networks', async () => {
    const own = await hosts.daemon(1).call('nameserver');
    await inNamespace(hosts.hostPath(0), (socket) =>
      socket.execute([replaceRoute({ destination: `${own}/32`, linkIndex: 2, gateway: hostAddress(1) })]),
    );
    assert.deepEqual(await stranger.call('resolveName', 'web', own), ['EREFUSED']);
    assert.deepEqual(await confined.call('resolveName', 'web'), ['ENOTFOUND']);
    assert.deepEqual(await confined.call('resolveName', 'inner'), ['10.0.3.2']);
    // As somebody else: the answer would go to the other, and the question does not get there.
    const attachment = hosts.attachments.get('confined');
    assert.ok(attachment);
    await inNamespace(hosts.taskPath('attacker'), (socket) =>
      socket.execute([addAddress(1, `${gatewayAddress(attachment)}/32`)]),
    );
    const wire = PacketSocket.open(hosts.hostPath(1), 0);
    const seen: string[] = [];
    wire.watch((frame) => seen.push(frame.toString('latin1')));
    const question = Buffer.from(
      '\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06stolen\x00\x00\x01\x00\x01',
      'latin1',
    );
    await attacker.call('sendRaw', own, 53, question.toString('hex'), gatewayAddress(attachment));
    await attacker.call('resolveName', 'honest');
    await eventually('the honest question', () => seen.some((frame) => frame.includes('honest')));
    wire.close();
    assert.equal(
      seen.some((frame) => frame.includes('stolen')),
      false,
    );
  });

  it('who publishes the port of names gets it at every host, and answers no task that asks its own server', async () => {
    const port = { publishedPort: 53, targetPort: 53 };
    const own = await hosts.daemon(1).call('nameserver');
    hosts.services = [...hosts.services, { id: 'names', ports: [{ ...port, udp: true }, port] }];
    await hosts.add({ id: 'names', host: 2, service: 'names', networks: { [INGRESS]: '10.0.0.13' } });
    const names = hosts.inTask('names');
    await names.call('serve', 'names', '0.0.0.0', 53);
    await names.call('serveDatagrams', 'names', '0.0.0.0', 53);
    for (const host of [1, 2]) {
      assert.equal(await stranger.call('ask', hostAddress(host), 53), `names ${STRANGER_ADDRESS}`);
      assert.equal(await stranger.call('askDatagram', hostAddress(host), 53), `names ${STRANGER_ADDRESS}`);
    }
    const before = await names.call('heard', 'names');
    assert.deepEqual(await attacker.call('resolveName', 'web'), ['10.0.1.2']);
    assert.deepEqual(await onHost[1]?.call('resolveName', 'web', own), ['EREFUSED']);
    assert.match(await attacker.call('ask', own, 53, 200), /^timeout$/, 'a server of names says nothing unasked');
    assert.equal(await names.call('heard', 'names'), before);
  });

  it('who is on internal networks only says nothing to the outside: not by routes, ports, echo or names', async () => {
    const wire = PacketSocket.open(hosts.hostPath(1), 2);
    const seen: string[] = [];
    wire.watch((frame) => seen.push(frame.toString('latin1')));
    const inner = hosts.inTask('inner');
    try {
      for (const id of ['confined', 'inner'])
        await inNamespace(hosts.taskPath(id), (socket) =>
          socket.execute([replaceRoute({ destination: 'default', linkIndex: GW, gateway: NEXT_HOP })]),
        );
      for (const [program, names] of [
        [confined, 'by-confined'],
        [inner, 'by-inner'],
      ] as const) {
        for (const port of [80, 53, 443])
          assert.match(await program.call('ask', STRANGER_ADDRESS, port, 300), NO_WAY, `${names} ${port}`);
        assert.match(await program.call('ask', STRANGER_ADDRESS6, 80, 300), NO_WAY, names);
        assert.match(await program.call('askDatagram', STRANGER_ADDRESS, 53, 300), NO_WAY, names);
        assert.match(await program.call('ask', hostAddress(1), 8080, 300), NO_WAY, names);
        assert.deepEqual(await program.call('resolveName', `${names}.secret.example.org`), ['ENOTFOUND']);
      }
      assert.match(await inner.call('askDatagram', STRANGER_ADDRESS, 53, 300, '10.0.0.12'), NO_WAY);
      // What it publishes is answered all the same.
      await inner.call('serve', 'inner', '0.0.0.0', 80);
      assert.equal(await stranger.call('ask', hostAddress(1), 8085), `inner ${STRANGER_ADDRESS}`);
      assert.equal(await stranger.call('ask', hostAddress(2), 8085), `inner ${STRANGER_ADDRESS}`);
      // Others ask outside: the host's own servers are nowhere here, but the question leaves.
      await attacker.call('resolveName', 'by-attacker.example.org', `127.0.0.11`);
    } finally {
      wire.close();
    }
    assert.equal(
      seen.some((frame) => frame.includes('by-confined') || frame.includes('by-inner')),
      false,
    );
  });

  it('a port that is published on 127.0.0.1 is for the host alone', async () => {
    const before = await heard();
    assert.match((await onHost[1]?.call('askDatagram', '127.0.0.1', 8081)) ?? '', /^victim /);
    const settings = NetworkNamespace.open(hosts.hostPath(1));
    settings.run(() => writeFileSync('/proc/sys/net/ipv4/conf/eth0/route_localnet', '1'));
    settings.close();
    assert.match(await stranger.call('askDatagram', hostAddress(1), 8081, 200), NO_WAY);
    assert.match(await attacker.call('askDatagram', hostAddress(1), 8081, 200), NO_WAY);
    const martian = { source: STRANGER_ADDRESS, destination: '127.0.0.1' };
    const wire = PacketSocket.open(hosts.hostPath(0), 2);
    const to = await linkAddress(hosts.hostPath(1), 'eth0');
    wire.send(datagramFrame({ ...martian, to, from: await linkAddress(hosts.hostPath(0), 'eth0') }, 8081));
    wire.close();
    const attachment = hosts.attachments.get('attacker');
    assert.ok(attachment);
    const cable = PacketSocket.open(hosts.taskPath('attacker'), GW);
    const source = gatewayAddress(attachment);
    const from = await linkAddress(hosts.taskPath('attacker'), 'gw');
    for (const destination of ['127.0.0.1', '127.0.0.53'])
      cable.send(datagramFrame({ to: NEXT_HOP_LINK_ADDRESS, from, source, destination }, 8081));
    cable.close();
    assert.match((await onHost[1]?.call('askDatagram', '127.0.0.1', 8081)) ?? '', /^victim /);
    assert.equal(await heard(), before + 2);
  });

  it('a foreign flush of the ruleset opens nothing, and cuts nothing between tasks', async () => {
    await onHostRuleset(1, 'flush ruleset');
    const before = await heard();
    const forged = { vni: RED.vni, to: nodeLinkAddress(2), source: '10.0.1.10', destination: '10.0.1.11', port: 53 };
    await attacker.call('sendRaw', hostAddress(2), VXLAN, vxlanPacket(forged));
    assert.match(await attacker.call('ask', hostAddress(1), 22, 300), NO_WAY);
    assert.match(await attacker.call('ask', STRANGER_ADDRESS, 80, 300), NO_WAY);
    assert.match(await confined.call('ask', STRANGER_ADDRESS, 80, 300), NO_WAY);
    assert.equal(await stranger.call('ask', hostAddress(1), 8080), 'ECONNRESET');
    assert.equal(await attacker.call('ask', '10.0.1.2', 80), 'victim 10.0.1.10');
    assert.equal(await heard(), before);
    const repaired = await hosts.daemon(1).call('reconcile');
    assert.ok(repaired.includes('guard of VXLAN'), repaired.join());
    assert.equal(await stranger.call('ask', hostAddress(1), 8080), `victim ${STRANGER_ADDRESS}`);
    assert.equal(await attacker.call('ask', STRANGER_ADDRESS, 80), `outside ${hostAddress(1)}`);
    assert.deepEqual(await hosts.daemon(1).call('reconcile'), []);
  });
});
