/**
 * Goal: what certainly had no effect is tried again, and nothing else. Method: real servers with mutual TLS on loopback
 * that a test scripts, and a leadership that the test decides.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { ManualClock } from '#common/clock.ts';
import { failure } from '#test/support/failure.ts';
import { CallsToLeader, CONFIG, context, IMPATIENT, refusal, SELF } from './support/calls-to-leader.ts';

describe('calls to the leader that fail', () => {
  let setup: CallsToLeader;

  beforeEach(() => {
    setup = new CallsToLeader();
  });
  afterEach(() => setup.close());

  it('go to the next leader at once when the news of it came before the refusal', async () => {
    const { log, other, write } = setup;
    const [old, next] = [await other(), await other()];
    old.removeService = async () => {
      log.follow(next.id);
      throw refusal('not-leader'); // a way over the network behind the news
    };
    next.removeService = async () => 'next';
    log.follow(old.id);
    // No other news comes: who waited for it would find out at the time limit.
    const patient = { ...CONFIG, retry: { baseMs: 5000, maxMs: 5000, factor: 1, jitter: 0 } };
    setup.configure(patient);
    const startMs = performance.now();
    assert.equal(await write(context()), 'next');
    assert.ok(performance.now() - startMs < 3000);
  });

  for (const reason of ['not-leader', 'shutting-down'] as const)
    it(`are made again when the leader had nothing to do with them: ${reason}`, async () => {
      const { log, other, write } = setup;
      const [old, next] = [await other(), await other()];
      old.removeService = async () => {
        log.follow(next.id);
        throw refusal(reason);
      };
      next.removeService = async () => 'there';
      log.follow(old.id);
      assert.equal(await write(), 'there');
      assert.deepEqual([old.seen.length, next.seen.length], [1, 1]);
    });

  it('are made again while the new leader does not know of its lead yet', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    leader.removeService = async () => {
      if (leader.seen.length < 4) throw refusal('not-leader');
      return 'there';
    };
    log.follow(leader.id);
    assert.equal(await write(), 'there');
  });

  it('that this manager lost together with its lead go to the next leader', async () => {
    const { log, other, write } = setup;
    const next = await other();
    next.removeService = async () => 'there';
    log.lead();
    const local = async (): Promise<string> => {
      log.follow(next.id);
      throw refusal('not-leader');
    };
    assert.equal(await write(context(), local), 'there');
  });

  it('are given up when the refusals do not end', async () => {
    const { log, other, write } = setup;
    setup.configure(IMPATIENT);
    const leader = await other();
    leader.removeService = () => Promise.reject(refusal('not-leader'));
    log.follow(leader.id);
    assert.equal((await failure(write())).reason, 'not-leader');
    assert.ok(leader.seen.length > 2);
  });

  for (const reason of ['leadership-lost', 'timeout', 'log-failed', 'disk-full', 'out-of-sequence'] as const)
    it(`are not made again when they may have had an effect: ${reason}`, async () => {
      const { log, other, write } = setup;
      const leader = await other();
      leader.removeService = () => Promise.reject(refusal(reason));
      log.follow(leader.id);
      assert.equal((await failure(write())).reason, reason);
      assert.equal(leader.seen.length, 1);
    });

  it('are not made again when the leader dies over them', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    const reached = Promise.withResolvers<undefined>();
    leader.removeService = async (seen) => {
      reached.resolve(undefined);
      await new Promise((resolve) => seen.signal.addEventListener('abort', resolve));
      return '';
    };
    log.follow(leader.id);
    const error = failure(write());
    await reached.promise;
    await leader.close();
    assert.equal((await error).reason, 'leadership-lost');
    assert.match((await error).message, /went away before it answered; the change may or may not/);
    assert.equal(leader.seen.length, 1);
  });
});

describe('calls to a leader that has fallen silent', () => {
  let setup: CallsToLeader;

  beforeEach(() => {
    setup = new CallsToLeader();
  });
  afterEach(() => setup.close());
  let silent: Server;
  let address: string;
  before(async () => {
    silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  });
  after(() => silent.close());

  it('leave a connection that does not come about, and go to the next one', async () => {
    const { log, other, write } = setup;
    const next = await other();
    next.removeService = async () => 'next';
    log.peers = [...log.peers, { nodeId: SELF.identity.nodeId, address }];
    log.follow(SELF.identity.nodeId);
    const waiting = write();
    await new Promise((resolve) => setImmediate(resolve));
    log.follow(next.id);
    assert.equal(await waiting, 'next');
  });

  it('tell their caller soon after another leads that nobody knows what became of them', async () => {
    const { log, other, write } = setup;
    const [old, next] = [await other(), await other()];
    const reached = Promise.withResolvers<undefined>();
    old.removeService = () => {
      reached.resolve(undefined);
      return new Promise(() => {});
    };
    log.follow(old.id);
    const waiting = failure(write());
    await reached.promise;
    log.follow(undefined);
    log.follow(next.id);
    const error = await waiting;
    assert.deepEqual([error.code, error.reason], ['unavailable', 'leadership-lost']);
    assert.equal(next.seen.length, 0);
  });

  it('but a leader that was out of sight for a moment answers yet', async () => {
    const { log, other, write } = setup;
    const leader = await other();
    const reached = Promise.withResolvers<undefined>();
    const answer = Promise.withResolvers<string>();
    const clock = new ManualClock();
    setup.configure(CONFIG, clock);
    leader.removeService = () => {
      reached.resolve(undefined);
      return answer.promise;
    };
    log.follow(leader.id);
    const waiting = write();
    await reached.promise;
    log.follow(undefined);
    log.follow(leader.id);
    clock.advance(CONFIG.answerGraceMs * 2);
    answer.resolve('late');
    assert.equal(await waiting, 'late');
  });
});
