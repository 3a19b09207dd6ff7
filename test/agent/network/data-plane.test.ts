/**
 * Goal: tasks reach the world, the world reaches published ports, and nobody reaches anything else. Method: real
 * sockets in real namespaces: a host with two tasks, and a server outside (see fixture.ts).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { listLinks } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import type { NetworkAttachment } from '#agent/network/index.ts';
import {
  FAR_ADDRESS,
  gatewayAddress,
  HOST_ADDRESS,
  inNamespace,
  type NamespaceProcess,
  namespaceOf,
  OUTSIDE_ADDRESS,
  TwoHosts,
  taskRequest,
} from './fixture.ts';

describe('network: data plane', function () {
  this.timeout(60_000);
  let hosts: TwoHosts;
  let host: NamespaceProcess;
  let outside: NamespaceProcess;
  let web: NetworkAttachment;
  let other: NetworkAttachment;
  let inWeb: NamespaceProcess;
  let inOther: NamespaceProcess;

  before(async () => {
    hosts = await TwoHosts.make();
    host = hosts.process(hosts.hostPath);
    outside = hosts.process(hosts.outsidePath);
    await host.call('open', { instance: 'data-plane', directory: hosts.runDirectory('data-plane') });
    await host.call('restore', []);
    web = await host.call(
      'attach',
      taskRequest('web', '8080:80', '127.0.0.1:8081:80', '5353:53/udp', '127.0.0.1:5355:53/udp', '2222:2222'),
    );
    other = await host.call('attach', taskRequest('other', `${HOST_ADDRESS}:8082:80`));
    inWeb = hosts.process(namespaceOf(web));
    inOther = hosts.process(namespaceOf(other));
    await Promise.all([
      inWeb.call('serve', 'web', '0.0.0.0', 80),
      inWeb.call('serveDatagrams', 'web', '0.0.0.0', 53),
      inWeb.call('serveEcho', '0.0.0.0', 2222),
      inOther.call('serve', 'other', '0.0.0.0', 80),
      outside.call('serve', 'outside', '0.0.0.0', 80),
      outside.call('serveDatagrams', 'outside', FAR_ADDRESS, 53),
      host.call('serve', 'host', '0.0.0.0', 22),
      host.call('serveDatagrams', 'host', '0.0.0.0', 123),
    ]);
  });

  after(async () => {
    await host?.call('destroy');
    await hosts?.destroy();
  });

  /** What connection tracking calls the flow to port 2222: a forgotten one comes back under another number. */
  function longFlow(): string {
    const args = [`--net=${hosts.hostPath}`, 'conntrack', '-L', '-o', 'id', '-p', 'tcp', '--dport', '2222'];
    return /id=\d+/.exec(spawnSync('nsenter', args, { encoding: 'utf8' }).stdout)?.[0] ?? '';
  }

  it('a task reaches the world with the host’s address', async () => {
    assert.equal(await inWeb.call('ask', FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    assert.equal(await inWeb.call('askDatagram', FAR_ADDRESS, 53), `outside ${HOST_ADDRESS}`);
  });

  it('a published port is reached from outside, with the client’s address kept', async () => {
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);
    assert.equal(await outside.call('askDatagram', HOST_ADDRESS, 5353), `web ${OUTSIDE_ADDRESS}`);
  });

  it('a published port is reached from the host, by its address and by 127.0.0.1', async () => {
    assert.equal(await host.call('ask', HOST_ADDRESS, 8080), `web ${HOST_ADDRESS}`);
    assert.match(await host.call('ask', '127.0.0.1', 8080), /^web /);
    assert.match(await host.call('askDatagram', '127.0.0.1', 5353), /^web /);
  });

  it('a published port is reached from another task and from the task itself', async () => {
    assert.match(await inOther.call('ask', HOST_ADDRESS, 8080), /^web /);
    assert.match(await inWeb.call('ask', HOST_ADDRESS, 8080), /^web /);
    assert.match(await inWeb.call('askDatagram', HOST_ADDRESS, 5353), /^web /);
  });

  it('a port published on 127.0.0.1 is the host’s own', async () => {
    assert.match(await host.call('ask', '127.0.0.1', 8081), /^web /);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8081), 'ECONNREFUSED');
    assert.equal(await inOther.call('ask', HOST_ADDRESS, 8081), 'ECONNREFUSED');
  });

  it('a port published on one address answers there only', async () => {
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8082), `other ${OUTSIDE_ADDRESS}`);
    assert.equal(await host.call('ask', '127.0.0.1', 8082), 'ECONNREFUSED');
  });

  it('tasks do not reach one another over the gateway network', async () => {
    assert.equal(await inOther.call('ask', gatewayAddress(web), 80), 'EHOSTUNREACH');
    assert.notEqual(await inOther.call('askDatagram', gatewayAddress(web), 53, 300), `web ${gatewayAddress(other)}`);
  });

  it('tasks do not reach the host’s own ports', async () => {
    assert.equal(await inWeb.call('ask', HOST_ADDRESS, 22), 'ECONNREFUSED');
    assert.equal(await inWeb.call('askDatagram', HOST_ADDRESS, 123), 'ECONNREFUSED');
  });

  it('nobody outside reaches a task by its own address', async () => {
    await inNamespace(hosts.outsidePath, (socket) =>
      socket.execute([replaceRoute({ destination: '10.0.0.0/8', linkIndex: 2, gateway: HOST_ADDRESS })]),
    );
    assert.equal(await outside.call('ask', gatewayAddress(web), 80, 300), 'timeout');
  });

  it('a task cannot send from an address that is not its own', async () => {
    const forged = [gatewayAddress(other).replace(/\d+\.\d+$/, '77.77'), '198.51.100.77', gatewayAddress(web)];
    await inNamespace(namespaceOf(other), (socket) =>
      socket.execute(forged.map((address) => addAddress(1, `${address}/32`))),
    );
    await outside.call('serveDatagrams', 'witness', OUTSIDE_ADDRESS, 9999);
    for (const source of forged) await inOther.call('askDatagram', OUTSIDE_ADDRESS, 9999, 200, source);
    assert.equal(await outside.call('heard', 'witness'), 0);
    assert.equal(await inOther.call('askDatagram', OUTSIDE_ADDRESS, 9999, 300), `witness ${HOST_ADDRESS}`);
  });

  it('a packet from the wire to 127.0.0.1 does not reach a port published there', async () => {
    // The host trusts its wire more than it should, and the sender writes 127.0.0.1 into its packets.
    hosts.host.run(() => writeFileSync('/proc/sys/net/ipv4/conf/eth0/route_localnet', '1'));
    const rewrite = `table ip evil {
      chain post {
        type filter hook postrouting priority 0;
        ip daddr ${HOST_ADDRESS} udp dport 5355 ip daddr set 127.0.0.1
      }
}
`;
    const nftables = Nftables.open(hosts.outside);
    await nftables.run('rewrite', rewrite);
    const before = await inWeb.call('heard', 'web');
    await outside.call('askDatagram', HOST_ADDRESS, 5355, 200);
    await nftables.close();
    assert.equal(await inWeb.call('heard', 'web'), before);
    assert.match(await host.call('askDatagram', '127.0.0.1', 5355), /^web /);
  });

  it('withdrawing one task’s ports cuts its flows and leaves those of others alone', async () => {
    await host.call('attach', taskRequest('brief', '8083:80', '5354:53/udp'));
    const brief = await host.call('attach', taskRequest('brief'));
    const inBrief = hosts.process(namespaceOf(brief));
    await inBrief.call('serveDatagrams', 'brief', '0.0.0.0', 53);
    await outside.call('converse', 'long', HOST_ADDRESS, 2222);
    assert.equal(await outside.call('say', 'long', 'one'), 'one');
    const flow = longFlow();
    assert.match(flow, /^id=\d+$/);
    const ask = (): Promise<string> => outside.call('askDatagramAgain', HOST_ADDRESS, 5354, 7777);
    assert.equal(await ask(), `brief ${OUTSIDE_ADDRESS}`);
    await inBrief.kill();
    await host.call('detach', 'brief');
    assert.equal(await ask(), 'timeout');
    assert.equal(await outside.call('say', 'long', 'two'), 'two');
    assert.equal(longFlow(), flow, 'the other connection is not forgotten and found again');
    // A successor on the same port gets the datagrams of a client that never stopped sending.
    const next = await host.call('attach', taskRequest('next', '5354:53/udp'));
    const inNext = hosts.process(namespaceOf(next));
    await inNext.call('serveDatagrams', 'next', '0.0.0.0', 53);
    assert.equal(await ask(), `next ${OUTSIDE_ADDRESS}`);
    await inNext.kill();
    await host.call('detach', 'next');
  });

  it('asks for a free port and says which it got', async () => {
    const free = await host.call('attach', taskRequest('free', '0:80', '0:80/udp'));
    const [tcp, udp] = free.ports;
    assert.ok(tcp !== undefined && tcp.publishedPort > 1023 && udp !== undefined && udp.publishedPort > 1023);
    const inFree = hosts.process(namespaceOf(free));
    await inFree.call('serve', 'free', '0.0.0.0', 80);
    assert.equal(await outside.call('ask', HOST_ADDRESS, tcp.publishedPort), `free ${OUTSIDE_ADDRESS}`);
    await inFree.kill();
    await host.call('detach', 'free');
  });

  it('takes the largest packet from the device of the default route', async () => {
    const links = await inNamespace(namespaceOf(web), listLinks);
    assert.equal(links.find((link) => link.name === 'gw')?.mtu, 1400);
  });
});
