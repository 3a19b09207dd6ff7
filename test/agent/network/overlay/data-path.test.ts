/**
 * Goal: tasks of a network reach each other by address and by service address, on one host and across hosts, IPv4 and
 * IPv6 alike, and nobody else does. Method: three hosts on a bridge, real sockets in tasks' namespaces.
 */
import assert from 'node:assert/strict';
import { deleteLink } from '#agent/kernel/netlink-link.ts';
import { addVxlan } from '#agent/kernel/netlink-vxlan.ts';
import { eventually } from '#test/support/eventually.ts';
import { type Endpoint, Hosts } from './hosts.ts';

const RED = 'red';
const BLUE = 'blue';
const VIP = '10.0.1.2';
const VIP6 = 'fd00:1::2';

describe('overlay: data path', function () {
  this.timeout(60_000);
  let hosts: Hosts;
  const programs = new Map<string, Endpoint>();

  function at(taskId: string): Endpoint {
    const program = programs.get(taskId);
    assert.ok(program !== undefined);
    return program;
  }

  before(async () => {
    hosts = await Hosts.make({ count: 3 });
    await hosts.restoreAll();
    hosts.network({ id: RED, vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
    // The same subnet, on the same hosts.
    hosts.network({ id: BLUE, vni: 4098, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
    hosts.service('web', RED, [VIP, VIP6]);
    const task = (id: string, host: number, network: string, number: number, service = '') =>
      hosts.add({
        id,
        host,
        networks: { [network]: [`10.0.1.${number}`, `fd00:1::${number}`] },
        service,
      });
    await task('client', 1, RED, 10);
    await task('web1', 1, RED, 11, 'web');
    await task('web2', 2, RED, 12, 'web');
    await task('web3', 3, RED, 13, 'web');
    await task('stranger', 1, BLUE, 20);
    await task('blue2', 2, BLUE, 12);
    for (const id of hosts.tasks.keys()) programs.set(id, hosts.inTask(id));
    await Promise.all(
      ['web1', 'web2', 'web3', 'blue2'].map(async (id) => {
        await at(id).call('serve', id, 80);
        await at(id).call('serveDatagrams', id, '0.0.0.0', 53);
        await at(id).call('serveDatagrams', `${id}-6`, '::', 54);
      }),
    );
  });

  after(() => hosts?.destroy());

  it('tasks reach each other by address, and see each other’s', async () => {
    for (const [number, id] of [
      [11, 'web1'],
      [12, 'web2'],
      [13, 'web3'],
    ] as const) {
      assert.equal(await at('client').call('ask', `10.0.1.${number}`, 80), `${id} 10.0.1.10`);
      assert.equal(await at('client').call('ask', `fd00:1::${number}`, 80), `${id} fd00:1::10`);
      assert.equal(await at('client').call('askDatagram', `10.0.1.${number}`, 53), `${id} 10.0.1.10 1`);
      assert.equal(await at('client').call('askDatagram', `fd00:1::${number}`, 54), `${id}-6 fd00:1::10 1`);
    }
  });

  it('a service address leads to every backend, which sees the client', async () => {
    for (const [vip, client] of [
      [VIP, '10.0.1.10'],
      [VIP6, 'fd00:1::10'],
    ] as const) {
      const answers = new Set<string>();
      for (let count = 0; count < 40; count++) answers.add(await at('client').call('ask', vip, 80));
      assert.deepEqual(
        [...answers].toSorted(),
        ['web1', 'web2', 'web3'].map((id) => `${id} ${client}`),
      );
    }
    assert.match(await at('client').call('askDatagram', VIP, 53), /^web\d 10\.0\.1\.10 1$/);
    assert.match(await at('client').call('askDatagram', VIP6, 54), /^web\d-6 fd00:1::10 1$/);
  });

  it('a task that is its own backend answers itself', async () => {
    for (const [vip, gateway] of [
      [VIP, '10.0.1.1'],
      [VIP6, 'fd00:1::1'],
    ] as const) {
      const answers = new Set<string>();
      for (let count = 0; count < 40; count++) answers.add(await at('web1').call('ask', vip, 80));
      assert.ok(answers.has(`web1 ${gateway}`), [...answers].join());
      assert.ok(!answers.has('timeout'), [...answers].join());
      assert.equal(answers.size, 3, [...answers].join());
    }
  });

  it('networks with the same subnet do not meet', async () => {
    assert.equal(await at('stranger').call('ask', '10.0.1.12', 80), 'blue2 10.0.1.20');
    assert.equal(await at('stranger').call('ask', 'fd00:1::12', 80), 'blue2 fd00:1::20');
    // Only the other network has these: the router says at once that there is no such address.
    for (const address of ['10.0.1.13', 'fd00:1::13', VIP, VIP6])
      assert.match(await at('stranger').call('ask', address, 80), /^E(HOST|NET)UNREACH$/, address);
  });

  it('an address that nobody has is refused at once, over IPv6 with the second try of TCP', async () => {
    const begin = performance.now();
    assert.equal(await at('client').call('ask', '10.0.1.200', 80), 'ENETUNREACH');
    assert.ok(performance.now() - begin < 900);
    assert.equal(await at('client').call('ask', 'fd00:1::200', 80, 5000), 'ENETUNREACH');
  });

  it('big packets and big transfers pass, and what is too big is told', async () => {
    assert.equal(await at('client').call('askDatagram', '10.0.1.12', 53, 1422), 'web2 10.0.1.10 1422');
    assert.equal(await at('client').call('askDatagram', 'fd00:1::12', 54, 1402), 'web2-6 fd00:1::10 1402');
    assert.equal(await at('client').call('askDatagram', '10.0.1.12', 53, 8000), 'web2 10.0.1.10 8000');
    await at('web2').call('serveCounting', 81);
    assert.equal(await at('client').call('send', '10.0.1.12', 81, 20_000_000), '20000000');
    assert.equal(await at('client').call('send', 'fd00:1::12', 81, 5_000_000), '5000000');
  });

  it('a service without a backend refuses at once', async () => {
    for (const id of ['web1', 'web2', 'web3']) hosts.setServing(id, false);
    await hosts.sync();
    for (const vip of [VIP, VIP6]) assert.equal(await at('client').call('ask', vip, 80), 'ECONNREFUSED', vip);
    assert.equal(await at('client').call('askDatagram', VIP, 53), 'ECONNREFUSED');
    assert.equal(await at('client').call('askDatagram', VIP6, 54), 'ECONNREFUSED');
    for (const id of ['web1', 'web2', 'web3']) hosts.setServing(id, true);
    await hosts.sync();
    assert.match(await at('client').call('ask', VIP, 80), /^web/);
  });

  it('a comparison finds nothing to do', async () => {
    for (const host of [1, 2, 3])
      assert.deepEqual(await hosts.node(host).reconcile(), { repaired: [], problems: [] }, `host ${host}`);
  });

  it('a network goes with its last task, and leaves its number to others', async () => {
    hosts.network({ id: 'brief', vni: 5000, subnets: ['10.9.0.0/24'] });
    for (let round = 0; round < 2; round++) {
      await hosts.add({ id: 'brief1', host: 1, networks: { brief: ['10.9.0.10'] } });
      await hosts.remove('brief1');
    }
    await eventually('the number is free', () =>
      hosts.inside(hosts.hostPath(1), async (socket) => {
        const [refusal] = await socket.tryExecute([
          addVxlan({
            name: 'probe',
            mtu: 1450,
            linkLayerAddress: '02:00:00:00:00:01',
            vni: 5000,
            port: 4789,
            local: '172.31.0.1',
          }),
          deleteLink('probe'),
        ]);
        return refusal === undefined;
      }),
    );
  });
});
