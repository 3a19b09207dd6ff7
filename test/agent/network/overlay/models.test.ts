/**
 * Goal: the deciding parts keep their promises whatever comes: slots are dense and move as little as they can, items
 * follow their sources, names follow from numbers. Method: properties over random histories; no kernel.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { networkMtu, nodeLinkAddress, nodeNextHop, routeMtu, subnetsOf } from '#agent/network/overlay/addressing.ts';
import { ItemBook } from '#agent/network/overlay/item-book.ts';
import { type Item, keyOf, LOOPBACK, valueOf } from '#agent/network/overlay/kernel/operations.ts';
import { LoadBalancer } from '#agent/network/overlay/load-balancer.ts';
import { touchedBy, type Underlay } from '#agent/network/overlay/network-view.ts';
import { RouterModel } from '#agent/network/overlay/router-model.ts';
import { taskLinkAddress } from '#common/task-link-address.ts';
import { NetworkChange, NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet } from '#gen/swarm/v1/specs.ts';

const VIPS = ['10.0.1.2', 'fd00::2'] as const;

describe('overlay: models', () => {
  it('the elements of a service address follow its backends, by changes alone', () => {
    const history = fc.array(fc.tuple(fc.constantFrom(...VIPS), fc.uniqueArray(fc.integer({ min: 1, max: 12 }))));
    fc.assert(
      fc.property(history, (steps) => {
        const balancer = new LoadBalancer();
        const kernel = new Map<string, string>();
        for (const [vip, numbers] of steps) {
          const backends = numbers.map((number) => (vip === 'fd00::2' ? `fd00::1${number}` : `10.0.1.1${number}`));
          const before = new Set(balancer.backends(vip));
          const { changes, removed, woke } = balancer.setBackends(vip, backends);
          for (const { set, action, key, value } of changes) {
            const name = `${set.family} ${set.name} ${key}`;
            assert.equal(kernel.has(name), action === 'delete', 'deleted is what is there, added what is not');
            if (action === 'delete') kernel.delete(name);
            else kernel.set(name, value ?? '');
          }
          assert.deepEqual(new Set(balancer.backends(vip)), new Set(backends));
          assert.deepEqual([...removed].toSorted(), [...before].filter((one) => !backends.includes(one)).toSorted());
          assert.equal(woke, before.size === 0 && backends.length > 0);
          // A slot and perhaps the last one for each backend that came or went, and the count once.
          const moved = backends.filter((one) => !before.has(one)).length + removed.length;
          assert.ok(changes.length <= 3 * moved + 2, `${changes.length} changes for ${moved}`);
        }
        const wanted = new Map<string, string>();
        for (const family of [4, 6] as const) {
          const { vips, eps } = balancer.elements(family);
          for (const [key, value] of vips) wanted.set(`${family === 4 ? 'ip' : 'ip6'} vips ${key}`, value);
          for (const [key, value] of eps) wanted.set(`${family === 4 ? 'ip' : 'ip6'} eps ${key}`, value);
        }
        assert.deepEqual(kernel, wanted);
        for (const vip of VIPS)
          balancer.backends(vip).forEach((address, slot) => {
            assert.equal(kernel.get(`${vip === 'fd00::2' ? 'ip6' : 'ip'} eps ${vip} . ${slot}`), address);
          });
        const adopted = new LoadBalancer();
        adopted.adopt(new Map([...balancer.elements(4).eps, ...balancer.elements(6).eps]));
        for (const vip of VIPS) assert.deepEqual(adopted.backends(vip), balancer.backends(vip));
      }),
    );
  });

  it('items follow their sources, by changes alone', () => {
    const item = (number: number, gateway: number): Item => ({
      kind: 'route',
      destination: `10.0.1.${number}/32`,
      device: LOOPBACK,
      gateway: `169.254.0.${gateway}`,
    });
    const step = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.uniqueArray(fc.integer({ min: 1, max: 5 })), fc.boolean());
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const book = new ItemBook();
        const kernel = new Map<string, string>();
        for (const [source, numbers, take] of steps) {
          book.put(
            `source ${source}`,
            numbers.map((number) => item(number, source)),
          );
          if (!take) continue;
          const { set, delete: gone } = book.take();
          for (const one of set) kernel.set(keyOf(one), valueOf(one));
          for (const one of gone) assert.ok(kernel.delete(keyOf(one)));
          const due = new Map(Array.from(book.entries(), ([key, value]) => [key, valueOf(value)]));
          assert.deepEqual(kernel, due);
        }
      }),
    );
  });

  it('what a node is called follows from its number', () => {
    assert.equal(nodeLinkAddress(1), '02:4e:00:00:00:01');
    assert.equal(nodeLinkAddress(65_000), '02:4e:00:00:fd:e8');
    assert.equal(nodeNextHop(258, 4), '169.254.1.2');
    assert.equal(nodeNextHop(258, 6), 'fe80::2:102');
    assert.throws(() => nodeNextHop(0, 4), /0 is no number of a node/);
    assert.throws(() => nodeLinkAddress(65_001), /65001 is no number of a node/);
    assert.equal(taskLinkAddress(['fd00::1:2', '10.0.1.11']), '02:53:0a:00:01:0b');
    assert.equal(taskLinkAddress(['fd00::1:2']), '02:53:00:01:00:02');
  });

  const underlay = (address: string, mtu: number): Underlay => ({
    address,
    port: 4789,
    mtu,
    peerAddress: (peer) => peer.dataPath?.address,
    peerMtu: (peer) => peer.dataPath?.mtu,
  });

  it('sizes and subnets follow from the table and the underlay', () => {
    const table = NetworkTable.create({
      name: 'red',
      subnets: [
        IpamSubnet.create({ subnet: '10.0.1.0/24' }),
        IpamSubnet.create({ subnet: 'fd00:1::/64', gateway: 'FD00:1::FF' }),
      ],
    });
    assert.deepEqual(
      subnetsOf(table).map(({ prefix, gateway, family }) => [prefix, gateway, family]),
      [
        ['10.0.1.0/24', '10.0.1.1', 4],
        ['fd00:1::/64', 'fd00:1::ff', 6],
      ],
    );
    assert.equal(networkMtu(table, underlay('172.31.0.1', 1500)), 1450);
    assert.equal(networkMtu(table, underlay('fd31::1', 1500)), 1430);
    // Inside WireGuard, whose device has 80 bytes less than the one beneath it.
    assert.equal(networkMtu(table, underlay('100.127.0.1', 1420)), 1370);
    const option = (mtu: string): NetworkTable => ({
      ...table,
      driverOptions: { 'com.docker.network.driver.mtu': mtu },
    });
    assert.equal(networkMtu(option('1400'), underlay('172.31.0.1', 1500)), 1400);
    assert.throws(() => networkMtu(option('12'), undefined), /is "12", not 1280 to 65535/);
    assert.equal(routeMtu(8950, 1500, underlay('172.31.0.1', 9000)), 1450);
    assert.equal(routeMtu(1450, 9000, underlay('172.31.0.1', 1500)), undefined);
    assert.equal(routeMtu(1450, 0, underlay('172.31.0.1', 1500)), undefined);
  });

  const view = (serving: boolean, extra = true) => ({
    table: NetworkTable.create({
      networkId: 'red',
      name: 'red',
      vni: 4097,
      subnets: [IpamSubnet.create({ subnet: '10.0.1.0/24' })],
    }),
    peers: new Map(
      [1, 2].map((index) => [
        `node${index}`,
        NetworkPeer.create({
          nodeId: `node${index}`,
          index,
          dataPath: NodeDataPath.create({ address: `172.31.0.${index}`, mtu: 1500 }),
        }),
      ]),
    ),
    services: new Map([['web', NetworkService.create({ serviceId: 'web', name: 'web', addresses: ['10.0.1.2'] })]]),
    endpoints: new Map(
      (extra ? ['a', 'b'] : ['a']).map((taskId, index) => [
        taskId,
        NetworkEndpoint.create({
          taskId,
          serviceId: 'web',
          nodeId: 'node2',
          addresses: [`10.0.1.1${index}`],
          serving: serving || taskId === 'a',
        }),
      ]),
    ),
  });

  it('an increment costs what it touches, and says which flows end', () => {
    const model = new RouterModel('node1');
    const first = model.update(view(true), underlay('172.31.0.1', 1500));
    assert.equal(first.anew, true);
    assert.deepEqual(first.flows, []);
    const touched = { peers: new Set<string>(), services: new Set<string>(), endpoints: new Set(['b']), table: false };
    const withdrawn = model.update({ ...view(false) }, underlay('172.31.0.1', 1500), touched);
    assert.deepEqual(withdrawn.set, []);
    assert.deepEqual(withdrawn.delete, []);
    assert.deepEqual(withdrawn.flows, [{ ipProtocol: 17, originalDestination: '10.0.1.2', replySource: '10.0.1.11' }]);
    assert.equal(withdrawn.groups.flat().length, 3);
    const ended = model.update(view(false, false), underlay('172.31.0.1', 1500), touched);
    assert.deepEqual(ended.flows, [{ replySource: '10.0.1.11' }]);
    assert.deepEqual(ended.groups, []);
    assert.deepEqual(ended.delete.map(keyOf), ['route 254 10.0.1.11/32']);
    // The same again is nothing, in whatever objects it comes.
    const same = model.update(view(false, false), underlay('172.31.0.1', 1500));
    assert.deepEqual([same.set, same.delete, same.groups, same.flows, same.anew], [[], [], [], [], false]);
  });

  it('a client that was refused is freed when the first backend comes, and only then', () => {
    const model = new RouterModel('node1');
    model.update({ ...view(true), endpoints: new Map() }, underlay('172.31.0.1', 1500));
    const woken = model.update(view(true), underlay('172.31.0.1', 1500));
    assert.deepEqual(woken.flows, [{ ipProtocol: 17, originalDestination: '10.0.1.2' }]);
  });

  it('says what the changes of an increment touch', () => {
    const change = (item: NetworkChange['item']): NetworkChange => NetworkChange.create({ networkId: 'red', item });
    const touched = touchedBy([
      change({ kind: 'endpoint', value: NetworkEndpoint.create({ taskId: 'a' }) }),
      change({ kind: 'endpoint', value: NetworkEndpoint.create({ taskId: 'b' }) }),
      change({ kind: 'service', value: NetworkService.create({ serviceId: 'web' }) }),
      change({ kind: 'peer', value: NetworkPeer.create({ nodeId: 'node2' }) }),
    ]);
    assert.deepEqual(touched.get('red'), {
      peers: new Set(['node2']),
      services: new Set(['web']),
      endpoints: new Set(['a', 'b']),
      table: false,
    });
    const table = touchedBy([change({ kind: 'table', value: NetworkTable.create({ networkId: 'red' }) })]);
    assert.equal(table.get('red')?.table, true);
  });
});
