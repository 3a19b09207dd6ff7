/** Goal: the in-memory network keeps the promises of the seam that can be kept without a kernel. */
import assert from 'node:assert/strict';
import { type AttachRequest, MemoryNetwork } from '#agent/network/index.ts';

function request(taskId: string, publishedPort?: number): AttachRequest {
  const ports = publishedPort === undefined ? [] : [{ protocol: 'tcp' as const, publishedPort, targetPort: 80 }];
  return { taskId, mode: 'gateway', hostname: taskId, ports };
}

describe('network: in memory', () => {
  it('gives each task its own address, the same when asked again', async () => {
    const network = new MemoryNetwork();
    const first = await network.attach(request('a'));
    const second = await network.attach(request('b'));
    assert.notEqual(first.addresses[0]?.address, second.addresses[0]?.address);
    assert.deepEqual((await network.attach(request('a'))).addresses, first.addresses);
  });

  it('refuses a port that another task has, until that task is gone', async () => {
    const network = new MemoryNetwork();
    await network.attach(request('a', 80));
    await assert.rejects(network.attach(request('b', 80)), /in use by task a/);
    await network.detach('a');
    await network.detach('a');
    assert.equal((await network.attach(request('b', 80))).ports[0]?.publishedPort, 80);
    assert.notEqual((await network.attach(request('c', 0))).ports[0]?.publishedPort, 0);
  });

  it('keeps known tasks on restore and forgets the others', async () => {
    const network = new MemoryNetwork();
    await network.attach(request('a'));
    await network.attach(request('b'));
    const report = await network.restore(['a', 'c']);
    assert.deepEqual([report.adopted.map((one) => one.taskId), report.absent, report.removed], [['a'], ['c'], ['b']]);
  });
});
