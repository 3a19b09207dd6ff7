/**
 * Goal: a call finds the leader, with its caller; without a leader it fails in time. Method: real servers with mutual TLS
 * on loopback that a test scripts, and a leadership that the test decides.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { Caller } from '#proto/grpc/caller.ts';
import { CLUSTER_ID } from '#test/certs/fixtures.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { CallsToLeader, context, IMPATIENT, peerOf, refusal, SELF } from './support/calls-to-leader.ts';

describe('calls to the leader', () => {
  let setup: CallsToLeader;

  beforeEach(() => {
    setup = new CallsToLeader();
  });
  afterEach(() => setup.close());

  it('are run here when this manager leads', async () => {
    const { log, write } = setup;
    log.lead();
    assert.equal(await write(), 'here');
    assert.equal(setup.ran, 1);
  });

  const callers: readonly (readonly [string, Caller])[] = [
    ['local', { kind: 'local' }],
    [
      'a node',
      {
        kind: 'node',
        nodeId: SELF.identity.nodeId,
        role: 'manager',
        clusterId: CLUSTER_ID,
        serial: '01',
        notBeforeMs: 1,
        notAfterMs: 2,
        issuerKeyId: 'aa',
      },
    ],
  ];
  for (const [who, caller] of callers)
    it(`go to the leader with their caller and address: ${who}`, async () => {
      const { log, other, write } = setup;
      const leader = await other();
      leader.removeService = async () => 'there';
      log.follow(leader.id);
      const peer = who === 'local' ? '' : '192.0.2.1:4000';
      assert.equal(await write(context({ caller, peer })), 'there');
      const [seen] = leader.seen;
      assert.deepEqual([seen?.caller, seen?.peer, setup.ran], [caller, peer, 0]);
      assert.equal(seen?.forwardedBy?.nodeId, SELF.identity.nodeId);
    });

  it('keep the deadline and the cancellation of their caller', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    const ended = Promise.withResolvers<undefined>();
    leader.removeService = (seen) =>
      new Promise((_resolve, reject) => {
        seen.signal.addEventListener('abort', () => {
          ended.resolve(undefined);
          reject(SwarmError.from(seen.signal.reason));
        });
      });
    log.follow(leader.id);
    const deadlineMs = Date.now() + 300;
    const late = await failure(write(context({ deadlineMs })));
    assert.equal(late.reason, 'timeout');
    assert.ok(Math.abs((leader.seen[0]?.deadlineMs ?? 0) - deadlineMs) < 200);
    const controller = new AbortController();
    const cancelled = failure(write(context({ signal: controller.signal })));
    controller.abort(new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'changed my mind' }));
    assert.equal((await cancelled).message, 'changed my mind');
    await withDeadline(ended.promise, 2_000, 'the leader to hear of it');
  });

  it('wait for a leader, wherever it comes up', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    leader.removeService = async () => 'there';
    const waiting = write();
    log.follow(undefined);
    log.follow(leader.id);
    assert.equal(await waiting, 'there');
    log.become({ state: 'none' });
    const again = write();
    log.lead();
    assert.equal(await again, 'here');
  });

  it('fail with what the log says when nobody leads in time, and at once when that has lasted', async () => {
    const { log, write } = setup;
    setup.configure(IMPATIENT);
    log.problem = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: '2 of 3 managers are missing' });
    const begin = systemClock.monotonic();
    assert.equal((await failure(write())).message, '2 of 3 managers are missing');
    const waitedMs = systemClock.monotonic() - begin;
    assert.ok(waitedMs > 200 && waitedMs < 2_000, String(waitedMs));
    const then = systemClock.monotonic();
    assert.equal((await failure(write())).reason, 'no-quorum');
    assert.ok(systemClock.monotonic() - then < 100);
  });

  it('that were passed on are not passed on again', async () => {
    const { log, other, write } = setup;
    setup.configure(IMPATIENT);
    const leader = await other();
    const forwardedBy = peerOf(leader);
    assert.equal((await failure(write(context({ forwardedBy })))).reason, 'not-leader');
    log.follow(leader.id);
    const error = await failure(write(context({ forwardedBy })));
    assert.equal(error.reason, 'not-leader');
    assert.ok(error.message.includes(leader.address), error.message);
    log.lead();
    assert.equal(await write(context({ forwardedBy })), 'here');
    const lost = await failure(write(context({ forwardedBy }), () => Promise.reject(refusal('not-leader'))));
    assert.equal(lost.reason, 'not-leader');
    assert.deepEqual([leader.seen.length, setup.ran], [0, 2]);
  });

  it('that were passed on wait for a manager that is about to lead, and no longer', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    const forwardedBy = peerOf(leader);
    const served = write(context({ forwardedBy }));
    log.lead();
    assert.equal(await served, 'here');
    log.become({ state: 'none' });
    const refused = failure(write(context({ forwardedBy })));
    log.follow(leader.id);
    assert.ok((await refused).message.includes(leader.address));
  });

  it('find a connection to the next leader that stands already', async () => {
    const { log, other, write } = setup;
    const [old, next] = [await other(), await other()];
    const away = { nodeId: 'away', address: '127.0.0.1:1', reachable: false };
    setup.calls.prepare([...[old, next].map(({ id, address }) => ({ nodeId: id, address, reachable: true })), away]);
    await eventually('two connections', () => setup.connections >= 2);
    log.follow(old.id);
    await write(context());
    log.follow(next.id);
    await write(context());
    assert.deepEqual([old.seen.length, next.seen.length, setup.connections], [1, 1, 2]);
    setup.calls.prepare([{ nodeId: old.id, address: old.address, reachable: true }]);
    log.follow(next.id);
    await write(context());
    assert.equal(setup.connections, 3, 'the one to a manager that is none any more was closed');
  });

  it('find a leader that comes back at its address, and the next one when it does not', async () => {
    const { log, other, write } = setup;
    const [old, next] = [await other(), await other()];
    old.removeService = async () => 'back';
    next.removeService = async () => 'next';
    log.follow(old.id);
    assert.equal(await write(), 'back');
    const { address } = old;
    await old.close();
    const waiting = write();
    await old.listen(address);
    assert.equal(await waiting, 'back');
    await old.close();
    const moved = write();
    log.follow(next.id);
    assert.equal(await moved, 'next');
  });

  it('say so when the leader cannot be reached', async () => {
    const { log, other, write } = setup;
    setup.configure(IMPATIENT);
    const leader = await other();
    log.follow(leader.id);
    await leader.close();
    const error = await failure(write());
    assert.match(error.message, /refused the connection/);
  });

  it('are made on a new connection when the certificate of the old one has run out', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    leader.removeService = async () => {
      if (leader.seen.length > 1) return 'there';
      throw new SwarmError({ code: 'unauthenticated', reason: 'expired', message: 'the certificate has expired' });
    };
    log.follow(leader.id);
    assert.equal(await write(), 'there');
    assert.deepEqual([leader.seen.length, setup.connections], [2, 2]);
  });

  it('are refused in order while this manager shuts down', async () => {
    const { write } = setup;
    const waiting = failure(write());
    await new Promise((resolve) => setImmediate(resolve));
    setup.calls.close();
    assert.equal((await waiting).reason, 'shutting-down');
  });

  it('do not go to another node at the address of the leader', async () => {
    const { log, other, write } = setup;
    setup.configure(IMPATIENT);
    const leader = await other();
    log.peers = [{ nodeId: SELF.identity.nodeId, address: leader.address }];
    log.follow(SELF.identity.nodeId);
    assert.match((await failure(write())).message, /the peer is node/);
    assert.equal(leader.seen.length, 0);
  });
});
