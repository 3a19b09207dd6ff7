/**
 * Goal: many networks and tasks come and go on one node and leave nothing: no namespace, device, file, descriptor. Method:
 * 200 networks with 3 tasks each, counted before and after; attaching is timed on the way.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { deleteLink, listLinks } from '#agent/kernel/netlink-link.ts';
import { addVxlan } from '#agent/kernel/netlink-vxlan.ts';
import { removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Hosts, VXLAN_PORT } from '#test/agent/network/overlay/hosts.ts';
import { eventually } from '#test/support/eventually.ts';

const NETWORKS = 200;
const TASKS = 3;
const FIRST_NUMBER = 6000;

describe('overlay: scale', function () {
  this.timeout(120_000);
  let hosts: Hosts;

  before(async () => {
    hosts = await Hosts.make({ count: 1 });
    await hosts.restoreAll();
  });

  after(() => hosts?.destroy());

  const descriptors = (): number => readdirSync('/proc/self/fd').length;

  it(`${NETWORKS} networks with ${TASKS} tasks each, removed: nothing is left`, async () => {
    const before = descriptors();
    const links = (await hosts.inside(hosts.hostPath(1), listLinks)).length;
    const ids: string[] = [];
    for (let network = 0; network < NETWORKS; network++) {
      const id = `net${network}`;
      hosts.network({ id, vni: FIRST_NUMBER + network, subnets: ['10.0.1.0/24'] });
      hosts.service('web', id, ['10.0.1.2']);
      for (let task = 0; task < TASKS; task++) {
        const taskId = `task${network}-${task}`;
        ids.push(taskId);
        hosts.tasks.set(taskId, { id: taskId, host: 1, networks: { [id]: [`10.0.1.${10 + task}`] }, service: 'web' });
      }
    }
    let begin = performance.now();
    await hosts.sync();
    const made = performance.now() - begin;
    const each: number[] = [];
    for (const taskId of ids) {
      hosts.makeTaskNamespace(taskId);
      const task = hosts.tasks.get(taskId);
      assert.ok(task !== undefined);
      begin = performance.now();
      await hosts.attach(task);
      each.push(performance.now() - begin);
    }
    assert.deepEqual(await hosts.node(1).reconcile(), { repaired: [], problems: [] });
    assert.equal(readdirSync(join(hosts.runDirectory(1), 'ns')).length, NETWORKS);
    begin = performance.now();
    for (const taskId of ids) {
      await hosts.node(1).detach(taskId);
      removeNetworkNamespace(hosts.taskPath(taskId));
    }
    hosts.tasks.clear();
    await hosts.sync();
    const gone = performance.now() - begin;
    const middle = each.toSorted((left, right) => left - right)[Math.floor(each.length / 2)] ?? 0;
    console.log(
      `      made in ${made.toFixed(0)} ms, a task attached in ${middle.toFixed(1)} ms (p50), gone in ${gone.toFixed(0)} ms`,
    );
    assert.deepEqual(readdirSync(join(hosts.runDirectory(1), 'ns')), []);
    assert.deepEqual(readdirSync(join(hosts.runDirectory(1), 'tasks')), []);
    assert.equal((await hosts.inside(hosts.hostPath(1), listLinks)).length, links);
    assert.ok(descriptors() <= before + 4, `${before} descriptors before, ${descriptors()} after`);
    // The last namespace goes some time after its last reference, and with it the number of its VXLAN device.
    await eventually('every number is free again', () =>
      hosts.inside(hosts.hostPath(1), async (socket) => {
        for (const network of [0, NETWORKS / 2, NETWORKS - 1]) {
          const [refusal] = await socket.tryExecute([
            addVxlan({
              name: 'probe',
              mtu: 1450,
              linkLayerAddress: '02:00:00:00:00:01',
              vni: FIRST_NUMBER + network,
              port: VXLAN_PORT,
              local: hosts.underlayAddress(1),
            }),
            deleteLink('probe'),
          ]);
          if (refusal !== undefined) return false;
        }
        return true;
      }),
    );
  });
});
