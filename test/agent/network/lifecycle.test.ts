/**
 * Goal: attaching and detaching leaks nothing, refuses clearly, and daemons share a host. Method: count what the kernel
 * and the run directory hold before and after.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { listLinks } from '#agent/kernel/netlink-link.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { SwarmError } from '#common/errors.ts';
import { eventually } from '#test/support/eventually.ts';
import { HOST_ADDRESS, type NamespaceProcess, namespaceOf, OUTSIDE_ADDRESS, TwoHosts, taskRequest } from './fixture.ts';

const CYCLES = 50;

describe('network: lifecycle', function () {
  this.timeout(60_000);
  let hosts: TwoHosts;
  let pristine: string;

  before(async () => {
    hosts = await TwoHosts.make();
    pristine = await hosts.hostState();
  });

  after(() => hosts?.destroy());

  async function daemon(instance: string, config = {}): Promise<NamespaceProcess> {
    const process = hosts.process(hosts.hostPath);
    await process.call('open', { instance, directory: hosts.runDirectory(instance), config });
    return process;
  }

  async function gatewayLinks(instance: string): Promise<number> {
    const gateway = NetworkNamespace.open(join(hosts.runDirectory(instance), 'ns', 'gateway'));
    const socket = NetlinkSocket.open(gateway);
    try {
      return (await listLinks(socket)).length;
    } finally {
      await socket.close();
      gateway.close();
    }
  }

  it(`${CYCLES} tasks come and go and leave nothing`, async () => {
    const one = await daemon('cycles');
    await one.call('restore', []);
    const measured = await one.call('measure', CYCLES, true);
    const middle = (values: readonly number[]): string =>
      (values.toSorted((a, b) => a - b)[CYCLES / 2] ?? 0).toFixed(1);
    console.log(`      attach ${middle(measured.attach)} ms, detach ${middle(measured.detach)} ms (p50, with a port)`);
    const { repaired } = await one.call('reconcile');
    assert.deepEqual(repaired, []);
    // lo, the cable to the host, and the two ready namespaces.
    await eventually('every cable is gone', async () => (await gatewayLinks('cycles')) === 4);
    const directory = hosts.runDirectory('cycles');
    assert.equal(readdirSync(join(directory, 'ns')).length, 3);
    assert.equal(readdirSync(join(directory, 'tasks')).length, 0);
    assert.doesNotMatch(await hosts.hostState(), /10\.255\.\d+\.\d+ \. 80/);
    await one.call('destroy');
    assert.equal(await hosts.hostState(), pristine);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(directory));
  });

  it('refuses a port that a program of the host has, naming the program', async () => {
    const one = await daemon('conflict');
    await one.call('restore', []);
    const program = hosts.process(hosts.hostPath);
    await program.call('serve', 'program', '0.0.0.0', 8000);
    await program.call('serveDatagrams', 'program', '0.0.0.0', 8000);
    for (const port of ['8000:80', '127.0.0.1:8000:80', '8000:80/udp'])
      await assert.rejects(one.call('attach', taskRequest('late', '8001:80', port)), (error) => {
        assert.ok(error instanceof SwarmError);
        assert.equal(error.reason, 'port-conflict');
        assert.match(error.message, /8000\/(tcp|udp) of the host is in use by \S+ \(pid \d+\)/);
        return true;
      });
    // Nothing of the failed attempts is left: the other port is free, the records are empty.
    await program.call('serve', 'program', '0.0.0.0', 8001);
    assert.deepEqual(readdirSync(join(hosts.runDirectory('conflict'), 'tasks')), []);
    // And the other way round: a published port is taken for everybody else.
    await one.call('attach', taskRequest('first', '8002:80', '8002:80/udp'));
    await assert.rejects(program.call('serve', 'program', '0.0.0.0', 8002), /EADDRINUSE/);
    await assert.rejects(
      one.call('attach', taskRequest('x', '10.9.8.7:8003:80')),
      /10\.9\.8\.7 is not an address of this/,
    );
    await program.kill();
    await one.call('destroy');
  });

  it('two daemons share a host: own pools, one port space, each tidies up after itself', async () => {
    const first = await daemon('first');
    const second = await daemon('second');
    await first.call('restore', []);
    await second.call('restore', []);
    const a = await first.call('attach', taskRequest('a', '9000:80'));
    const b = await second.call('attach', taskRequest('b', '9001:80'));
    assert.notEqual(a.addresses[0]?.address.split('.')[1], b.addresses[0]?.address.split('.')[1]);
    await assert.rejects(second.call('attach', taskRequest('c', '9000:80')), /port-conflict|in use by/);
    const inA = hosts.process(namespaceOf(a));
    const inB = hosts.process(namespaceOf(b));
    await inA.call('serve', 'a', '0.0.0.0', 80);
    await inB.call('serve', 'b', '0.0.0.0', 80);
    const outside = hosts.process(hosts.outsidePath);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 9000), `a ${OUTSIDE_ADDRESS}`);
    assert.match(await inA.call('ask', HOST_ADDRESS, 9001), /^b /);
    assert.equal(await inA.call('ask', b.addresses[0]?.address ?? '', 80, 300), 'timeout');
    // The one that turned forwarding on goes first: the other goes on forwarding.
    await inA.kill();
    await first.call('destroy');
    assert.equal(await outside.call('ask', HOST_ADDRESS, 9001), `b ${OUTSIDE_ADDRESS}`);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 9000), 'ECONNREFUSED');
    await inB.kill();
    await second.call('destroy');
    assert.equal(await hosts.hostState(), pristine);
  });

  it('refuses a pool that collides with a route of the host, by name, and leaves nothing', async () => {
    const one = await daemon('collision', { gatewayPools: ['198.51.0.0/16'] });
    await assert.rejects(one.call('restore', []), (error) => {
      assert.ok(error instanceof SwarmError);
      assert.equal(error.reason, 'address-pool');
      assert.match(error.message, /198\.51\.0\.0\/16 collides with 198\.51\.100\.0\/24 \(eth0\)/);
      return true;
    });
    assert.equal(await hosts.hostState(), pristine);
    await assert.rejects(one.call('attach', taskRequest('early')), /network of this node is not up/);
    await one.call('destroy');
  });

  it('none has loopback only, host has the host’s namespace', async () => {
    const one = await daemon('modes');
    await one.call('restore', []);
    const none = await one.call('attach', { ...taskRequest('none'), mode: 'none' });
    const namespace = NetworkNamespace.open(namespaceOf(none));
    const socket = NetlinkSocket.open(namespace);
    assert.deepEqual(
      (await listLinks(socket)).map((link) => [link.name, link.up]),
      [['lo', true]],
    );
    await socket.execute([addAddress(1, '10.1.1.1/32')]);
    await socket.close();
    namespace.close();
    const host = await one.call('attach', { ...taskRequest('host', '9500:80'), mode: 'host' });
    assert.deepEqual([host.netnsPath, host.addresses, host.ports], [undefined, [], []]);
    assert.deepEqual([none.addresses, none.ports], [[], []]);
    await one.kill();
    const next = await daemon('modes');
    const report = await next.call('restore', ['none', 'host']);
    assert.deepEqual(report.adopted.map((found) => `${found.taskId} ${found.mode}`).toSorted(), [
      'host host',
      'none none',
    ]);
    assert.equal(report.adopted.find((found) => found.mode === 'none')?.netnsPath, none.netnsPath);
    await next.call('detach', 'none');
    await next.call('detach', 'host');
    await next.call('destroy');
    assert.equal(await hosts.hostState(), pristine);
  });

  it('refuses task ids that are no file names', async () => {
    const one = await daemon('ids');
    await one.call('restore', []);
    for (const taskId of ['', '../x', 'a/b', 'a..b', '.hidden', 'x'.repeat(129), 'a\0b'])
      await assert.rejects(one.call('attach', taskRequest(taskId)), /not a valid task id/, taskId);
    await one.call('destroy');
  });

  it('many tasks at once are as good as one after the other', async () => {
    const one = await daemon('burst');
    await one.call('restore', []);
    const tasks = Array.from({ length: 30 }, (_, index) => taskRequest(`t${index}`, `${9600 + index}:80`));
    const attached = await Promise.all(tasks.map((task) => one.call('attach', task)));
    assert.equal(new Set(attached.map((task) => task.addresses[0]?.address)).size, tasks.length);
    assert.deepEqual((await one.call('reconcile')).repaired, []);
    await Promise.all(tasks.map((task) => one.call('detach', task.taskId)));
    await one.call('destroy');
    assert.equal(await hosts.hostState(), pristine);
  });
});
