/**
 * Goal: tasks reach the world, the world reaches published ports, and nobody reaches anything else. Method: real
 * sockets in real namespaces: a host with two tasks, and a server outside (see fixture.ts).
 */
import assert from 'node:assert/strict';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-route.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import type { NetworkAttachment } from '#agent/network/index.ts';
import {
  FAR_ADDRESS,
  gatewayAddress,
  HOST_ADDRESS,
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
    web = await host.call('attach', taskRequest('web', '8080:80', '127.0.0.1:8081:80', '5353:53/udp', '2222:2222'));
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
    const namespace = NetworkNamespace.open(hosts.outsidePath);
    const socket = NetlinkSocket.open(namespace);
    const { replaceRoute } = await import('#agent/kernel/netlink-route.ts');
    await socket.execute([replaceRoute({ destination: '10.0.0.0/8', linkIndex: 2, gateway: HOST_ADDRESS })]);
    assert.equal(await outside.call('ask', gatewayAddress(web), 80, 300), 'timeout');
    await socket.close();
    namespace.close();
  });

  it('a task cannot send from an address that is not its own', async () => {
    const namespace = NetworkNamespace.open(namespaceOf(other));
    const socket = NetlinkSocket.open(namespace);
    const forged = '10.255.77.77';
    await socket.execute([addAddress(1, `${forged}/32`), addAddress(1, '198.51.100.77/32')]);
    await socket.close();
    namespace.close();
    await outside.call('serveDatagrams', 'seen', OUTSIDE_ADDRESS, 9999);
    assert.equal(await inOther.call('askDatagram', OUTSIDE_ADDRESS, 9999, 300, forged), 'timeout');
    assert.equal(await inOther.call('askDatagram', OUTSIDE_ADDRESS, 9999, 300, '198.51.100.77'), 'timeout');
    assert.equal(await inOther.call('askDatagram', OUTSIDE_ADDRESS, 9999, 300), `seen ${HOST_ADDRESS}`);
  });

  it('withdrawing one task’s ports cuts its flows and leaves those of others alone', async () => {
    await host.call('attach', taskRequest('brief', '8083:80', '5354:53/udp'));
    const brief = await host.call('attach', taskRequest('brief'));
    const inBrief = hosts.process(namespaceOf(brief));
    await inBrief.call('serveDatagrams', 'brief', '0.0.0.0', 53);
    await outside.call('converse', 'long', HOST_ADDRESS, 2222);
    assert.equal(await outside.call('say', 'long', 'one'), 'one');
    const ask = (): Promise<string> => outside.call('askDatagramAgain', HOST_ADDRESS, 5354, 7777);
    assert.equal(await ask(), `brief ${OUTSIDE_ADDRESS}`);
    await inBrief.kill();
    await host.call('detach', 'brief');
    assert.equal(await ask(), 'timeout');
    assert.equal(await outside.call('say', 'long', 'two'), 'two');
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
    const namespace = NetworkNamespace.open(namespaceOf(web));
    const socket = NetlinkSocket.open(namespace);
    const { listLinks } = await import('#agent/kernel/netlink-route.ts');
    const gw = (await listLinks(socket)).find((link) => link.name === 'gw');
    assert.equal(gw?.mtu, 1400);
    await socket.close();
    namespace.close();
  });
});
