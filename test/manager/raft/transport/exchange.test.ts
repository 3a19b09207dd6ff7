/**
 * Goal: messages reach the other manager whole and in order, the urgent ones first, and the log is told of what is lost.
 * Method: real servers, real certificates, and a proxy between them that misbehaves.
 */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { testStreams } from './streams.ts';

describe('streams between managers', () => {
  const { pair, throughProxy } = testStreams();

  it('carry every field of every type of message, both ways', async () => {
    const [one, two] = await pair();
    const fields = {
      term: 2 ** 40,
      logTerm: 7,
      index: 2 ** 45,
      commit: 9,
      reject: true,
      rejectHint: 11,
      context: new Uint8Array([1, 2, 3]),
    };
    const types = [
      'MsgAppResp',
      'MsgVote',
      'MsgVoteResp',
      'MsgPreVote',
      'MsgPreVoteResp',
      'MsgHeartbeat',
      'MsgHeartbeatResp',
      'MsgProp',
      'MsgTransferLeader',
      'MsgTimeoutNow',
      'MsgReadIndex',
      'MsgReadIndexResp',
    ] as const;
    const entry = { type: 'EntryConfChangeV2', term: 3, index: 6, data: new Uint8Array([9]) } as const;
    const append = two.messageTo(1, { type: 'MsgApp', index: 5, entries: [entry] });
    const sent = [...types.map((type) => two.messageTo(1, { ...fields, type })), append];
    for (const message of sent) two.transport.send(message);
    one.transport.send(one.appendTo(2, 0, 3, 100));
    await one.happenings.until('all messages', () => one.received.length === sent.length);
    await two.happenings.until('the entries', () => two.received.length === 1);
    const byType = (list: readonly { readonly type: string }[]) => list.toSorted((a, b) => (a.type < b.type ? -1 : 1));
    assert.deepEqual(byType(one.received), byType(sent));
    assert.deepEqual(two.received, [one.appendTo(2, 0, 3, 100)]);
    assert.deepEqual(one.hellos, [{ raftId: 2, to: 1, nodeId: two.member.nodeId }]);
  });

  it('keep the order, and send what one turn says at once', async () => {
    const [one, two] = await pair();
    const count = 5_000;
    for (let sent = 0; sent < count; ) {
      for (let turn = 0; turn < 100; turn++) one.transport.send(one.appendTo(2, sent++, 1, 50));
      await two.happenings.until('the turn', () => two.received.length === sent);
    }
    assert.deepEqual(
      two.received.map((message) => message.index),
      Array.from({ length: count }, (_, index) => index),
    );
    assert.deepEqual(new Set(two.batches), new Set([100]));
  });

  it('let a heartbeat overtake the entries that wait', async () => {
    const [one, two, proxy] = await throughProxy();
    proxy.bytesPerSecond = 10_000_000;
    for (let index = 0; index < 64; index++) one.transport.send(one.appendTo(2, index, 1, 64 * 1024));
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    // The queue holds 4 MiB by now, of which only the first request is on its way.
    await two.happenings.until('the heartbeat', () => two.received.some(({ type }) => type === 'MsgHeartbeat'));
    assert.ok(two.received.length <= 8, `${two.received.length} messages came first`);
    await two.happenings.until('the entries', () => two.received.length === 65);
  });

  it('keep what only tells the commit index for the entries that tell it too', async () => {
    const [one, two] = await pair({ commitNoticeDelayMs: 50 });
    const notice = one.messageTo(2, { type: 'MsgApp', index: 4, logTerm: 1, commit: 4 });
    one.transport.send({ ...notice, commit: 3 });
    one.transport.send(notice);
    one.transport.send({ ...one.appendTo(2, 4, 1, 10), commit: 4 });
    await two.happenings.until('the entries', () => two.received.length === 1);
    one.transport.send({ ...notice, commit: 5 });
    one.transport.send({ ...notice, commit: 6 });
    // Without entries it goes out by itself, the newest alone.
    await two.happenings.until('the notice', () => two.received.length === 2);
    assert.deepEqual(
      two.received.map(({ commit, entries }) => [commit, entries.length]),
      [
        [4, 1],
        [6, 0],
      ],
    );
  });

  it('measure the round trip', async () => {
    const [one] = await pair();
    const state = () => one.transport.peer(2);
    await eventually('an answer', () => state()?.roundTripMs !== undefined);
    assert.ok((state()?.roundTripMs ?? 0) > 0);
    assert.ok((state()?.lastHeardMs ?? 0) > performance.now() - 5_000);
    assert.equal(one.transport.peer(3), undefined);
  });

  it('drop what a peer does not take, and tell so once', async () => {
    const [one, two, proxy] = await throughProxy({ queueMessages: 100 });
    proxy.freeze();
    // The first is on its way, and fills the window; the others wait.
    one.transport.send(one.appendTo(2, 0, 1, 1_000_000));
    await new Promise(setImmediate);
    for (let index = 1; index <= 150; index++) one.transport.send(one.appendTo(2, index, 1, 10));
    // These have room of their own.
    for (let count = 0; count < 50; count++) one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    assert.deepEqual(one.told, [], 'not from within send');
    await one.happenings.until('the overflow', () => one.told.length > 0);
    assert.deepEqual(one.told, ['unreachable 2']);
    assert.equal(one.warned.filter(({ message }) => /dropped/.test(message)).length, 1);
    assert.equal(two.received.length, 0);
  });
});
