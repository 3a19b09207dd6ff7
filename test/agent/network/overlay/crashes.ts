/**
 * Goal: a daemon that is killed at any step leaves nothing that the next one does not take over or clean up. Method: a
 * day in the life of a node (networks come, tasks are attached, a service scales, tasks are detached, a network goes) on
 * a kernel seam that dies after so many steps, for every number of steps there is, or for some of them; then another
 * daemon restores.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { listLinks } from '#agent/kernel/netlink-link.ts';
import { NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import { eventually } from '#test/support/eventually.ts';
import { DyingKernel } from './dying-kernel.ts';
import { Hosts, type TaskOptions } from './hosts.ts';

const RED = 'red';
const BLUE = 'blue';

/** Killed after every step when `stride` is 1, else after every so many. */
export function describeCrashes(stride: number): void {
  describe('overlay: crashes', function () {
    this.timeout(600_000);
    let hosts: Hosts;
    /** Tasks whose attachment was completed, and not begun to be undone: what the node's network remembers. */
    const known = new Set<string>();

    before(async () => {
      hosts = await Hosts.make({ count: 1, config: { lingerMs: 0, vniWaitMs: 10_000, vniRetryMs: 5 } });
      hosts.network({ id: RED, vni: 4097, subnets: ['10.0.1.0/24', 'fd00:1::/64'] });
      hosts.network({ id: BLUE, vni: 4098, subnets: ['10.0.2.0/24'] });
      hosts.service('web', RED, ['10.0.1.2', 'fd00:1::2']);
    });

    after(() => hosts?.destroy());

    const both = (id: string, number: number): TaskOptions => ({
      id,
      host: 1,
      networks: { [RED]: [`10.0.1.${number}`, `fd00:1::${number}`], [BLUE]: [`10.0.2.${number}`] },
      service: 'web',
    });

    /** Runs until it is done or the kernel dies. */
    async function day(kernel: DyingKernel): Promise<void> {
      const node = hosts.newNode(1, kernel);
      const apply = async (): Promise<void> => {
        await node.apply(hosts.views(1));
        kernel.step('applied');
      };
      const attach = async (task: TaskOptions): Promise<void> => {
        hosts.tasks.set(task.id, task);
        await apply();
        if (!existsSync(hosts.taskPath(task.id))) hosts.makeTaskNamespace(task.id);
        await attachNow(task);
        known.add(task.id);
      };
      const attachNow = (task: TaskOptions) =>
        node.attach({
          taskId: task.id,
          netnsPath: hosts.taskPath(task.id),
          networks: Object.entries(task.networks).map(([networkId, addresses]) => ({ networkId, addresses })),
        });
      const detach = async (id: string): Promise<void> => {
        known.delete(id);
        await node.detach(id);
        removeNetworkNamespace(hosts.taskPath(id));
        hosts.tasks.delete(id);
        await apply();
      };
      try {
        await node.restore(new Map(), []);
        await attach(both('one', 11));
        await attach(both('two', 12));
        hosts.setServing('one', false);
        await apply();
        await detach('one');
        const { [BLUE]: _, ...red } = both('three', 13).networks;
        await attach({ ...both('three', 13), networks: red });
        await detach('two');
      } finally {
        await kernel.bury();
      }
    }

    async function linksIn(path: string): Promise<readonly string[]> {
      const namespace = NetworkNamespace.open(path);
      const socket = NetlinkSocket.open(namespace);
      try {
        return (await listLinks(socket)).map((link) => link.name).toSorted();
      } finally {
        await socket.close();
        namespace.close();
      }
    }

    /** Everything on the host is what these tasks need, and nothing else. */
    async function assertExact(context: string): Promise<void> {
      const views = hosts.views(1);
      const directory = hosts.runDirectory(1);
      const namespaces = Array.from(views.values(), ({ table }) => `net-${table.vni}`).toSorted();
      assert.deepEqual(readdirSync(join(directory, 'ns')).toSorted(), namespaces, context);
      assert.deepEqual(
        readdirSync(join(directory, 'tasks')).toSorted(),
        [...known].map((id) => `${id}.json`).toSorted(),
      );
      for (const [networkId, { table }] of views) {
        const members = [...known].filter((id) => networkId in (hosts.tasks.get(id)?.networks ?? {}));
        await eventually(`${context}: cables of ${networkId}`, async () => {
          const links = await linksIn(hosts.routerPath(1, `net-${table.vni}`));
          return links.length === 2 + members.length && links.includes('vx');
        });
      }
      for (const id of known) {
        const devices = Object.keys(hosts.tasks.get(id)?.networks ?? {}).map((_, index) => `eth${index}`);
        assert.deepEqual(await linksIn(hosts.taskPath(id)), [...devices, 'lo'], context);
      }
    }

    async function tidy(): Promise<void> {
      for (const id of hosts.tasks.keys()) removeNetworkNamespace(hosts.taskPath(id));
      hosts.tasks.clear();
      known.clear();
    }

    it('the day has an end', async () => {
      const kernel = new DyingKernel(new NetlinkKernel(hosts.hostPath(1)), Number.MAX_SAFE_INTEGER);
      await day(kernel);
      assert.deepEqual([...known], ['three']);
      await assertExact('without a crash');
      console.log(`      ${kernel.steps} steps`);
      const node = hosts.newNode(1);
      await tidy();
      await node.restore(new Map(), []);
      assert.deepEqual(readdirSync(join(hosts.runDirectory(1), 'ns')), []);
      await node.close();
    });

    it('a task that nobody knows any more is taken off its networks, though its namespace stays', async () => {
      const node = hosts.newNode(1);
      await node.restore(new Map(), []);
      for (const task of [both('one', 11), both('two', 12)]) {
        hosts.tasks.set(task.id, task);
        hosts.makeTaskNamespace(task.id);
      }
      await node.apply(hosts.views(1));
      for (const id of ['one', 'two'])
        await node.attach({
          taskId: id,
          netnsPath: hosts.taskPath(id),
          networks: Object.entries(hosts.tasks.get(id)?.networks ?? {}).map(([networkId, addresses]) => ({
            networkId,
            addresses,
          })),
        });
      await node.close();
      const next = hosts.newNode(1);
      const { adopted, removed } = await next.restore(hosts.views(1), ['two']);
      assert.deepEqual([adopted, removed], [['two'], ['one']]);
      assert.deepEqual(await linksIn(hosts.taskPath('one')), ['lo']);
      assert.deepEqual(await linksIn(hosts.taskPath('two')), ['eth0', 'eth1', 'lo']);
      await tidy();
      await next.apply(new Map());
      await next.detach('two');
      await next.close();
    });

    it('killed after any step, the next daemon leaves nothing and misses nothing', async () => {
      let crashes = 0;
      for (let finished = false, steps = 0; !finished; steps += stride, crashes++) {
        const kernel = new DyingKernel(new NetlinkKernel(hosts.hostPath(1)), steps);
        await day(kernel).then(
          () => {
            finished = true;
          },
          () => {},
        );
        const context = `killed after step ${steps}, ${kernel.last}`;
        // The node's network removes the namespaces of tasks that it does not know, before this or after.
        const strangers = [...hosts.tasks.keys()].filter((id) => !known.has(id));
        const dropStrangers = (): void => strangers.forEach((id) => void removeNetworkNamespace(hosts.taskPath(id)));
        const isEarly = crashes % 2 === 0;
        if (isEarly) dropStrangers();
        for (const id of strangers) hosts.tasks.delete(id);
        const node = hosts.newNode(1);
        const report = await node.restore(hosts.views(1), [...known]);
        if (!isEarly) dropStrangers();
        assert.deepEqual(report.problems, [], context);
        assert.deepEqual([...report.adopted].toSorted(), [...known].toSorted(), context);
        await assertExact(context);
        // What ended with its namespace may have been seen as going; then it is gone for good.
        await node.reconcile();
        assert.deepEqual((await node.reconcile()).repaired, [], context);
        await tidy();
        await node.apply(new Map());
        for (const id of report.adopted) await node.detach(id);
        assert.deepEqual(readdirSync(join(hosts.runDirectory(1), 'ns')), [], context);
        await node.close();
      }
      console.log(`      ${crashes} crashes`);
    });
  });
}
