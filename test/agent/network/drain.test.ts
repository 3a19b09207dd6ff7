/**
 * Goal: a task is waited for while it is at work for others, and counts as there once it listens. Method: real
 * connections from outside to a task's published ports; what the network makes of the sockets in its namespace.
 */
import assert from 'node:assert/strict';
import { DEFAULT_NETWORK_CONFIG } from '#agent/network/index.ts';
import { HOST_ADDRESS, type NamespaceProcess, namespaceOf, TwoHosts, taskRequest } from './fixture.ts';

const IDLE_AFTER_MS = 400;
/** Far more than anything takes that does not wait. */
const AT_ONCE_MS = 2000;
const PUBLISHED_MS = 1000;

describe('network: a task begins and ends', function () {
  this.timeout(60_000);
  let hosts: TwoHosts;
  let host: NamespaceProcess;
  let outside: NamespaceProcess;
  let task: NamespaceProcess;

  before(async () => {
    hosts = await TwoHosts.make();
    host = hosts.process(hosts.hostPath);
    outside = hosts.process(hosts.outsidePath);
    const listen = { ...DEFAULT_NETWORK_CONFIG.listen, publishedMs: PUBLISHED_MS, othersMs: 300, exposedMs: 300 };
    await host.call('open', {
      instance: 'drain',
      directory: hosts.runDirectory('drain'),
      config: { idleAfterMs: IDLE_AFTER_MS, listen },
    });
    await host.call('restore', []);
    const attached = await host.call('attach', taskRequest('web', '2222:2222', '2223:2223', '8080:80'));
    task = hosts.process(namespaceOf(attached));
    await task.call('serveEcho', '0.0.0.0', 2222);
    await task.call('serveLate', '::', 2223);
  });

  after(async () => {
    await host.call('destroy');
    await hosts.destroy();
  });

  /** Milliseconds since begin, once nobody has said anything for as long as makes a connection idle. */
  async function silence(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, IDLE_AFTER_MS + 100)); // what is tried: a connection left alone
  }

  it('without a connection there is nothing to wait for', async () => {
    assert.ok((await host.call('drain', 'web', 10_000)) < AT_ONCE_MS);
  });

  it('a connection that is used is waited for; one that is only kept is not', async () => {
    await outside.call('converse', 'kept', HOST_ADDRESS, 2222);
    assert.equal(await outside.call('say', 'kept', 'hello'), 'hello');
    assert.ok((await host.call('drain', 'web', IDLE_AFTER_MS / 2)) >= IDLE_AFTER_MS / 2 - 10, 'it was used just now');
    let isDrained = false;
    const draining = host.call('drain', 'web', 10_000).then(() => {
      isDrained = true;
    });
    for (let count = 0; count < 9; count++) {
      assert.equal(await outside.call('say', 'kept', `more ${count}`), `more ${count}`);
      assert.equal(isDrained, false);
      await new Promise((resolve) => setTimeout(resolve, IDLE_AFTER_MS / 4)); // the pace of its user
    }
    const lastUsedMs = performance.now();
    await draining;
    assert.ok(performance.now() - lastUsedMs < AT_ONCE_MS);
    await silence();
    assert.ok((await host.call('drain', 'web', 10_000)) < IDLE_AFTER_MS, 'kept for long: not a moment');
    await outside.call('hangUp', 'kept');
  });

  it('a request without an answer is waited for, however long that takes', async () => {
    await outside.call('converse', 'asking', HOST_ADDRESS, 2223);
    const answer = outside.call('say', 'asking', 'think about it', 10_000);
    await silence();
    assert.ok((await host.call('drain', 'web', 1500)) >= 1490, 'nothing moves, but an answer is owed');
    const draining = host.call('drain', 'web', 10_000);
    await task.call('answerLate');
    assert.equal(await answer, 'late');
    assert.ok((await draining) < AT_ONCE_MS);
    await outside.call('hangUp', 'asking');
  });

  it('connections that the task has opened itself are its own affair', async () => {
    await outside.call('serveLate', '0.0.0.0', 9999);
    await task.call('converse', 'own', '198.51.100.1', 9999);
    const unanswered = task.call('say', 'own', 'hello?', 500);
    assert.ok((await host.call('drain', 'web', 10_000)) < AT_ONCE_MS);
    assert.equal(await unanswered, 'timeout');
    await task.call('hangUp', 'own');
  });

  it('a task is there once it listens', async () => {
    assert.deepEqual((await host.call('listening', 'web', { published: [2222, 2223], exposed: [] })).absent, []);
    let isThere = false;
    const waiting = host.call('listening', 'web', { published: [80], exposed: [] }).then((found) => {
      isThere = true;
      return found;
    });
    await host.call('listening', 'web', { published: [2222], exposed: [] });
    assert.equal(isThere, false);
    await task.call('serve', 'web', '0.0.0.0', 80);
    assert.deepEqual((await waiting).absent, []);
  });

  it('is waited for no longer than that is worth', async () => {
    const none = await host.call('listening', 'web', { published: [81], exposed: [] });
    assert.deepEqual(none.absent, [81]);
    assert.ok(none.ms >= PUBLISHED_MS - 10, `${none.ms} ms`);
    const some = await host.call('listening', 'web', { published: [2222, 81], exposed: [] });
    assert.deepEqual(some.absent, [81]);
    assert.ok(some.ms < PUBLISHED_MS, `${some.ms} ms`);
    const image = await host.call('listening', 'web', { published: [], exposed: [81, 82] });
    assert.deepEqual(image.absent, []);
    assert.ok(image.ms >= 290 && image.ms < PUBLISHED_MS, `${image.ms} ms`);
    const other = await host.call('listening', 'web', { published: [], exposed: [81, 2222] });
    assert.ok(other.ms < 290, `${other.ms} ms`);
  });

  it('listening on loopback is not being there', async () => {
    await task.call('serve', 'inner', '127.0.0.1', 90);
    assert.deepEqual((await host.call('listening', 'web', { published: [90], exposed: [] })).absent, [90]);
  });
});
