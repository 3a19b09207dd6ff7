/**
 * Goal: streams come back by themselves, and the log is told the difference between a connection that broke and a process
 * that is gone. Method: processes that end and come back, a proxy that cuts, freezes and slows.
 */
import assert from 'node:assert/strict';
import { testStreams } from './streams.ts';

describe('streams between managers that break', () => {
  const { manager, pair, throughProxy, arrives } = testStreams();

  it('are opened again after the other process was gone, which is told once', async () => {
    const [one, two] = await pair();
    await two.stop();
    await one.happenings.until('the loss', () => one.timesTold('gone 2') === 1);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    assert.equal(one.transport.peer(2)?.connected, false);
    assert.match(one.transport.peer(2)?.error?.message ?? '', /refused the connection/);
    const before = one.backoffs;
    await one.happenings.until('more attempts', () => one.backoffs > before + 2);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    await two.restart();
    two.knows(one);
    await arrives(one, two);
    await arrives(two, one);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    assert.equal(one.transport.peer(2)?.error, undefined);
    await two.stop();
    await one.happenings.until('the second loss', () => one.timesTold('gone 2') === 2);
  });

  it('tell nobody gone who never was there', async () => {
    const [one, two] = await Promise.all([manager(1), manager(2)]);
    await two.stop();
    one.knows(two);
    await one.happenings.until('some attempts', () => one.backoffs > 2);
    assert.deepEqual(one.told, []);
    await two.restart();
    await arrives(one, two);
  });

  it('tell nobody gone whose connection breaks while its process lives', async () => {
    const [one, two, proxy] = await throughProxy();
    proxy.cut();
    await one.happenings.until('the loss', () => one.timesTold('unreachable 2') === 1);
    await arrives(one, two);
    assert.deepEqual(one.told, ['unreachable 2']);
  });

  it('are cut and opened again when the other end falls silent', async () => {
    const [one, two, proxy] = await throughProxy({ pongTimeoutMs: 200, welcomeTimeoutMs: 200 });
    proxy.freeze();
    await one.happenings.until('the loss', () => one.timesTold('unreachable 2') === 1);
    assert.equal(one.transport.peer(2)?.connected, false);
    assert.match(one.transport.peer(2)?.error?.message ?? '', /does not answer/);
    proxy.thaw();
    await arrives(one, two);
    assert.deepEqual(one.told, ['unreachable 2']);
  });

  it('are not cut while a slow link carries large entries', async () => {
    const [one, two, proxy] = await throughProxy({ pongTimeoutMs: 100, slowLinkBytesPerSecond: 1_000_000 });
    proxy.bytesPerSecond = 3_000_000;
    one.transport.send(one.appendTo(2, 0, 1, 3_000_000));
    await two.happenings.until('the entries', () => two.received.length === 1);
    assert.deepEqual(one.told, []);
  });

  it('drop what is said while there is no stream', async () => {
    const [one, two] = await pair();
    await two.stop();
    await one.happenings.until('the loss', () => one.timesTold('gone 2') === 1);
    for (let index = 0; index < 10_000; index++) one.transport.send(one.appendTo(2, index, 1, 10));
    assert.equal(one.timesTold('unreachable 2'), 1);
    await two.restart();
    await arrives(one, two);
    assert.ok(two.received.length < 10_000);
  });

  it('follow a peer to its new address, and let go of one that is none any more', async () => {
    const [one, two] = await pair();
    await two.stop();
    two.member = { ...two.member, address: '' };
    await two.restart();
    one.knows(two);
    await arrives(one, two);
    one.knows();
    assert.equal(one.transport.peer(2), undefined);
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
  });

  it('are all ended by close, in silence', async () => {
    const [one, two] = await pair();
    await one.transport.close();
    await one.transport.close();
    assert.deepEqual(one.told, []);
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    one.knows(two);
    assert.equal(one.transport.peer(2), undefined);
    await two.happenings.until('the end', () => two.transport.peer(1)?.connected === false);
    assert.equal(two.timesTold('gone 1'), 0);
  });
});
