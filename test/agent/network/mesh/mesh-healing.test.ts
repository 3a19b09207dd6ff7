/** Goal: what somebody deletes of the mesh is named without a change, and put right on the kernel's word. */
import assert from 'node:assert/strict';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import type { KernelNamespace } from '#agent/network/overlay/kernel/network-kernel.ts';
import type { Operation } from '#agent/network/overlay/kernel/operations.ts';
import { eventually } from '#test/support/eventually.ts';
import { MeshHosts } from './mesh-hosts.ts';

/** On this host nothing is put right unless somebody asks for it; on the other at once. */
const PATIENT = 1;
const QUICK = 2;

async function inGateway<T>(path: string, work: (namespace: KernelNamespace) => Promise<T>): Promise<T> {
  const namespace = await new NetlinkKernel().open(path);
  try {
    return await work(namespace);
  } finally {
    await namespace.close();
  }
}

/** What leads to the other node and its task: the device, a route and a neighbour, each to be deleted. */
function pieces(path: string, taskElsewhere: string): Promise<readonly Operation[]> {
  return inGateway(path, async (namespace) => {
    const items = await namespace.items();
    const route = items.find((item) => item.kind === 'route' && item.destination === `${taskElsewhere}/32`);
    const neighbour = items.find((item) => item.kind === 'neighbour' && item.device.name === 'vx');
    assert.ok(route !== undefined && neighbour !== undefined);
    return [
      { do: 'delete-link', name: 'vx' },
      { do: 'delete', item: route },
      { do: 'delete', item: neighbour },
    ];
  });
}

describe('network: damage of the mesh', function () {
  this.timeout(60_000);
  let hosts: MeshHosts;

  before(async () => {
    hosts = await MeshHosts.make(2, (host) => ({ eventDelayMs: host === PATIENT ? 3_600_000 : 1 }));
    await hosts.publish('page', { publishedPort: 8080, targetPort: 80 });
    for (const host of [1, 2])
      await hosts.add({ id: `page${host}`, service: 'page', host, address: `10.0.0.1${host}` });
  });

  after(() => hosts?.destroy());

  it('is named, and left as it is, by who looks; a comparison puts it right', async () => {
    const daemon = hosts.daemon(PATIENT);
    const path = hosts.gatewayPath(PATIENT);
    assert.deepEqual(await daemon.call('surveyMesh'), []);
    for (const damage of await pieces(path, '10.0.0.12')) {
      await inGateway(path, (namespace) => namespace.change([damage]));
      const found = await daemon.call('surveyMesh');
      assert.notDeepEqual(found, [], JSON.stringify(damage));
      assert.deepEqual(await daemon.call('surveyMesh'), found, 'nothing was changed by looking');
      await daemon.call('reconcile');
      assert.deepEqual(await daemon.call('surveyMesh'), [], JSON.stringify(damage));
    }
    await inGateway(path, (namespace) => namespace.load('damage', 'flush ruleset'));
    assert.ok((await daemon.call('surveyMesh')).includes('nftables tables of the mesh'));
  });

  it('is put right on the kernel’s word, and reported with the next comparison', async () => {
    const daemon = hosts.daemon(QUICK);
    const path = hosts.gatewayPath(QUICK);
    for (const damage of await pieces(path, '10.0.0.11')) {
      await inGateway(path, (namespace) => namespace.change([damage]));
      await eventually(
        `${JSON.stringify(damage)} is repaired`,
        async () => (await daemon.call('surveyMesh')).length === 0,
      );
    }
    const { repaired } = await daemon.call('reconcile');
    for (const what of ['device of the mesh', 'routes of the mesh', 'nodes of the mesh'])
      assert.ok(repaired.includes(what), `${what}: ${repaired.join()}`);
  });

  it('is put right also when it is done while a comparison is under way that has looked there already', async () => {
    const daemon = hosts.daemon(QUICK);
    const path = hosts.gatewayPath(QUICK);
    const [, route] = await pieces(path, '10.0.0.11');
    assert.ok(route !== undefined);
    for (let i = 0; i < 40; i++) {
      // One comparison, met at another of its moments each time: the one that follows is asked for by the event alone.
      const comparison = daemon.call('reconcile');
      await inGateway(path, async (namespace) => {
        for (let look = 0; look < i; look++) await namespace.links();
        await namespace.change([route]);
      });
      await comparison;
      await eventually(`the route is back (${i})`, async () => (await daemon.call('surveyMesh')).length === 0);
    }
  });
});
