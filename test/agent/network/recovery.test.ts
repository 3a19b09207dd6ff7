/**
 * Goal: whatever happens to the daemon or to the kernel's state, tasks keep their network, nothing opens up meanwhile,
 * and what belongs to nobody goes. Method: kill the daemon, flush and delete kernel objects from outside, look again.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { deleteLink, listLinks, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { addMacvlan } from '#agent/kernel/netlink-macvlan.ts';
import { deleteRoute } from '#agent/kernel/netlink-route.ts';
import { deleteRule, listRules } from '#agent/kernel/netlink-rule.ts';
import { isNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import type { NetworkAttachment, NetworkConfig } from '#agent/network/index.ts';
import { instanceNames } from '#agent/network/instance.ts';
import {
  assertRepairs,
  FAR_ADDRESS,
  gatewayAddress,
  HOST_ADDRESS,
  type NamespaceProcess,
  namespaceOf,
  OUTSIDE_ADDRESS,
  patientAsk,
  TwoHosts,
  taskRequest,
} from './fixture.ts';

const INSTANCE = 'recovery';

describe('network: recovery', function () {
  this.timeout(60_000);
  const names = instanceNames(INSTANCE);
  let hosts: TwoHosts;
  let host: NamespaceProcess;
  let outside: NamespaceProcess;
  let web: NetworkAttachment;
  let inWeb: NamespaceProcess;

  async function startDaemon(known: readonly string[], config: Partial<NetworkConfig> = {}) {
    host = hosts.process(hosts.hostPath);
    await host.call('open', { instance: INSTANCE, directory: hosts.runDirectory(INSTANCE), config });
    return host.call('restore', known);
  }

  async function assertAllWell(): Promise<void> {
    assert.equal(await patientAsk(inWeb, FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    assert.equal(await patientAsk(outside, HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);
    assert.match(await patientAsk(host, '127.0.0.1', 8080), /^web /);
    assert.deepEqual((await host.call('reconcile')).repaired, []);
  }

  /** Runs the reconciliation and wants it to say that it repaired this. */
  async function repairs(expected: RegExp): Promise<void> {
    await assertRepairs(host, expected);
    await assertAllWell();
  }

  before(async () => {
    hosts = await TwoHosts.make();
    outside = hosts.process(hosts.outsidePath);
    await startDaemon([]);
    web = await host.call('attach', taskRequest('web', '8080:80'));
    inWeb = hosts.process(namespaceOf(web));
    await inWeb.call('serve', 'web', '0.0.0.0', 80);
    await outside.call('serve', 'outside', '0.0.0.0', 80);
    await assertAllWell();
  });

  after(async () => {
    await host?.call('destroy');
    await hosts?.destroy();
  });

  it('a flushed ruleset closes everything until it is repaired', async () => {
    const secret = hosts.process(hosts.hostPath);
    await secret.call('serve', 'host', '0.0.0.0', 22);
    await hosts.onHost(({ nftables }) => nftables.run('flush', 'flush ruleset'));
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), 'ECONNRESET');
    assert.equal(await host.call('ask', '127.0.0.1', 8080), 'ECONNRESET');
    assert.equal(await inWeb.call('ask', HOST_ADDRESS, 22, 300), 'timeout');
    assert.equal(await inWeb.call('ask', FAR_ADDRESS, 80, 300), 'timeout');
    await secret.kill();
    await repairs(/nftables table/);
  });

  it('a deleted chain, rule or element is repaired', async () => {
    const table = `ip ${names.hostTable}`;
    for (const change of [
      `flush chain ${table} translate`,
      `delete element ${table} ports { tcp . 8080 }`,
      `add element ${table} ports { tcp . 9090 : 10.255.0.99 . 80 }`,
      `insert rule ${table} forward drop`,
    ]) {
      await hosts.onHost(({ nftables }) => nftables.run('change', change));
      await repairs(/nftables table/);
    }
  });

  it('publishing a port right after a flush repairs the table on the way', async () => {
    await hosts.onHost(({ nftables }) => nftables.run('flush', 'flush ruleset'));
    await host.call('attach', taskRequest('late', '8090:80'));
    assert.match(await host.call('ask', '127.0.0.1', 8080), /^web /);
    await hosts.onHost(({ nftables }) => nftables.run('flush', 'flush ruleset'));
    await host.call('detach', 'late');
    await assertAllWell();
  });

  it('a deleted route, rule, device or setting is repaired', async () => {
    const pool = gatewayAddress(web).replace(/\d+\.\d+$/, '0.0/16');
    await hosts.onHost(({ routes }) => routes.execute([deleteRoute(pool, names.routingTable)]));
    await repairs(/route of the gateway network/);
    await hosts.onHost(async ({ routes }) => {
      const ours = (await listRules(routes)).filter((rule) => rule.table === names.routingTable);
      assert.equal(ours.length, 3);
      await routes.execute(ours.map(deleteRule));
    });
    await repairs(/policy rules/);
    // Neighbours are asked for by nobody: each is written down.
    const gateway = join(hosts.runDirectory(INSTANCE), 'ns', 'gateway');
    for (const [path, device, what] of [
      [hosts.hostPath, names.hostLink, /address and route of the gateway network/],
      [gateway, 'host0', /route out of the gateway namespace/],
      [gateway, `g${basename(namespaceOf(web))}`, /way to task web/],
    ] as const) {
      const flush = ['ip', 'neigh', 'flush', 'nud', 'permanent', 'dev', device];
      execFileSync('nsenter', [`--net=${path}`, ...flush]);
      await repairs(what);
    }
    hosts.host.run(() => {
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
      writeFileSync(`/proc/sys/net/ipv4/conf/${names.hostLink}/rp_filter`, '0');
    });
    await repairs(/ip_forward/);
    await hosts.onHost(({ routes }) => routes.execute([deleteLink(names.hostLink)]));
    await repairs(/cable/);
  });

  it('a lost gateway namespace is made again, with the way to every task', async () => {
    removeNetworkNamespace(join(hosts.runDirectory(INSTANCE), 'ns', 'gateway'));
    await repairs(/gateway namespace/);
    const next = await host.call('attach', taskRequest('next'));
    const inNext = hosts.process(namespaceOf(next));
    assert.equal(await inNext.call('ask', FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    await inNext.kill();
    await host.call('detach', 'next');
  });

  it('a killed daemon’s tasks go on, and the next daemon adopts them and removes strangers', async () => {
    const stranger = await host.call('attach', taskRequest('stranger', '8088:80'));
    await host.kill();
    assert.equal(await inWeb.call('ask', FAR_ADDRESS, 80), `outside ${HOST_ADDRESS}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);

    const report = await startDaemon(['web', 'never']);
    assert.deepEqual(
      report.adopted.map((one) => one.taskId),
      ['web'],
    );
    assert.deepEqual(report.adopted[0]?.addresses, web.addresses);
    assert.deepEqual(report.adopted[0]?.ports, web.ports);
    assert.deepEqual([report.absent, report.removed, report.contested], [['never'], ['stranger'], []]);
    assert.equal(existsSync(namespaceOf(stranger)), false);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8088), 'ECONNREFUSED');
    await assertAllWell();
    // Attaching again is the same attachment; its port is still taken, its address not given to others.
    assert.deepEqual((await host.call('attach', taskRequest('web', '8080:80'))).addresses, web.addresses);
    await assert.rejects(host.call('attach', taskRequest('thief', '8080:80')), /8080\/tcp .* in use by task web/);
  });

  it('a port that somebody took while the daemon was down is reported, and still serves the task', async () => {
    await host.kill();
    const thief = hosts.process(hosts.hostPath);
    await thief.call('serve', 'thief', '0.0.0.0', 8080);
    const report = await startDaemon(['web']);
    assert.equal(report.contested.length, 1);
    assert.match(report.contested[0]?.holder ?? '', /in use by \w+ \(pid \d+\)/);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);
    await thief.kill();
    assert.deepEqual((await host.call('reconcile')).contested, []);
  });

  it('a record without its namespace, as after a reboot, counts as absent', async () => {
    const lost = await host.call('attach', taskRequest('lost'));
    await host.kill();
    removeNetworkNamespace(namespaceOf(lost));
    writeFileSync(namespaceOf(lost), '');
    writeFileSync(join(hosts.runDirectory(INSTANCE), 'tasks', 'damaged.json'), '{"taskId":');
    const report = await startDaemon(['web', 'lost', 'damaged']);
    assert.deepEqual(report.absent, ['lost', 'damaged']);
    assert.deepEqual(readdirSync(join(hosts.runDirectory(INSTANCE), 'tasks')), ['web.json']);
    await assertAllWell();
  });

  it('a namespace that somebody keeps alive loses its cable', async () => {
    await host.kill();
    await startDaemon(['web'], { lingerMs: 0 });
    const held = await host.call('attach', taskRequest('held'));
    const keeper = NetworkNamespace.open(namespaceOf(held));
    await host.call('detach', 'held');
    const gateway = NetworkNamespace.open(join(hosts.runDirectory(INSTANCE), 'ns', 'gateway'));
    const socket = NetlinkSocket.open(gateway);
    await host.call('reconcile');
    const cable = `g${basename(namespaceOf(held))}`;
    assert.equal(
      (await listLinks(socket)).some((link) => link.name === cable),
      false,
    );
    await socket.close();
    gateway.close();
    keeper.close();
  });

  it('a namespace that somebody keeps alive over a restart leaves the LAN that its task was on', async () => {
    const held = await host.call('attach', taskRequest('held'));
    const inHeld = hosts.process(namespaceOf(held));
    assert.equal(await inHeld.call('ask', '127.0.0.1', 1), 'ECONNREFUSED');
    const keeper = NetworkNamespace.open(namespaceOf(held));
    const device = { name: 'eth0', index: 10, linkLayerAddress: '02:53:00:00:00:63', parentIndex: 2 } as const;
    await hosts.onHost(({ routes }) =>
      routes.execute([addMacvlan({ ...device, namespace: keeper.descriptor }, 'bridge')]),
    );
    const socket = NetlinkSocket.open(keeper);
    await socket.execute([setLinkUp(10), addAddress(10, '198.51.100.99/24')]);
    await outside.call('serveDatagrams', 'lan', OUTSIDE_ADDRESS, 9998);
    assert.equal(await inHeld.call('askDatagram', OUTSIDE_ADDRESS, 9998), 'lan 198.51.100.99');
    await host.kill();
    await startDaemon(['web']);
    assert.equal(
      (await listLinks(socket)).some((link) => link.kind === 'macvlan'),
      false,
    );
    assert.notEqual(await inHeld.call('askDatagram', OUTSIDE_ADDRESS, 9998, 300), 'lan 198.51.100.99');
    await inHeld.kill();
    await socket.close();
    keeper.close();
    await assertAllWell();
  });

  it('a restart gives out no number whose device is not gone yet', async () => {
    const numberOf = (attachment: NetworkAttachment): number => Number(basename(namespaceOf(attachment)));
    const held = await host.call('attach', taskRequest('held'));
    const keeper = NetworkNamespace.open(namespaceOf(held));
    await host.kill();
    await startDaemon(['web']);
    const next = await host.call('attach', taskRequest('next'));
    assert.ok(numberOf(next) > numberOf(held), `${numberOf(next)} after ${numberOf(held)}`);
    await host.call('detach', 'next');
    keeper.close();
  });

  it('another pool takes effect when no task has an address of the old one', async () => {
    await host.kill();
    const config = { gatewayPools: ['10.99.0.0/20'] };
    await startDaemon(['web'], config);
    await assertAllWell();
    await inWeb.kill();
    await host.call('detach', 'web');
    await host.kill();
    await startDaemon([], config);
    web = await host.call('attach', taskRequest('web', '8080:80'));
    assert.match(gatewayAddress(web), /^10\.99\./);
    inWeb = hosts.process(namespaceOf(web));
    await inWeb.call('serve', 'web', '0.0.0.0', 80);
    await assertAllWell();
  });

  it('destroy works for a daemon that knows nothing, and leaves nothing', async () => {
    await host.kill();
    await inWeb.kill();
    host = hosts.process(hosts.hostPath);
    await host.call('open', { instance: INSTANCE, directory: hosts.runDirectory(INSTANCE) });
    await host.call('destroy');
    const state = await hosts.hostState();
    assert.doesNotMatch(state, /starling|sl-|10\.99|169\.254/);
    assert.match(state, /"forwarding": "0"/);
    assert.equal(isNetworkNamespace(namespaceOf(web)), false);
    rmSync(hosts.runDirectory(INSTANCE), { recursive: true });
  });
});
