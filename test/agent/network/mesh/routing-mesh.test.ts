import assert from 'node:assert/strict';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import type { NamespaceProcess } from '../fixture.ts';
import { CLIENT_ADDRESS, hostAddress, MeshHosts } from './mesh-hosts.ts';

/** Asks until all of these have answered. */
async function answers(from: NamespaceProcess, host: string, port: number, count = 24): Promise<readonly string[]> {
  const heard = new Set<string>();
  for (let asked = 0; asked < count; asked++) heard.add(await from.call('ask', host, port));
  return [...heard].toSorted();
}

async function both(from: NamespaceProcess, host: string, port: number): Promise<readonly string[]> {
  return [await from.call('ask', host, port), await from.call('askDatagram', host, port)];
}

async function onHost(path: string, work: (nftables: Nftables) => Promise<void>): Promise<void> {
  const namespace = NetworkNamespace.open(path);
  const nftables = Nftables.open(namespace);
  try {
    await work(nftables);
  } finally {
    await nftables.close();
    namespace.close();
  }
}

describe('network: routing mesh', function () {
  this.timeout(60_000);
  let hosts: MeshHosts;
  let client: NamespaceProcess;
  const onHosts: NamespaceProcess[] = [];

  before(async () => {
    hosts = await MeshHosts.make(3);
    client = hosts.process(hosts.clientPath);
    for (const host of [1, 2, 3]) onHosts[host] = hosts.process(hosts.hostPath(host));
    await hosts.publish(
      'one',
      { publishedPort: 8080, targetPort: 80 },
      { publishedPort: 8080, targetPort: 80, udp: true },
    );
    await hosts.publish('all', { publishedPort: 8081, targetPort: 80 }, { publishedPort: 8087, targetPort: 7 });
    await hosts.add({ id: 'only2', service: 'one', host: 2, address: '10.0.0.2' });
    for (const host of [1, 2, 3])
      await hosts.add({ id: `all${host}`, service: 'all', host, address: `10.0.0.1${host}` });
  });

  after(async () => {
    await hosts?.destroy();
  });

  for (const host of [1, 2, 3])
    it(`leads a client of host ${host} to the only task, on host 2, and keeps the client's address`, async () => {
      const expected = `only2 ${CLIENT_ADDRESS}`;
      assert.deepEqual(await both(client, hostAddress(host), 8080), [expected, expected]);
    });

  it('spreads clients over the tasks of all hosts', async () => {
    const expected = [1, 2, 3].map((host) => `all${host} ${CLIENT_ADDRESS}`);
    assert.deepEqual(await answers(client, hostAddress(1), 8081, 40), expected);
  });

  it('is reached from a host by 127.0.0.1, its own address and those of the others, and answers as the node', async () => {
    const from = onHosts[1];
    assert.ok(from);
    const expected = `only2 ${hostAddress(1)}`;
    for (const address of ['127.0.0.1', hostAddress(1), hostAddress(2), hostAddress(3)])
      assert.deepEqual(await both(from, address, 8080), [expected, expected], address);
  });

  it('is reached from a task by its own host, itself as the backend too, and by another host', async () => {
    const expected = [1, 2, 3].map((host) => `all${host} ${hostAddress(1)}`);
    for (const host of [1, 2])
      assert.deepEqual(await answers(hosts.inTask('all1'), hostAddress(host), 8081, 40), expected);
  });

  it('keeps connections apart that the same client port made by several hosts', async () => {
    const begun: string[] = [];
    await hosts.publish('echo', { publishedPort: 8082, targetPort: 7 });
    await hosts.add({ id: 'echo2', service: 'echo', host: 2, address: '10.0.0.22' });
    for (const host of [1, 2, 3]) {
      await client.call('converse', `by${host}`, hostAddress(host), 8082, 20_003);
      begun.push(`by${host}`);
    }
    for (const name of begun) assert.equal(await client.call('say', name, name), name);
    for (const name of begun) await client.call('hangUp', name);
  });

  it('lets tasks out with the host’s address, and not to one another', async () => {
    await client.call('serve', 'outside', '0.0.0.0', 9000);
    assert.equal(await hosts.inTask('all1').call('ask', CLIENT_ADDRESS, 9000), `outside ${hostAddress(1)}`);
    for (const address of ['10.0.0.2', '10.0.0.12']) {
      const said = await hosts.inTask('all1').call('ask', address, 80);
      assert.match(said, /EHOSTUNREACH|ECONNREFUSED|timeout/, address);
    }
    assert.match(await client.call('ask', '10.0.0.2', 80), /ENETUNREACH|EHOSTUNREACH|timeout/);
  });

  it('refuses at every host when there is no task, and leads on when one comes', async () => {
    await hosts.publish(
      'late',
      { publishedPort: 8083, targetPort: 80 },
      { publishedPort: 8083, targetPort: 80, udp: true },
    );
    for (const host of [1, 2, 3]) assert.match(await client.call('ask', hostAddress(host), 8083), /ECONNRE/);
    // A client that goes on sending from the same port while nobody is there is not stuck with that.
    assert.equal(await client.call('askDatagramAgain', hostAddress(1), 8083, 20_010), 'timeout');
    await hosts.add({ id: 'late3', service: 'late', host: 3, address: '10.0.0.33' });
    assert.equal(await client.call('askDatagramAgain', hostAddress(1), 8083, 20_010), `late3 ${CLIENT_ADDRESS}`);
    for (const host of [1, 2, 3])
      assert.equal(await client.call('ask', hostAddress(host), 8083), `late3 ${CLIENT_ADDRESS}`);
  });

  it('takes a task out without a failure: connections stay, datagrams go elsewhere', async () => {
    await hosts.publish(
      'rolling',
      { publishedPort: 8084, targetPort: 7 },
      { publishedPort: 8084, targetPort: 80, udp: true },
    );
    await hosts.add({ id: 'old', service: 'rolling', host: 2, address: '10.0.0.41' });
    await client.call('converse', 'stays', hostAddress(1), 8084);
    assert.equal(await client.call('askDatagramAgain', hostAddress(1), 8084, 20_020), `old ${CLIENT_ADDRESS}`);
    await hosts.add({ id: 'new', service: 'rolling', host: 3, address: '10.0.0.42' });
    await hosts.setServing('old', false);
    assert.equal(await client.call('say', 'stays', 'still there'), 'still there');
    assert.equal(await client.call('askDatagramAgain', hostAddress(1), 8084, 20_020), `new ${CLIENT_ADDRESS}`);

    // Draining ends when the connection does, or at its limit.
    const limited = await hosts.daemon(2).call('drain', 'old', 300);
    assert.ok(limited >= 290, `${limited} ms`);
    const waiting = hosts.daemon(2).call('drain', 'old', 15_000);
    await client.call('hangUp', 'stays');
    assert.ok((await waiting) < 10_000);

    // What still goes to a task that is gone is told so at once.
    await client.call('converse', 'cut', hostAddress(1), 8084);
    hosts.tasks.delete('new');
    await hosts.sync('new');
    assert.equal(await client.call('say', 'cut', 'hello'), 'closed');
  });

  it('follows the traffic policy of a port', async () => {
    const port = { targetPort: 80 } as const;
    await hosts.publish(
      'policy',
      { ...port, publishedPort: 8085, policy: 'local' },
      { ...port, publishedPort: 8086, policy: 'prefer-local' },
    );
    for (const host of [2, 3])
      await hosts.add({ id: `policy${host}`, service: 'policy', host, address: `10.0.0.5${host}` });
    assert.match(await client.call('ask', hostAddress(1), 8085), /ECONNRE/);
    assert.deepEqual(await answers(client, hostAddress(2), 8085), [`policy2 ${CLIENT_ADDRESS}`]);
    assert.deepEqual(await answers(client, hostAddress(3), 8086), [`policy3 ${CLIENT_ADDRESS}`]);
    assert.deepEqual(
      await answers(client, hostAddress(1), 8086),
      [2, 3].map((host) => `policy${host} ${CLIENT_ADDRESS}`),
    );
  });

  it('publishes on one address of a host where that is asked for', async () => {
    await hosts.publish('bound', { publishedPort: 8088, targetPort: 80, hostIp: hostAddress(1) });
    await hosts.add({ id: 'bound2', service: 'bound', host: 2, address: '10.0.0.61' });
    assert.equal(await client.call('ask', hostAddress(1), 8088), `bound2 ${CLIENT_ADDRESS}`);
    assert.equal(await client.call('ask', hostAddress(2), 8088), 'ECONNREFUSED');
    const from = onHosts[1];
    assert.equal(await from?.call('ask', '127.0.0.1', 8088), 'ECONNREFUSED');
  });

  it('says which port another program has, leaves it alone, and publishes the others', async () => {
    const from = onHosts[1];
    await from?.call('serve', 'own', '0.0.0.0', 8089);
    hosts.services.set('taken', {
      id: 'taken',
      ports: [
        { publishedPort: 8089, targetPort: 80 },
        { publishedPort: 8090, targetPort: 80 },
      ],
    });
    hosts.tasks.set('taken2', { id: 'taken2', service: 'taken', host: 2, address: '10.0.0.2' });
    const problems = await hosts.daemon(1).call('mesh', 'node1', hosts.state());
    assert.match(problems.join(), /port 8089\/tcp of the host is in use by/);
    for (const host of [2, 3]) await hosts.daemon(host).call('mesh', `node${host}`, hosts.state());
    assert.equal(await client.call('ask', hostAddress(1), 8089), `own ${CLIENT_ADDRESS}`);
    assert.equal(await client.call('ask', hostAddress(3), 8089), `only2 ${CLIENT_ADDRESS}`);
    assert.equal(await client.call('ask', hostAddress(1), 8090), `only2 ${CLIENT_ADDRESS}`);
    hosts.services.delete('taken');
    hosts.tasks.delete('taken2');
    await hosts.sync();
  });

  it('goes on when the daemon is killed, and the next one moves nobody', async () => {
    await client.call('converse', 'through', hostAddress(1), 8082);
    await hosts.daemon(1).kill();
    assert.equal(await client.call('say', 'through', 'killed'), 'killed');
    assert.equal(await client.call('ask', hostAddress(1), 8080), `only2 ${CLIENT_ADDRESS}`);
    await hosts.startDaemon(1);
    // Before it is told of the tables.
    assert.equal(await client.call('ask', hostAddress(1), 8080), `only2 ${CLIENT_ADDRESS}`);
    await hosts.sync();
    assert.equal(await client.call('say', 'through', 'restarted'), 'restarted');
    assert.equal(await client.call('ask', hostAddress(1), 8080), `only2 ${CLIENT_ADDRESS}`);
    assert.deepEqual((await hosts.daemon(1).call('reconcile')).repaired, []);
  });

  it('fails closed when somebody flushes the ruleset, and is whole again after a comparison', async () => {
    await onHost(hosts.hostPath(1), (nftables) => nftables.run('flush', 'flush ruleset'));
    assert.match(await client.call('ask', hostAddress(1), 8080), /ECONNRE/);
    assert.equal(await client.call('ask', hostAddress(3), 8080), `only2 ${CLIENT_ADDRESS}`);
    assert.equal((await hosts.daemon(1).call('reconcile')).repaired.length, 1);
    assert.equal(await client.call('ask', hostAddress(1), 8080), `only2 ${CLIENT_ADDRESS}`);

    const gateway = `${hosts.directory}/run/2/ns/gateway`;
    await onHost(gateway, (nftables) => nftables.run('flush', 'flush ruleset'));
    assert.equal((await hosts.daemon(2).call('reconcile')).repaired.length, 2);
    assert.equal(await client.call('ask', hostAddress(1), 8080), `only2 ${CLIENT_ADDRESS}`);
  });
});
