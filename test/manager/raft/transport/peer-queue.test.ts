/** Goal: the bounds hold, urgent messages come first, and nothing is lost or doubled on the way through. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Message, message } from 'raft-ts';
import { PeerQueue } from '#manager/raft/transport/peer-queue.ts';

const append = (index: number, bytes = 0): Message =>
  message({ type: 'MsgApp', index, entries: [{ type: 'EntryNormal', term: 1, index, data: new Uint8Array(bytes) }] });
const heartbeat = (index: number): Message => message({ type: 'MsgHeartbeat', index });
const indexes = (messages: readonly Message[]): number[] => messages.map(({ index }) => index);

describe('the queue of a peer', () => {
  it('gives urgent messages first, each kind in its order', () => {
    const queue = new PeerQueue({ queueMessages: 10, queueBytes: 10_000 });
    for (const one of [append(1), heartbeat(2), append(3), heartbeat(4)]) assert.ok(queue.offer(one));
    assert.deepEqual(indexes(queue.take(10_000)), [2, 4, 1, 3]);
    assert.ok(queue.isEmpty);
  });

  it('is bounded in messages and bytes, for urgent messages apart', () => {
    const queue = new PeerQueue({ queueMessages: 3, queueBytes: 10_000 });
    assert.deepEqual(
      [1, 2, 3, 4].map((index) => queue.offer(append(index))),
      [true, true, true, false],
    );
    assert.ok(queue.offer(heartbeat(5)));
    queue.clear();
    assert.ok(queue.offer(append(1, 50_000)), 'one message has room, however large');
    assert.ok(!queue.offer(append(2, 1)));
    queue.take(1);
    assert.deepEqual(
      [3, 4].map((index) => queue.offer(append(index, 6_000))),
      [true, false],
    );
  });

  it('gives batches of the size that is asked for, and one message of any size', () => {
    const queue = new PeerQueue({ queueMessages: 100, queueBytes: 1_000_000 });
    for (let index = 0; index < 5; index++) queue.offer(append(index, 1_000));
    queue.offer(append(5, 100_000));
    assert.deepEqual(indexes(queue.take(2_500)), [0, 1]);
    assert.deepEqual(indexes(queue.take(1)), [2]);
    assert.deepEqual(indexes(queue.take(50_000)), [3, 4]);
    assert.deepEqual(indexes(queue.take(50_000)), [5]);
    assert.deepEqual(queue.take(50_000), []);
  });

  it('gives back all that it took, once, in order', () => {
    const step = fc.oneof(fc.record({ offer: fc.nat(300) }), fc.record({ take: fc.nat(2_000) }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new PeerQueue({ queueMessages: 20, queueBytes: 3_000 });
        const offered: number[] = [];
        const taken: number[] = [];
        let next = 0;
        for (const one of steps) {
          if ('take' in one) taken.push(...indexes(queue.take(one.take)));
          else if (queue.offer(append(next, one.offer))) offered.push(next);
          next++;
        }
        while (!queue.isEmpty) taken.push(...indexes(queue.take(100)));
        assert.deepEqual(taken, offered);
      }),
    );
  });
});
