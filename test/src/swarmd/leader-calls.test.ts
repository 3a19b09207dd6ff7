/**
 * Goal: a call finds the leader, with its caller; what certainly had no effect is tried again, and nothing else; without
 * a leader it fails in time. Method: real servers with mutual TLS on loopback that a test scripts, and a leadership that
 * the test decides.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials } from '#certs/tls.ts';
import { type Clock, ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { LogsService, SubscribeLogsResponse } from '#gen/swarm/v1/logs.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Caller } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { LeaderCalls } from '#src/swarmd/leader-calls.ts';
import { LEADER_CALLS_DEFAULTS, type LeaderCallsConfig } from '#src/swarmd/leader-config.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { everyMethod } from '#test/proto/support/every-method.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { FakeLeadership } from './support/fake-leadership.ts';

const authority = testAuthority();
/** Shrunk, so that a test that waits for an end does not take long. */
const CONFIG = { ...LEADER_CALLS_DEFAULTS, leaderWaitMs: 400, answerGraceMs: 100 };

/** A manager elsewhere, which answers as the test says. */
class OtherManager {
  readonly node: TestNode = testNode(authority, 'manager');
  server: RpcServer | undefined;
  address = '';
  seen: CallContext[] = [];
  removeService: (context: CallContext) => Promise<string> = () => Promise.resolve('');
  logs: (context: CallContext) => AsyncGenerator<string> = async function* () {};

  get id(): string {
    return this.node.identity.nodeId;
  }

  async listen(address = '127.0.0.1:0'): Promise<void> {
    const server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
      },
      logger: silentLogger,
    });
    const notScripted = { code: 'unimplemented', reason: 'not-supported', message: 'not scripted' } as const;
    server.addService(ControlService, {
      ...everyMethod(ControlService, () => Promise.reject(new SwarmError(notScripted))),
      removeService: async (_request, context) => {
        this.seen.push(context);
        return { id: await this.removeService(context) };
      },
    });
    const { logs, seen } = { logs: (context: CallContext) => this.logs(context), seen: this.seen };
    server.addService(LogsService, {
      subscribeLogs: async function* (_request, context) {
        seen.push(context);
        for await (const warning of logs(context)) yield SubscribeLogsResponse.create({ warnings: [warning] });
      },
    });
    this.server = server;
    this.address = `127.0.0.1:${await server.listen(address, new NodeServerCredentials(this.node))}`;
  }

  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    await server?.close(0);
  }
}

function refusal(reason: SwarmError['reason']): SwarmError {
  return new SwarmError({ code: 'unavailable', reason, message: reason });
}

describe('calls to the leader', () => {
  let log: FakeLeadership;
  let calls: LeaderCalls;
  let others: OtherManager[];
  let ran: number;
  /** That were made: the certificate is asked for at each. */
  let connections: number;
  const self = testNode(authority, 'manager');

  const tls = (): TestNode => {
    connections++;
    return self;
  };

  beforeEach(() => {
    log = new FakeLeadership();
    others = [];
    ran = 0;
    connections = 0;
    calls = makeCalls(CONFIG);
  });

  function makeCalls(config: LeaderCallsConfig, clock: Clock = systemClock): LeaderCalls {
    return new LeaderCalls({
      log,
      identity: { clusterId: CLUSTER_ID, tls },
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config,
    });
  }

  afterEach(async () => {
    calls.close();
    assert.equal(log.listenerCount, 0);
    await Promise.all(others.map((other) => other.close()));
  });

  async function other(): Promise<OtherManager> {
    const manager = new OtherManager();
    await manager.listen();
    others.push(manager);
    log.peers = others.map(({ id, address }) => ({ nodeId: id, address }));
    return manager;
  }

  function context(change: Partial<CallContext> = {}): CallContext {
    return {
      caller: { kind: 'local' },
      forwardedBy: undefined,
      path: ControlService.removeService.path,
      peer: '',
      deadlineMs: undefined,
      signal: new AbortController().signal,
      ...change,
    };
  }

  /** A write, made wherever it belongs. */
  function write(from = context(), local: () => Promise<string> = async () => 'here'): Promise<string> {
    return calls.unary(from, {
      local: () => {
        ran++;
        return local();
      },
      remote: async (transport, options) =>
        (await createClient(ControlService, transport).removeService({ reference: 'x' }, options)).id,
    });
  }

  it('are run here when this manager leads', async () => {
    log.lead();
    assert.equal(await write(), 'here');
    assert.equal(ran, 1);
  });

  const callers: readonly (readonly [string, Caller])[] = [
    ['local', { kind: 'local' }],
    [
      'a node',
      {
        kind: 'node',
        nodeId: self.identity.nodeId,
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
      const leader = await other();
      leader.removeService = async () => 'there';
      log.follow(leader.id);
      const peer = who === 'local' ? '' : '192.0.2.1:4000';
      assert.equal(await write(context({ caller, peer })), 'there');
      const [seen] = leader.seen;
      assert.deepEqual([seen?.caller, seen?.peer, ran], [caller, peer, 0]);
      assert.equal(seen?.forwardedBy?.nodeId, self.identity.nodeId);
    });

  it('keep the deadline and the cancellation of their caller', async () => {
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
    assert.deepEqual([leader.seen.length, ran], [0, 2]);
  });

  it('that were passed on wait for a manager that is about to lead, and no longer', async () => {
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

  it('go to the next leader at once when the news of it came before the refusal', async () => {
    const [old, next] = [await other(), await other()];
    old.removeService = async () => {
      log.follow(next.id);
      throw refusal('not-leader'); // a way over the network behind the news
    };
    next.removeService = async () => 'next';
    log.follow(old.id);
    // No other news comes: who waited for it would find out at the time limit.
    const patient = { ...CONFIG, retry: { baseMs: 5000, maxMs: 5000, factor: 1, jitter: 0 } };
    calls.close();
    calls = makeCalls(patient);
    const startMs = performance.now();
    assert.equal(await write(context()), 'next');
    assert.ok(performance.now() - startMs < 3000);
  });

  it('find a connection to the next leader that stands already', async () => {
    const [old, next] = [await other(), await other()];
    const away = { nodeId: 'away', address: '127.0.0.1:1', reachable: false };
    calls.prepare([...[old, next].map(({ id, address }) => ({ nodeId: id, address, reachable: true })), away]);
    await eventually('two connections', () => connections >= 2);
    log.follow(old.id);
    await write(context());
    log.follow(next.id);
    await write(context());
    assert.deepEqual([old.seen.length, next.seen.length, connections], [1, 1, 2]);
    calls.prepare([{ nodeId: old.id, address: old.address, reachable: true }]);
    log.follow(next.id);
    await write(context());
    assert.equal(connections, 3, 'the one to a manager that is none any more was closed');
  });

  function peerOf({ node }: OtherManager): NonNullable<CallContext['forwardedBy']> {
    const { nodeId, clusterId } = node.identity;
    return { nodeId, role: 'manager', clusterId, serial: '', notBeforeMs: 0, notAfterMs: 0, issuerKeyId: '' };
  }

  for (const reason of ['not-leader', 'shutting-down'] as const)
    it(`are made again when the leader had nothing to do with them: ${reason}`, async () => {
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
    const leader = await other();
    leader.removeService = async () => {
      if (leader.seen.length < 4) throw refusal('not-leader');
      return 'there';
    };
    log.follow(leader.id);
    assert.equal(await write(), 'there');
  });

  it('that this manager lost together with its lead go to the next leader', async () => {
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
    const leader = await other();
    leader.removeService = () => Promise.reject(refusal('not-leader'));
    log.follow(leader.id);
    assert.equal((await failure(write())).reason, 'not-leader');
    assert.ok(leader.seen.length > 2);
  });

  for (const reason of ['leadership-lost', 'timeout', 'log-failed', 'disk-full', 'out-of-sequence'] as const)
    it(`are not made again when they may have had an effect: ${reason}`, async () => {
      const leader = await other();
      leader.removeService = () => Promise.reject(refusal(reason));
      log.follow(leader.id);
      assert.equal((await failure(write())).reason, reason);
      assert.equal(leader.seen.length, 1);
    });

  it('are not made again when the leader dies over them', async () => {
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

  it('find a leader that comes back at its address, and the next one when it does not', async () => {
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
    const leader = await other();
    log.follow(leader.id);
    await leader.close();
    const error = await failure(write());
    assert.match(error.message, /refused the connection/);
  });

  it('are made on a new connection when the certificate of the old one has run out', async () => {
    const leader = await other();
    leader.removeService = async () => {
      if (leader.seen.length > 1) return 'there';
      throw new SwarmError({ code: 'unauthenticated', reason: 'expired', message: 'the certificate has expired' });
    };
    log.follow(leader.id);
    assert.equal(await write(), 'there');
    assert.deepEqual([leader.seen.length, connections], [2, 2]);
  });

  it('are refused in order while this manager shuts down', async () => {
    const waiting = failure(write());
    await new Promise((resolve) => setImmediate(resolve));
    calls.close();
    assert.equal((await waiting).reason, 'shutting-down');
  });

  it('do not go to another node at the address of the leader', async () => {
    const leader = await other();
    log.peers = [{ nodeId: self.identity.nodeId, address: leader.address }];
    log.follow(self.identity.nodeId);
    assert.match((await failure(write())).message, /the peer is node/);
    assert.equal(leader.seen.length, 0);
  });

  describe('with a leader that has fallen silent', () => {
    let silent: Server;
    let address: string;
    before(async () => {
      silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    });
    after(() => silent.close());

    it('leave a connection that does not come about, and go to the next one', async () => {
      const next = await other();
      next.removeService = async () => 'next';
      log.peers = [...log.peers, { nodeId: self.identity.nodeId, address }];
      log.follow(self.identity.nodeId);
      const waiting = write();
      await new Promise((resolve) => setImmediate(resolve));
      log.follow(next.id);
      assert.equal(await waiting, 'next');
    });

    it('tell their caller soon after another leads that nobody knows what became of them', async () => {
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
      const leader = await other();
      const reached = Promise.withResolvers<undefined>();
      const answer = Promise.withResolvers<string>();
      const clock = new ManualClock();
      calls.close();
      calls = makeCalls(CONFIG, clock);
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

  describe('for streams', () => {
    async function collect(): Promise<string[]> {
      const all: string[] = [];
      const answers = calls.stream(context({ path: LogsService.subscribeLogs.path }), {
        local: async function* () {
          yield SubscribeLogsResponse.create({ warnings: ['here'] });
        },
        remote: (transport, options) => createClient(LogsService, transport).subscribeLogs({}, options),
      });
      for await (const { warnings } of answers) all.push(...warnings);
      return all;
    }

    it('bring the answers of the leader, wherever it is', async () => {
      const leader = await other();
      leader.logs = async function* () {
        yield* ['a', 'b'];
      };
      log.follow(leader.id);
      assert.deepEqual(await collect(), ['a', 'b']);
      assert.deepEqual(leader.seen[0]?.caller, { kind: 'local' });
      log.lead();
      assert.deepEqual(await collect(), ['here']);
    });

    it('begin anew at the next leader as long as nothing has come', async () => {
      const [old, next] = [await other(), await other()];
      old.logs = async function* () {
        log.follow(next.id);
        yield await Promise.reject<string>(refusal('not-leader'));
      };
      next.logs = async function* () {
        yield 'next';
      };
      log.follow(old.id);
      assert.deepEqual(await collect(), ['next']);
    });

    it('end with the error once something has come', async () => {
      const [old, next] = [await other(), await other()];
      old.logs = async function* () {
        yield 'first';
        log.follow(next.id);
        await Promise.reject(refusal('not-leader'));
      };
      log.follow(old.id);
      const reason = (await failure(collect())).reason;
      assert.ok(reason === 'not-leader' || reason === 'leadership-lost', reason);
      assert.equal(next.seen.length, 0);
    });

    it('leave a leader that is none any more', async () => {
      const [old, next] = [await other(), await other()];
      const reached = Promise.withResolvers<undefined>();
      old.logs = async function* (seen) {
        reached.resolve(undefined);
        await new Promise((resolve) => seen.signal.addEventListener('abort', resolve));
        yield 'to nobody';
      };
      next.logs = async function* () {
        yield 'next';
      };
      log.follow(old.id);
      const answers = collect();
      await reached.promise;
      log.follow(next.id);
      assert.deepEqual(await withDeadline(answers, 3_000, 'the next leader'), ['next']);
    });
  });
});
