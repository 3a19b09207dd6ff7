/** Goal: the routing mesh is the same over IPv6. Method: as routing-mesh.test.ts, with clients and hosts by IPv6. */
import assert from 'node:assert/strict';
import { AF_INET6 } from '#agent/kernel/ip-address.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { deleteNeighbour, listNeighbours } from '#agent/kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes } from '#agent/kernel/netlink-route.ts';
import { deleteRule, listRules } from '#agent/kernel/netlink-rule.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { eventually } from '#test/support/eventually.ts';
import type { NamespaceProcess } from '../fixture.ts';
import { CLIENT_ADDRESS6, hostAddress, hostAddress6, MeshHosts } from './mesh-hosts.ts';

async function both(from: NamespaceProcess, host: string, port: number): Promise<readonly string[]> {
  return [await from.call('ask', host, port), await from.call('askDatagram', host, port)];
}

/** What different tasks answer, asked so often that none is likely to be left out. */
async function answers(from: NamespaceProcess, host: string, port: number): Promise<readonly string[]> {
  const heard = new Set<string>();
  for (let asked = 0; asked < 40; asked++) heard.add(await from.call('ask', host, port));
  return [...heard].toSorted();
}

describe('network: routing mesh over IPv6', function () {
  this.timeout(60_000);
  let hosts: MeshHosts;
  let client: NamespaceProcess;
  let onHost1: NamespaceProcess;

  before(async () => {
    hosts = await MeshHosts.make(3);
    client = hosts.process(hosts.clientPath);
    onHost1 = hosts.process(hosts.hostPath(1));
    await hosts.publish(
      'one',
      { publishedPort: 8080, targetPort: 80 },
      { publishedPort: 8080, targetPort: 80, udp: true },
    );
    await hosts.publish('all', { publishedPort: 8081, targetPort: 80 }, { publishedPort: 8082, targetPort: 7 });
    await hosts.add({ id: 'only2', service: 'one', host: 2, address: '10.0.0.2' });
    for (const host of [1, 2, 3])
      await hosts.add({ id: `all${host}`, service: 'all', host, address: `10.0.0.1${host}` });
  });

  after(async () => {
    await hosts?.destroy();
  });

  async function onGateway<T>(
    host: number,
    work: (gateway: { readonly routes: NetlinkSocket; readonly nftables: Nftables }) => Promise<T>,
  ): Promise<T> {
    const namespace = NetworkNamespace.open(`${hosts.directory}/run/${host}/ns/gateway`);
    const routes = NetlinkSocket.open(namespace);
    const nftables = Nftables.open(namespace);
    try {
      return await work({ routes, nftables });
    } finally {
      await routes.close();
      await nftables.close();
      namespace.close();
    }
  }

  it('leads clients of every host to the only task, on host 2, and keeps the client’s address', async () => {
    const expected = `only2 ${CLIENT_ADDRESS6}`;
    for (const host of [1, 2, 3])
      assert.deepEqual(await both(client, hostAddress6(host), 8080), [expected, expected], `by host ${host}`);
  });

  it('spreads clients over the tasks of all hosts', async () => {
    const expected = [1, 2, 3].map((host) => `all${host} ${CLIENT_ADDRESS6}`);
    assert.deepEqual(await answers(client, hostAddress6(1), 8081), expected);
  });

  it('is reached from a host by its own address and those of the others, and answers as the node', async () => {
    const expected = `only2 ${hostAddress6(1)}`;
    for (const host of [1, 2, 3])
      assert.deepEqual(await both(onHost1, hostAddress6(host), 8080), [expected, expected], `by host ${host}`);
  });

  it('is reached from a task by its own host, itself as the backend too, and by another host', async () => {
    const expected = [1, 2, 3].map((host) => `all${host} ${hostAddress6(1)}`);
    for (const host of [1, 2])
      assert.deepEqual(await answers(hosts.inTask('all1'), hostAddress6(host), 8081), expected);
  });

  it('keeps connections apart that the same client port made by several hosts', async () => {
    await hosts.publish('echo', { publishedPort: 8083, targetPort: 7 });
    await hosts.add({ id: 'echo2', service: 'echo', host: 2, address: '10.0.0.22' });
    for (const host of [1, 2, 3]) await client.call('converse', `by${host}`, hostAddress6(host), 8083, 20_003);
    for (const host of [1, 2, 3]) assert.equal(await client.call('say', `by${host}`, `by${host}`), `by${host}`);
    for (const host of [1, 2, 3]) await client.call('hangUp', `by${host}`);
  });

  it('carries large answers through the tunnel', async () => {
    await client.call('converse', 'large', hostAddress6(1), 8083);
    const text = 'x'.repeat(100_000);
    assert.equal(await client.call('sayMuch', 'large', text), text.length);
    await client.call('hangUp', 'large');
  });

  it('lets nobody reach an address of the ingress network', async () => {
    for (const address of ['fd00:10::2', 'fd00:10::12'])
      assert.match(await hosts.inTask('all1').call('ask', address, 80), /EHOSTUNREACH|ECONNREFUSED|EACCES|timeout/);
    assert.match(await client.call('ask', 'fd00:10::2', 80), /ENETUNREACH|EHOSTUNREACH|timeout/);
  });

  it('publishes on one address of a host, or on one family, where that is asked for', async () => {
    await hosts.publish(
      'bound',
      { publishedPort: 8084, targetPort: 80, hostIp: hostAddress6(1) },
      { publishedPort: 8085, targetPort: 80, hostIp: '::' },
    );
    await hosts.add({ id: 'bound2', service: 'bound', host: 2, address: '10.0.0.61' });
    assert.equal(await client.call('ask', hostAddress6(1), 8084), `bound2 ${CLIENT_ADDRESS6}`);
    assert.equal(await client.call('ask', hostAddress6(2), 8084), 'ECONNREFUSED');
    assert.equal(await client.call('ask', hostAddress6(3), 8085), `bound2 ${CLIENT_ADDRESS6}`);
    assert.equal(await client.call('ask', hostAddress(3), 8085), 'ECONNREFUSED');
  });

  it('refuses when there is no task; a task that goes takes its connections and datagrams along', async () => {
    await hosts.publish(
      'late',
      { publishedPort: 8086, targetPort: 7 },
      { publishedPort: 8086, targetPort: 80, udp: true },
    );
    assert.match(await client.call('ask', hostAddress6(1), 8086), /ECONNRE/);
    assert.equal(await client.call('askDatagramAgain', hostAddress6(1), 8086, 20_010), 'timeout');
    await hosts.add({ id: 'late3', service: 'late', host: 3, address: '10.0.0.33' });
    // A client that goes on sending from the same port while nobody is there is not stuck with that.
    assert.equal(await client.call('askDatagramAgain', hostAddress6(1), 8086, 20_010), `late3 ${CLIENT_ADDRESS6}`);
    await client.call('converse', 'stays', hostAddress6(1), 8086);
    await hosts.add({ id: 'late2', service: 'late', host: 2, address: '10.0.0.34' });
    await hosts.setServing('late3', false);
    assert.equal(await client.call('say', 'stays', 'still there'), 'still there');
    assert.equal(await client.call('askDatagramAgain', hostAddress6(1), 8086, 20_010), `late2 ${CLIENT_ADDRESS6}`);
    hosts.tasks.delete('late3');
    await hosts.sync('late3');
    assert.equal(await client.call('say', 'stays', 'gone'), 'closed');
  });

  it('leads nobody by IPv6 to a node that has none', async () => {
    hosts.withoutIpv6.add(2);
    await hosts.sync();
    const expected = [1, 3].map((host) => `all${host} ${CLIENT_ADDRESS6}`);
    assert.deepEqual(await answers(client, hostAddress6(1), 8081), expected);
    assert.match(await client.call('ask', hostAddress6(1), 8080), /ECONNRE/);
    assert.match(await client.call('ask', hostAddress(1), 8080), /^only2 /);
    hosts.withoutIpv6.clear();
    await hosts.sync();
    assert.equal(await client.call('ask', hostAddress6(1), 8080), `only2 ${CLIENT_ADDRESS6}`);
  });

  it('goes on when the daemon is killed, and the next one moves nobody', async () => {
    await client.call('converse', 'through', hostAddress6(1), 8083);
    await hosts.daemon(1).kill();
    assert.equal(await client.call('say', 'through', 'killed'), 'killed');
    assert.equal(await client.call('ask', hostAddress6(1), 8080), `only2 ${CLIENT_ADDRESS6}`);
    await hosts.startDaemon(1);
    // Before it is told of the tables.
    assert.equal(await client.call('ask', hostAddress6(1), 8080), `only2 ${CLIENT_ADDRESS6}`);
    await hosts.sync();
    assert.equal(await client.call('say', 'through', 'restarted'), 'restarted');
    assert.deepEqual((await hosts.daemon(1).call('reconcile')).repaired, []);
  });

  describe('healing', () => {
    async function repairs(host: number, expected: RegExp): Promise<void> {
      const { repaired } = await hosts.daemon(host).call('reconcile');
      assert.ok(
        repaired.some((what) => expected.test(what)),
        JSON.stringify(repaired),
      );
      assert.equal(await client.call('ask', hostAddress6(1), 8080), `only2 ${CLIENT_ADDRESS6}`);
      // What was put right on the kernel's word meanwhile is reported with the next comparison.
      await eventually('nothing is left to repair', async () => {
        return (await hosts.daemon(host).call('reconcile')).repaired.length === 0;
      });
    }

    it('puts back elements of the host’s table', async () => {
      const table = `ip6 ${instanceNames('mesh1').hostTable}`;
      const host = NetworkNamespace.open(hosts.hostPath(1));
      const nftables = Nftables.open(host);
      for (const change of [
        `delete element ${table} mesh { tcp . 8080 }`,
        `delete element ${table} mesh_eps { tcp . 8080 . 0 }`,
        `flush map ${table} mesh_bound`,
        `delete table ${table}`,
      ]) {
        await nftables.run('damage', change);
        await repairs(1, /nftables table/);
      }
      await nftables.close();
      host.close();
    });

    it('puts back routes, nodes, policy rules and tables of the gateway namespace', async () => {
      await onGateway(1, ({ routes }) => routes.execute([deleteRoute('fd00:10::2/128')]));
      await repairs(1, /routes of the mesh/);
      await onGateway(1, async ({ routes }) => {
        const found = (await listNeighbours(routes, AF_INET6)).filter((one) => one.address.startsWith('fe80::2:'));
        assert.equal(found.length, 3);
        await routes.execute(found.map((one) => deleteNeighbour(one.linkIndex, one.address)));
      });
      await repairs(1, /nodes of the mesh/);
      await onGateway(2, async ({ routes }) => {
        const rules = (await listRules(routes, AF_INET6)).filter((rule) => rule.mark !== undefined);
        assert.equal(rules.length, 2);
        await routes.execute(rules.map(deleteRule));
      });
      await repairs(2, /policy rules of the mesh/);
      await onGateway(2, async ({ routes }) => {
        const elsewhere = (await listRoutes(routes, AF_INET6)).filter((one) => one.table === 1 || one.table === 2);
        assert.equal(elsewhere.length, 2);
        await routes.execute(elsewhere.map((one) => deleteRoute(one.destination, one.table)));
      });
      await repairs(2, /policy rules of the mesh/);
      await onGateway(2, ({ nftables }) => nftables.run('damage', 'delete table ip6 starling_mesh'));
      await repairs(2, /nftables tables of the mesh/);
    });
  });
});
