/**
 * Goal: every method is open to those whom the table names, and to nobody else; bad callers and bad bytes get a clear
 * error and do no harm. Method: a real server with mutual TLS, callers with certificates of every kind, and a raw
 * client that sends what ours would not.
 */
import assert from 'node:assert/strict';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { services } from '#gen/services.ts';
import { ControlService, GetNodeRequest, GetNodeResponse } from '#gen/swarm/v1/control.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { AUTHORIZATION } from '#proto/authorization.ts';
import { callerClass } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { callError } from '#proto/grpc/errors.ts';
import { receivedError } from '#proto/grpc/grpc-transport.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { must } from '#test/certs/rejects.ts';
import { everyMethod } from '#test/proto/support/every-method.ts';
import { failure } from '#test/support/failure.ts';
import { TlsServer, untilAborted } from './tls-server.ts';

const authority = testAuthority();
const manager = testNode(authority, 'manager');
const worker = testNode(authority, 'worker');
const stranger = testNode(testAuthority(), 'manager');
const otherCluster = testNode(authority, 'manager', { clusterId: '0'.repeat(25) });

describe('authorization', () => {
  const server = new TlsServer(manager);

  before(() => server.listen());
  after(() => server.close());
  beforeEach(() => server.reset());

  /** From here on calls stay open; `reached` is told of each. Returns how to end those that are. */
  function keepOpen(reached: () => void): () => void {
    const over = Promise.withResolvers<never>();
    over.promise.catch(() => {});
    server.answer = (context) => {
      reached();
      return Promise.race([untilAborted(context), over.promise]);
    };
    return () => over.reject(new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'over' }));
  }

  it('has a row for every method of the contract and no other', () => {
    const paths = Object.values(services).flatMap((service) => Object.values(service).map((method) => method.path));
    assert.deepEqual(new Set<string>(Object.keys(AUTHORIZATION)), new Set<string>(paths));
    for (const [path, row] of Object.entries(AUTHORIZATION)) assert.ok(row.length > 0, path);
  });

  it('lets callers without a certificate do nothing but join', () => {
    const openToAll = Object.entries(AUTHORIZATION).filter(([, row]) => row.includes('anonymous'));
    assert.deepEqual(
      openToAll.map(([path]) => path.split('/')[1]),
      openToAll.map(() => 'swarm.v1.CertificateAuthorityService'),
    );
  });

  it('lets workers change nothing that is declared', () => {
    for (const [path, row] of Object.entries(AUTHORIZATION))
      if (/Control|Watch|LogsService|Node|Image/.test(path.split('/')[1] ?? ''))
        assert.ok(!row.includes('worker'), path);
  });

  it('lets workers run containers, and read their output on the node itself only', () => {
    for (const [path, row] of Object.entries(AUTHORIZATION)) {
      if (!path.includes('.ContainerService/')) continue;
      assert.equal(row.includes('worker'), !path.endsWith('/FollowContainer'), path);
      assert.ok(row.includes('local') && !row.includes('anonymous'), path);
    }
  });

  for (const [who, node] of [
    ['manager', manager],
    ['worker', worker],
    ['anonymous', undefined],
  ] as const)
    it(`holds for every method: ${who}`, async () => {
      const transport = server.connect(node);
      for (const service of Object.values(services))
        for (const method of Object.values(service)) {
          const before = server.handled.length;
          const call = transport.open(method.path, { timeoutMs: 5_000 });
          call.write(new Uint8Array()).catch(() => {});
          call.end();
          const error = await failure(call.messages.next());
          const row = AUTHORIZATION[method.path as keyof typeof AUTHORIZATION];
          assert.equal(server.handled.length - before, row.includes(who) ? 1 : 0, method.path);
          if (row.includes(who)) {
            assert.equal(error.message, 'reached the handler', method.path);
            assert.equal(callerClass(must(server.handled.at(-1)).caller), who);
          } else {
            assert.equal(error.code, who === 'anonymous' ? 'unauthenticated' : 'denied', method.path);
            assert.equal(error.reason, who === 'anonymous' ? 'no-certificate' : 'wrong-role');
            assert.ok(error.message.includes(method.path.split('/')[2] ?? ''), error.message);
            assert.ok((error.hint ?? '').length > 0);
          }
        }
    });

  it('tells the handler who calls', async () => {
    await failure(createClient(HealthService, server.connect(worker)).check({}));
    const caller = server.handled[0]?.caller;
    assert.ok(caller?.kind === 'node');
    assert.deepEqual([caller.nodeId, caller.role, caller.clusterId], [worker.identity.nodeId, 'worker', CLUSTER_ID]);
    assert.match(caller.serial, /^[0-9a-f]+$/i);
  });

  it('says to a worker what is wrong and what to do', async () => {
    const error = await failure(createClient(ControlService, server.connect(worker)).getNode({ reference: 'self' }));
    assert.equal(
      error.message,
      `GetNode is not for worker ${worker.identity.nodeId}, only for the local socket of the machine and managers`,
    );
    assert.equal(error.hint, 'run the command on a manager');
  });

  it('refuses a node of another cluster, though the same root has signed it', async () => {
    const error = await failure(createClient(HealthService, server.connect(otherCluster)).check({}));
    assert.deepEqual([error.code, error.reason], ['unauthenticated', 'wrong-cluster']);
    assert.equal(server.handled.length, 0);
  });

  it('takes a certificate of another root for none', async () => {
    const error = await failure(createClient(ControlService, server.connect(stranger)).getNode({}));
    assert.equal(error.reason, 'no-certificate');
  });

  it('refuses a removed node at once, also on a connection that it has', async () => {
    const client = createClient(HealthService, server.connect(worker));
    assert.equal((await failure(client.check({}))).message, 'reached the handler');
    server.removed = worker.identity.nodeId;
    assert.equal((await failure(client.check({}))).reason, 'node-removed');
  });

  it('ends the streams of a removed node, and of no other', async () => {
    const call = server.connect(worker).open('/swarm.v1.DispatcherService/Session', { timeoutMs: undefined });
    const reached = Promise.withResolvers<undefined>();
    keepOpen(() => reached.resolve(undefined));
    const ended = failure(call.messages.next());
    await reached.promise;
    server.removed = manager.identity.nodeId;
    server.rpc.review(() => true);
    assert.equal(server.rpc.callsInFlight, 1);
    server.removed = worker.identity.nodeId;
    server.rpc.review(() => true);
    const { code, reason, message } = await ended;
    assert.deepEqual([code, reason], ['denied', 'node-removed']);
    assert.equal(message, `node ${worker.identity.nodeId} was removed`);
  });

  it('ends the streams of a node that was demoted or removed, and only those that it may not have any more', async () => {
    const other = testNode(authority, 'manager');
    let reached = 0;
    const all = Promise.withResolvers<undefined>();
    const endAll = keepOpen(() => {
      if (++reached === 5) all.resolve(undefined);
    });
    const ended: string[] = [];
    const begin = (who: TestNode, path: string): Promise<SwarmError> => {
      const call = server.connect(who).open(path, { timeoutMs: undefined });
      if (!path.endsWith('Session')) {
        call.write(new Uint8Array()).catch(() => {});
        call.end();
      }
      const end = failure(call.messages.next());
      end.then(
        () => ended.push(`${who === manager ? 'one' : 'other'} ${path.split('/')[2]}`),
        () => {},
      );
      return end;
    };
    const watch = begin(manager, '/swarm.v1.WatchService/Watch');
    const session = begin(manager, '/swarm.v1.DispatcherService/Session');
    const answer = begin(manager, '/swarm.v1.ControlService/GetCluster');
    const others = begin(other, '/swarm.v1.WatchService/Watch');
    const logs = begin(manager, '/swarm.v1.LogsService/SubscribeLogs');
    await all.promise;
    const everybody = (): boolean => true;
    server.rpc.review(everybody);
    server.demoted = manager.identity.nodeId;
    server.rpc.review((nodeId) => nodeId === other.identity.nodeId);
    assert.equal(server.rpc.callsInFlight, 5, 'nobody has lost anything, or is not concerned');
    server.rpc.review(everybody);
    for (const error of [await watch, await logs])
      assert.deepEqual([error.code, error.reason], ['denied', 'wrong-role']);
    assert.deepEqual(ended.sort(), ['one SubscribeLogs', 'one Watch']);
    server.removed = manager.identity.nodeId;
    server.rpc.review(everybody);
    assert.equal((await session).reason, 'node-removed');
    assert.deepEqual(
      ended.sort(),
      ['one Session', 'one SubscribeLogs', 'one Watch'],
      'a call with one answer ends itself',
    );
    endAll();
    await Promise.all([answer, others]);
  });

  it('does not trust a server of another root, or one that is a worker', async () => {
    const foreign = server.connectWith(new NodeChannelCredentials(server.trustOf(stranger, stranger.rootsPem)));
    const error = await failure(createClient(HealthService, foreign).check({}));
    assert.deepEqual([error.code, error.reason], ['unauthenticated', 'bad-certificate']);
    assert.match(error.message, /another root/);
    const wanted = server.connectWith(
      new NodeChannelCredentials({ kind: 'member', identity: () => worker, expect: { role: 'worker' } }),
    );
    const wrongRole = await failure(createClient(HealthService, wanted).check({}));
    assert.equal(wrongRole.reason, 'bad-certificate');
    assert.match(wrongRole.message, /the peer is a manager, not a worker/);
  });

  it('a client that does not speak TLS harms nothing', async () => {
    const plain = server.connectWith(credentials.createInsecure());
    assert.equal((await failure(createClient(HealthService, plain).check({}))).reason, 'connection-failed');
    assert.equal(
      (await failure(createClient(HealthService, server.connect(worker)).check({}))).message,
      'reached the handler',
    );
  });

  it('an address where nothing listens is named', async () => {
    const nowhere = server.connect(worker, '127.0.0.1:1');
    const error = await failure(createClient(HealthService, nowhere).check({}));
    assert.deepEqual([error.code, error.reason], ['unavailable', 'connection-failed']);
    assert.match(error.message, /^127\.0\.0\.1:1 refused the connection/);
  });
});

describe('bad requests', () => {
  const server = new TlsServer(manager);
  let raw: Client;
  const path = ControlService.getNode.path;

  before(async () => {
    server.rpc.addService(ControlService, {
      ...everyMethod(ControlService, () => Promise.reject(new Error('not asked for'))),
      getNode: () => Promise.resolve(GetNodeResponse.create()),
    });
    await server.listen();
    raw = new Client(server.address, new NodeChannelCredentials(server.trustOf(manager)), {
      'grpc.max_send_message_length': -1,
    });
  });
  after(async () => {
    raw.close();
    await server.close();
  });

  /** Sends any bytes as the request. */
  function send(bytes: Uint8Array, method: string = path): Promise<SwarmError | Uint8Array> {
    return new Promise((resolve) => {
      const same = (message: Buffer): Buffer => message;
      const done = (error: ServiceError | null, answer?: Buffer): void =>
        resolve(
          error === null
            ? (answer ?? Buffer.alloc(0))
            : callError(receivedError(error), { kind: 'address', name: 'manager' }, method),
        );
      raw.makeUnaryRequest(method, same, same, Buffer.from(bytes), new Metadata(), {}, done);
    });
  }

  async function isUnharmed(): Promise<void> {
    assert.ok(!((await send(GetNodeRequest.encode(GetNodeRequest.create({ reference: 'x' })))) instanceof SwarmError));
  }

  it('a truncated message is named', async () => {
    const whole = GetNodeRequest.encode(GetNodeRequest.create({ reference: 'a long enough reference' }));
    const error = await send(whole.subarray(0, 9));
    assert.ok(error instanceof SwarmError);
    assert.deepEqual([error.code, error.reason], ['invalid', 'bad-message']);
    assert.match(error.message, /cannot decode swarm\.v1\.GetNodeRequest/);
    await isUnharmed();
  });

  it('a message of 100 MiB is refused without being read', async () => {
    const memory = process.memoryUsage().rss;
    const huge = Buffer.alloc(100 * 1024 * 1024);
    const error = await send(huge);
    assert.ok(error instanceof SwarmError);
    assert.deepEqual([error.code, error.reason, error.limit], ['exhausted', 'too-large', 'MESSAGE_BYTES']);
    assert.match(error.message, new RegExp(String(LIMITS.MESSAGE_BYTES)));
    // The client's own copies are in this process too.
    assert.ok(process.memoryUsage().rss - memory < 600 * 1024 * 1024);
    await isUnharmed();
  });

  it('a request without a message is refused', async () => {
    const error = await new Promise<ServiceError>((resolve) => {
      const same = (message: Buffer): Buffer => message;
      const call = raw.makeClientStreamRequest(path, same, same, new Metadata(), {}, (failed) =>
        resolve(failed as ServiceError),
      );
      call.end();
    });
    assert.match(error.details, /came without a request/);
    await isUnharmed();
  });

  it('a method that does not exist is refused', async () => {
    const error = await send(new Uint8Array(), '/swarm.v1.ControlService/DropEverything');
    assert.ok(error instanceof SwarmError);
    assert.equal(error.reason, 'not-supported');
    await isUnharmed();
  });

  it('rubbish of all sizes harms nothing', async () => {
    for (let size = 1; size <= 4096; size *= 4) {
      const error = await send(Buffer.alloc(size, 0xff));
      assert.ok(error instanceof SwarmError);
      assert.equal(error.reason, 'bad-message');
    }
    await isUnharmed();
  });
});
