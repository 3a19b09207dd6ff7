/**
 * Goal: whatever somebody deletes or changes in a router or in a task is put right, in words. Method: each kind of damage
 * once, then a random series of them, with the kernel's whole state compared before and after. Some of it is found by
 * the kernel's events within a moment, all of it by a comparison.
 */
import assert from 'node:assert/strict';
import { setLinkDown } from '#agent/kernel/netlink-link.ts';
import { NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import type { KernelNamespace } from '#agent/network/overlay/kernel/network-kernel.ts';
import { SETS } from '#agent/network/overlay/load-balancer.ts';
import type { OverlaySurvey } from '#agent/network/overlay/overlay-networks.ts';
import { writeSysctls } from '#agent/network/sysctls.ts';
import { randomInt, SeededRandom } from '#common/random.ts';
import { eventually } from '#test/support/eventually.ts';
import { type Endpoint, Hosts } from './hosts.ts';
import { stateAt } from './state.ts';

const NET = 'red';
const ROUTER = 'net-4097';
const VIP = '10.0.1.2';
const VIP6 = 'fd00:1::2';

describe('overlay: healing', function () {
  this.timeout(120_000);
  const kernel = new NetlinkKernel();
  let hosts: Hosts;
  let client: Endpoint;
  let whole: string;

  const router = (): string => hosts.routerPath(1, ROUTER);

  async function within(path: string, work: (namespace: KernelNamespace) => Promise<void>): Promise<void> {
    const namespace = await kernel.open(path);
    try {
      await work(namespace);
    } finally {
      await namespace.close();
    }
  }

  async function assertAllWell(): Promise<void> {
    assert.equal(await client.call('ask', '10.0.1.12', 80), 'far 10.0.1.10');
    assert.equal(await client.call('ask', '10.0.1.11', 80), 'near 10.0.1.10');
    assert.match(await client.call('ask', VIP, 80), /^(near|far) /);
    assert.match(await client.call('ask', VIP6, 80), /^(near|far) /);
  }

  before(async () => {
    // Events are tried on their own, below.
    hosts = await Hosts.make({ count: 2, config: { lingerMs: 0, eventDelayMs: 3_600_000 } });
    await hosts.restoreAll();
    hosts.network({ id: NET, vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
    hosts.service('web', NET, [VIP, VIP6]);
    const task = (id: string, host: number, number: number, service = '') =>
      hosts.add({ id, host, networks: { [NET]: [`10.0.1.${number}`, `fd00:1::${number}`] }, service });
    await task('client', 1, 10);
    await task('near', 1, 11, 'web');
    await task('far', 2, 12, 'web');
    client = hosts.inTask('client');
    for (const id of ['near', 'far']) await hosts.inTask(id).call('serve', id, 80);
    await assertAllWell();
    whole = await stateAt(router());
  });

  after(() => hosts?.destroy());

  async function surveyed(): Promise<OverlaySurvey> {
    const survey = await hosts.node(1).survey(NET);
    assert.ok(survey !== undefined);
    return survey;
  }

  /** Wants it noticed, named, and put right so that nothing differs from before. */
  async function heals(expected: RegExp): Promise<void> {
    const damaged = await stateAt(router()).catch(() => '');
    assert.notEqual(damaged, whole, 'the damage is there');
    const { differences } = await surveyed();
    assert.ok(
      differences.some((what) => expected.test(what)),
      `seen without being touched: ${JSON.stringify(differences)}`,
    );
    assert.equal(await stateAt(router()).catch(() => ''), damaged);
    const { repaired, problems } = await hosts.node(1).reconcile();
    assert.deepEqual(problems, []);
    assert.ok(
      repaired.some((what) => expected.test(what)),
      JSON.stringify(repaired),
    );
    assert.equal(await stateAt(router()), whole);
    assert.deepEqual((await hosts.node(1).reconcile()).repaired, []);
    assert.deepEqual((await surveyed()).differences, []);
  }

  const nft = (text: string) => () => within(router(), (namespace) => namespace.load('damage', text));
  const unlink = (name: string) => () =>
    within(router(), (namespace) => namespace.change([{ do: 'delete-link', name }]));

  const DAMAGE: readonly (readonly [what: string, words: RegExp, damage: () => Promise<void>])[] = [
    ['the device to the other nodes', /device vx/, unlink('vx')],
    ['a task’s cable', /cable of task client/, unlink('e1')],
    ['all tables', /nftables tables/, nft('flush ruleset')],
    ['one table', /nftables tables/, nft('delete table ip6 starling')],
    ['a chain’s rules', /nftables tables/, nft('flush chain ip starling forward')],
    ['another chain', /nftables tables/, nft('add chain ip starling other')],
    ['a chain for a count', /nftables tables/, nft('flush chain ip starling n2')],
    ['an element', /element 10\.0\.1\.2 of vips/, nft(`delete element ip starling vips { ${VIP} }`)],
    ['a backend too much', /of eps too much/, nft(`add element ip starling eps { ${VIP} . 2 : 10.0.1.66 }`)],
    [
      'a service address that is none',
      /10\.0\.1\.99 of vips too much/,
      nft('add element ip starling vips { 10.0.1.99 : goto n2 }'),
    ],
    [
      'another backend in a slot',
      /element fd00:1::2 \. 0 of eps/,
      nft(`delete element ip6 starling eps { ${VIP6} . 0 }; add element ip6 starling eps { ${VIP6} . 0 : fd00:1::66 }`),
    ],
    [
      'the namespace',
      /namespace/,
      async () => {
        removeNetworkNamespace(router());
      },
    ],
  ];

  for (const [what, words, damage] of DAMAGE)
    it(`${what}`, async () => {
      await damage();
      await heals(words);
      await assertAllWell();
    });

  it('devices that are down, and settings', async () => {
    await hosts.inside(router(), (socket) => socket.execute([setLinkDown(2)]));
    await heals(/vx: was down/);
    const namespace = NetworkNamespace.open(router());
    namespace.run(() =>
      writeSysctls([
        ['ipv4/ip_forward', '0'],
        ['ipv4/conf/all/rp_filter', '2'],
      ]),
    );
    namespace.close();
    const { differences } = await surveyed();
    assert.ok(differences.includes('setting net/ipv4/ip_forward'), differences.join());
    const { repaired } = await hosts.node(1).reconcile();
    assert.ok(
      repaired.some((words) => words.includes('ip_forward')),
      repaired.join(),
    );
    assert.ok(
      repaired.some((words) => words.includes('rp_filter')),
      repaired.join(),
    );
    await assertAllWell();
  });

  it('a task’s own device, addresses and routes', async () => {
    await within(hosts.taskPath('client'), async (task) => {
      const items = (await task.items()).filter((item) => item.kind !== 'forwarding');
      await task.change(items.map((item) => ({ do: 'delete', item })));
    });
    const { differences } = await surveyed();
    assert.ok(differences.includes('route to 10.0.1.0/24 of task client'), differences.join());
    const { repaired } = await hosts.node(1).reconcile();
    assert.ok(
      repaired.some((words) => words.includes('route to 10.0.1.0/24 of task client')),
      repaired.join(),
    );
    await assertAllWell();
  });

  it('every single route, neighbour, forwarding entry, address and element', async () => {
    const namespace = await kernel.open(router());
    const items = await namespace.items();
    await namespace.close();
    assert.ok(items.length >= 14, `${items.length}`);
    for (const item of items) {
      await within(router(), (inside) => inside.change([{ do: 'delete', item }]));
      await heals(/route|neighbour|forwarding|address/);
    }
    for (const set of [SETS[4].vips, SETS[4].eps, SETS[4].hairpin, SETS[6].vips, SETS[6].eps, SETS[6].hairpin]) {
      const inside = await kernel.open(router());
      for (const key of (await inside.elements(set)).keys()) {
        await inside.changeElements([[{ set, action: 'delete', key }]]);
        await heals(/element/);
      }
      await inside.close();
    }
  });

  it('any of it, at random and several at once', async () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = new SeededRandom(seed);
    for (let round = 0; round < 15; round++) {
      const chosen = Array.from({ length: 3 }, () => randomInt(random, DAMAGE.length));
      // One may take away what another would damage.
      for (const index of chosen) await DAMAGE[index]?.[2]().catch(() => undefined);
      await hosts.node(1).reconcile();
      assert.equal(await stateAt(router()), whole, `seed ${seed}, round ${round}, damage ${chosen.join()}`);
    }
    await assertAllWell();
  });
});

describe('overlay: healing on events', function () {
  this.timeout(60_000);
  const kernel = new NetlinkKernel();
  let hosts: Hosts;

  before(async () => {
    hosts = await Hosts.make({ count: 1 });
    await hosts.restoreAll();
    hosts.network({ id: NET, vni: 4097, subnets: ['10.0.1.0/24'] });
    hosts.service('web', NET, [VIP]);
    await hosts.add({ id: 'one', host: 1, networks: { [NET]: ['10.0.1.10'] }, service: 'web' });
    await hosts.add({ id: 'two', host: 1, networks: { [NET]: ['10.0.1.11'] } });
  });

  after(() => hosts?.destroy());

  it('what the kernel tells of is repaired without a comparison, and reported with the next', async () => {
    const path = hosts.routerPath(1, ROUTER);
    const whole = await stateAt(path);
    const deletions = [
      { do: 'delete-link', name: 'vx' },
      { do: 'delete-link', name: 'e1' },
      ...(await (async () => {
        const namespace = await kernel.open(path);
        const items = await namespace.items();
        await namespace.close();
        return items
          .filter((item) => item.kind === 'route' || item.kind === 'address' || item.kind === 'neighbour')
          .map((item) => ({ do: 'delete', item }) as const);
      })()),
    ] as const;
    for (const deletion of deletions) {
      const namespace = await kernel.open(path);
      await namespace.change([deletion]);
      await namespace.close();
      await eventually(`${JSON.stringify(deletion)} is repaired`, async () => (await stateAt(path)) === whole);
    }
    const { repaired } = await hosts.node(1).reconcile();
    assert.ok(repaired.length >= deletions.length, JSON.stringify(repaired));
    assert.ok(repaired.includes('network red: cable of task one'), JSON.stringify(repaired));
  });
});
