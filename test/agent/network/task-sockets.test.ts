/** Goal: a task that is to stop is waited for while it has work left, and no longer. Method: sockets as the kernel lists them. */
import assert from 'node:assert/strict';
import type { TcpSocket } from '#agent/kernel/netlink-socket-diag.ts';
import { connectionsAtWork, listenedPorts } from '#agent/network/task-sockets.ts';

const IDLE_AFTER_MS = 1000;

function socket(change: Partial<TcpSocket>): TcpSocket {
  return {
    state: 'ESTABLISHED',
    localAddress: '10.0.1.5',
    localPort: 80,
    remoteAddress: '192.0.2.7',
    unread: 0,
    unsent: 0,
    lastSentMs: 60_000,
    lastReceivedMs: 60_000,
    dataOut: 1,
    dataIn: 1,
    ...change,
  };
}

const LISTENER = socket({
  state: 'LISTEN',
  localAddress: '0.0.0.0',
  remoteAddress: '0.0.0.0',
  lastSentMs: undefined,
  lastReceivedMs: undefined,
});

const atWork = (change: Partial<TcpSocket>): boolean =>
  connectionsAtWork([LISTENER, socket(change)], IDLE_AFTER_MS) === 1;

describe('network: sockets of a task', () => {
  it('a connection that is kept for a next request is not at work', () => {
    assert.equal(atWork({}), false);
    assert.equal(atWork({ lastSentMs: 5000, lastReceivedMs: 5004 }), false, 'answered long ago');
  });

  it('one that was used a moment ago is', () => {
    assert.equal(atWork({ lastSentMs: 999, lastReceivedMs: 1003 }), true);
    assert.equal(atWork({ lastSentMs: 5000, lastReceivedMs: 5000 }), false);
  });

  it('one that is owed an answer is, however long it takes', () => {
    assert.equal(atWork({ lastSentMs: 9000, lastReceivedMs: 8000 }), true);
    assert.equal(atWork({ dataOut: 0 }), true, 'its first, in the same millisecond as the connection');
    assert.equal(atWork({ dataIn: 0, dataOut: 0 }), false, 'nobody has said anything');
  });

  it('one with bytes that are on their way is', () => {
    assert.equal(atWork({ unread: 1 }), true);
    assert.equal(atWork({ unsent: 1 }), true);
  });

  it('one that has just come, or is being closed, is; one that the task has ended is not', () => {
    assert.equal(atWork({ state: 'SYN_RECV', lastSentMs: undefined, lastReceivedMs: undefined }), true);
    for (const state of ['CLOSE_WAIT', 'FIN_WAIT1', 'CLOSING', 'LAST_ACK'] as const)
      assert.equal(atWork({ state }), true, state);
    for (const state of ['FIN_WAIT2', 'CLOSE', 'SYN_SENT'] as const) assert.equal(atWork({ state }), false, state);
  });

  it('connections that the task opened itself do not count, nor those within it', () => {
    assert.equal(atWork({ localPort: 40_000, lastSentMs: 0 }), false);
    assert.equal(atWork({ remoteAddress: '127.0.0.1', lastSentMs: 0 }), false);
    assert.equal(atWork({ remoteAddress: '::1', lastSentMs: 0 }), false);
  });

  it('others reach what does not listen on loopback alone', () => {
    const sockets = [
      LISTENER,
      { ...LISTENER, localPort: 9000, localAddress: '127.0.0.1' },
      { ...LISTENER, localPort: 9001, localAddress: '::1' },
      { ...LISTENER, localPort: 6379, localAddress: '::' },
      { ...LISTENER, localPort: 5432, localAddress: '10.0.1.5' },
    ];
    assert.deepEqual([...listenedPorts(sockets)], [80, 6379, 5432]);
  });
});
