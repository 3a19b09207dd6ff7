/**
 * Goal: what holds of IPv4 holds of IPv6: tasks reach the world, the world reaches published ports, and nobody reaches
 * anything else; and a host without IPv6 goes on with IPv4 alone. Method: as data-plane.test.ts and recovery.test.ts.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AF_INET6 } from '#agent/kernel/ip-address.ts';
import { addAddress, deleteAddress, listAddresses } from '#agent/kernel/netlink-address.ts';
import { findLink, setLinkDown, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { deleteRoute, listRoutes, replaceRoute } from '#agent/kernel/netlink-route.ts';
import { deleteRule, listRules } from '#agent/kernel/netlink-rule.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import type { NetworkAttachment } from '#agent/network/index.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { ipv6Plan, taskAddress6 } from '#agent/network/ipv6.ts';
import {
  assertRepairs,
  FAR_ADDRESS,
  FAR_ADDRESS6,
  HOST_ADDRESS,
  HOST_ADDRESS6,
  inNamespace,
  type NamespaceProcess,
  namespaceOf,
  OUTSIDE_ADDRESS,
  OUTSIDE_ADDRESS6,
  patientAsk,
  TwoHosts,
  taskRequest,
} from './fixture.ts';

const INSTANCE = 'ipv6';
const REFUSED = /ECONNREFUSED|EACCES|EHOSTUNREACH|ENETUNREACH/;

describe('network: IPv6', function () {
  this.timeout(60_000);
  const names = instanceNames(INSTANCE);
  let hosts: TwoHosts;
  let pristine: string;
  let host: NamespaceProcess;
  let outside: NamespaceProcess;
  let web: NetworkAttachment;
  let other: NetworkAttachment;
  let inWeb: NamespaceProcess;
  let inOther: NamespaceProcess;
  let webAddress: string;

  async function startDaemon(known: readonly string[]): Promise<void> {
    host = hosts.process(hosts.hostPath);
    await host.call('open', { instance: INSTANCE, directory: hosts.runDirectory(INSTANCE) });
    await host.call('restore', known);
  }

  async function onGateway(command: string): Promise<void> {
    const namespace = NetworkNamespace.open(gatewayPath());
    const nftables = Nftables.open(namespace);
    try {
      await nftables.run('change', command);
    } finally {
      await nftables.close();
      namespace.close();
    }
  }

  function gatewayPath(): string {
    return join(hosts.runDirectory(INSTANCE), 'ns', 'gateway');
  }

  async function assertAllWell(): Promise<void> {
    assert.equal(await patientAsk(inWeb, FAR_ADDRESS6, 80), `outside ${HOST_ADDRESS6}`);
    assert.equal(await patientAsk(inWeb, FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    assert.equal(await patientAsk(outside, HOST_ADDRESS6, 8080), `web ${OUTSIDE_ADDRESS6}`);
    assert.equal(await patientAsk(host, HOST_ADDRESS6, 8080), `web ${HOST_ADDRESS6}`);
    assert.deepEqual((await host.call('reconcile')).repaired, []);
  }

  async function repairs(expected: RegExp): Promise<void> {
    await assertRepairs(host, expected);
    await assertAllWell();
  }

  before(async () => {
    hosts = await TwoHosts.make();
    pristine = await hosts.hostState();
    outside = hosts.process(hosts.outsidePath);
    await startDaemon([]);
    web = await host.call(
      'attach',
      taskRequest('web', '8080:80', '2222:7', '5353:53/udp', `[${HOST_ADDRESS6}]:8081:80`),
    );
    other = await host.call('attach', taskRequest('other', '[::]:8082:80', '0.0.0.0:8083:80'));
    inWeb = hosts.process(namespaceOf(web));
    inOther = hosts.process(namespaceOf(other));
    webAddress = taskAddress6(names, Number(namespaceOf(web).split('/').at(-1)));
    await Promise.all([
      inWeb.call('serve', 'web', '::', 80),
      inWeb.call('serveDatagrams', 'web', '::', 53),
      inWeb.call('serveEcho', '::', 7),
      inOther.call('serve', 'other', '::', 80),
      outside.call('serve', 'outside', '::', 80),
      outside.call('serveDatagrams', 'outside', FAR_ADDRESS6, 53),
      host.call('serve', 'host', '::', 22),
      host.call('serveDatagrams', 'host', '::', 123),
    ]);
  });

  after(async () => {
    await host?.call('destroy');
    await hosts?.destroy();
  });

  it('a task reaches the world with the host’s address', async () => {
    assert.equal(await inWeb.call('ask', FAR_ADDRESS6, 80), `outside ${HOST_ADDRESS6}`);
    assert.equal(await inWeb.call('askDatagram', FAR_ADDRESS6, 53), `outside ${HOST_ADDRESS6}`);
  });

  it('a published port is reached from outside with the client’s address kept, from the host and from tasks', async () => {
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8080), `web ${OUTSIDE_ADDRESS6}`);
    assert.equal(await outside.call('askDatagram', HOST_ADDRESS6, 5353), `web ${OUTSIDE_ADDRESS6}`);
    assert.equal(await host.call('ask', HOST_ADDRESS6, 8080), `web ${HOST_ADDRESS6}`);
    assert.equal(await host.call('askDatagram', HOST_ADDRESS6, 5353), `web ${HOST_ADDRESS6}`);
    for (const from of [inOther, inWeb]) {
      assert.match(await from.call('ask', HOST_ADDRESS6, 8080), /^web /);
      assert.match(await from.call('askDatagram', HOST_ADDRESS6, 5353), /^web /);
    }
  });

  it('a port is published on the addresses that it is asked for on', async () => {
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8081), `web ${OUTSIDE_ADDRESS6}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8081), 'ECONNREFUSED');
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8082), `other ${OUTSIDE_ADDRESS6}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8082), 'ECONNREFUSED');
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8083), 'ECONNREFUSED');
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8083), `other ${OUTSIDE_ADDRESS}`);
    await assert.rejects(
      host.call('attach', taskRequest('x', '[2001:db8::99]:8084:80')),
      /2001:db8::99 is not an address/,
    );
    await assert.rejects(host.call('attach', taskRequest('x', '[::]:8080:80')), /8080\/tcp .* in use by task web/);
  });

  it('a port that a program has on IPv6 alone is refused, and free ports are free in both families', async () => {
    const program = hosts.process(hosts.hostPath);
    await program.call('serveDatagrams', 'program', HOST_ADDRESS6, 8090);
    await assert.rejects(host.call('attach', taskRequest('late', '8090:80/udp')), /in use by \S+ \(pid \d+\)/);
    await program.kill();
    const free = await host.call('attach', taskRequest('free', '0:80', '0:80/udp'));
    const inFree = hosts.process(namespaceOf(free));
    await inFree.call('serve', 'free', '::', 80);
    const port = free.ports[0]?.publishedPort ?? 0;
    assert.equal(await outside.call('ask', HOST_ADDRESS6, port), `free ${OUTSIDE_ADDRESS6}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, port), `free ${OUTSIDE_ADDRESS}`);
    await inFree.kill();
    await host.call('detach', 'free');
  });

  it('withdrawing a task’s ports ends its connections and datagrams, and those of no other', async () => {
    const brief = await host.call('attach', taskRequest('brief', '2223:7', '5354:53/udp'));
    const inBrief = hosts.process(namespaceOf(brief));
    await inBrief.call('serveEcho', '::', 7);
    await inBrief.call('serveDatagrams', 'brief', '::', 53);
    await outside.call('converse', 'brief', HOST_ADDRESS6, 2223);
    await outside.call('converse', 'long', HOST_ADDRESS6, 2222);
    const askDatagram = (): Promise<string> => outside.call('askDatagramAgain', HOST_ADDRESS6, 5354, 7777);
    assert.equal(await askDatagram(), `brief ${OUTSIDE_ADDRESS6}`);
    await host.call('detach', 'brief');
    assert.equal(await askDatagram(), 'timeout');
    assert.equal(await outside.call('say', 'brief', 'one'), 'closed');
    assert.equal(await outside.call('say', 'long', 'one'), 'one');
    // A successor on the same port gets the datagrams of a client that never stopped sending.
    const next = await host.call('attach', taskRequest('next', '5354:53/udp'));
    const inNext = hosts.process(namespaceOf(next));
    await inNext.call('serveDatagrams', 'next', '::', 53);
    assert.equal(await askDatagram(), `next ${OUTSIDE_ADDRESS6}`);
    for (const one of [inBrief, inNext]) await one.kill();
    await host.call('detach', 'next');
  });

  it('tasks reach neither one another nor the host’s own ports, and nobody reaches a task by its own address', async () => {
    assert.match(await inOther.call('ask', webAddress, 80), REFUSED);
    assert.notEqual((await inOther.call('askDatagram', webAddress, 53, 300)).slice(0, 3), 'web');
    for (const address of [HOST_ADDRESS6, ipv6Plan(names).hostAddress]) {
      // The kernel hears of it when it asks for the second time, after a second.
      assert.equal(await inWeb.call('ask', address, 22, 4000), 'ECONNREFUSED');
      assert.equal(await inWeb.call('askDatagram', address, 123), 'ECONNREFUSED');
    }
    assert.match(await host.call('ask', webAddress, 80), REFUSED);
    await inNamespace(hosts.outsidePath, (socket) =>
      socket.execute([replaceRoute({ destination: 'fd00::/8', linkIndex: 2, gateway: HOST_ADDRESS6 })]),
    );
    assert.match(await outside.call('ask', webAddress, 80, 300), /timeout|EACCES|ENETUNREACH/);
  });

  it('a task cannot send from an address that is not its own', async () => {
    const nobody = taskAddress6(names, 777);
    const forged = [nobody, '2001:db8:1::77', webAddress, 'fd00:77::1'];
    await inNamespace(namespaceOf(other), (socket) =>
      socket.execute(forged.map((address) => addAddress(1, `${address}/128`))),
    );
    await outside.call('serveDatagrams', 'witness', OUTSIDE_ADDRESS6, 9999);
    for (const source of forged) await inOther.call('askDatagram', OUTSIDE_ADDRESS6, 9999, 200, source);
    assert.equal(await outside.call('heard', 'witness'), 0);
    assert.equal(await inOther.call('askDatagram', OUTSIDE_ADDRESS6, 9999, 300), `witness ${HOST_ADDRESS6}`);
  });

  it('the host goes on hearing routers when it forwards, and forwards nothing else', async () => {
    const setting = (name: string): string =>
      hosts.host.run(() => readFileSync(`/proc/sys/net/ipv6/conf/${name}`, 'utf8').trim());
    assert.equal(setting('all/forwarding'), '1');
    assert.equal(setting('eth0/accept_ra'), '2');
    // From wire to wire: the devices of these hosts are no hardware, so none of them is in the set.
    const chain = `list chain ip6 ${names.hostTable} forward`;
    await hosts.onHost(async ({ nftables }) => {
      assert.match(await nftables.list('list', chain, { elements: true }), /iifname @uplinks oifname @uplinks .*drop/);
    });
  });

  it('a flushed ruleset closes everything until it is repaired', async () => {
    const before = await host.call('heard', 'host');
    await hosts.onHost(({ nftables }) => nftables.run('flush', 'flush ruleset'));
    assert.match(await outside.call('ask', HOST_ADDRESS6, 8080), /ECONNRE/);
    assert.match(await host.call('ask', HOST_ADDRESS6, 8080), /ECONNRE/);
    assert.match(await inWeb.call('ask', HOST_ADDRESS6, 22, 300), /timeout|EACCES/);
    assert.match(await inWeb.call('ask', FAR_ADDRESS6, 80, 300), /timeout|EACCES/);
    assert.equal(await host.call('heard', 'host'), before);
    await repairs(/nftables table/);
  });

  it('a deleted chain, rule or element is repaired', async () => {
    const table = `ip6 ${names.hostTable}`;
    for (const change of [
      `delete table ${table}`,
      `flush chain ${table} translate`,
      `delete element ${table} ports { tcp . 8080 }`,
      `add element ${table} ports { tcp . 9090 : fd00::99 . 80 }`,
      `insert rule ${table} forward drop`,
    ]) {
      await hosts.onHost(({ nftables }) => nftables.run('change', change));
      await repairs(/nftables table/);
    }
    for (const change of ['delete table ip6 starling', 'flush chain ip6 starling spoof']) {
      await onGateway(change);
      await repairs(/filter of the gateway/);
    }
  });

  it('a deleted address, route, rule or setting is repaired', async () => {
    const { prefix, hostAddress, gatewayAddress } = ipv6Plan(names);
    const link = await hosts.onHost(({ routes }) => findLink(routes, names.hostLink));
    const index = link?.index ?? 0;
    await hosts.onHost(({ routes }) => routes.execute([deleteRoute(prefix, names.routingTable)]));
    await repairs(/route of the gateway network/);
    await hosts.onHost(({ routes }) => routes.execute([deleteAddress(index, `${hostAddress}/128`)]));
    await repairs(/address and route of the gateway network/);
    await hosts.onHost(async ({ routes }) => {
      const ours = (await listRules(routes, AF_INET6)).filter((rule) => rule.table === names.routingTable);
      assert.equal(ours.length, 4);
      await routes.execute(ours.map(deleteRule));
    });
    await repairs(/policy rules/);
    // The addresses and routes of IPv6 go with the device's being up.
    await hosts.onHost(({ routes }) => routes.execute([setLinkDown(names.hostLink), setLinkUp(names.hostLink)]));
    await repairs(/gateway network/);
    hosts.host.run(() => {
      writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '0');
      writeFileSync(`/proc/sys/net/ipv6/conf/${names.hostLink}/accept_ra`, '1');
    });
    await repairs(/ipv6\/conf\/all\/forwarding/);
    await inNamespace(gatewayPath(), async (socket) => {
      const uplink = await findLink(socket, 'host0');
      await socket.execute([deleteRoute('::/0'), deleteAddress(uplink?.index ?? 0, `${gatewayAddress}/128`)]);
    });
    await repairs(/route out of the gateway/);
    await inNamespace(gatewayPath(), (socket) => socket.execute([deleteRoute(`${webAddress}/128`)]));
    await repairs(/way to task web/);
  });

  it('turning IPv6 off on the host leaves IPv4 alone, and turning it on again brings it back', async () => {
    const set = (value: string): void =>
      hosts.host.run(() => writeFileSync('/proc/sys/net/ipv6/conf/all/disable_ipv6', value));
    set('1');
    await host.call('reconcile');
    assert.equal(await inWeb.call('ask', FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);
    assert.deepEqual((await host.call('reconcile')).repaired, []);
    await hosts.onHost(async ({ nftables }) => {
      assert.doesNotMatch(await nftables.list('list', 'list tables', { elements: false }), /ip6 starling/);
    });
    // Namespaces that were ready have IPv6 in them.
    for (const id of ['ready1', 'ready2', 'ready3']) await host.call('attach', taskRequest(id));
    const next = await host.call('attach', taskRequest('next', '8085:80'));
    const inNext = hosts.process(namespaceOf(next));
    await inNext.call('serve', 'next', '::', 80);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8085), `next ${OUTSIDE_ADDRESS}`);
    assert.equal(
      (await inNamespace(namespaceOf(next), (socket) => listAddresses(socket, AF_INET6))).some(
        (one) => !one.kernelMade,
      ),
      false,
    );
    set('0');
    await hosts.onHost(({ routes }) =>
      routes.execute([
        addAddress(2, `${HOST_ADDRESS6}/64`),
        replaceRoute({ destination: '::/0', linkIndex: 2, gateway: OUTSIDE_ADDRESS6 }),
      ]),
    );
    await host.call('reconcile');
    await assertAllWell();
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8085), `next ${OUTSIDE_ADDRESS6}`);
    assert.equal(await inNext.call('ask', FAR_ADDRESS6, 80), `outside ${HOST_ADDRESS6}`);
    await inNext.kill();
    for (const id of ['next', 'ready1', 'ready2', 'ready3']) await host.call('detach', id);
  });

  it('goes on when the daemon is killed, and leaves nothing when it goes', async () => {
    await host.kill();
    assert.equal(await outside.call('ask', HOST_ADDRESS6, 8080), `web ${OUTSIDE_ADDRESS6}`);
    await startDaemon(['web', 'other']);
    await assertAllWell();
    await inWeb.kill();
    await inOther.kill();
    await host.call('destroy');
    assert.equal(await hosts.hostState(), pristine);
    const left = await hosts.onHost(({ routes }) => listRoutes(routes, AF_INET6));
    assert.equal(left.filter((route) => route.table === names.routingTable).length, 0);
  });
});
