/**
 * Goal: a manager can pass a call on with the identity of whoever made it, and nobody can pretend to be somebody else.
 * Method: a real server with mutual TLS, and callers of every kind who send the header, well-formed and not.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { peerIdentity } from '#certs/peer.ts';
import { NodeChannelCredentials, NodeServerCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { services } from '#gen/services.ts';
import { ForwardedCaller, ForwardedNode } from '#gen/swarm/v1/forwarding.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { AUTHORIZATION, refuseForwarding } from '#proto/authorization.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { type Caller, callerClass } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { UnsentError } from '#proto/grpc/errors.ts';
import { FORWARDED_KEY, forwardingMetadata } from '#proto/grpc/forwarding.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import type { CallMetadata } from '#proto/grpc/transport.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';

const { ControlService } = services;
const authority = testAuthority();
const manager = testNode(authority, 'manager');
const worker = testNode(authority, 'worker');

function nodeCaller(node: TestNode, clusterId = CLUSTER_ID): Caller {
  const { nodeId, role } = node.identity;
  return { kind: 'node', nodeId, role, clusterId, serial: '0a', notBeforeMs: 1, notAfterMs: 2, issuerKeyId: 'ff' };
}

const PEER = '192.0.2.7:40312';
const CALLERS: readonly Caller[] = [
  { kind: 'local' },
  { kind: 'anonymous' },
  nodeCaller(manager),
  nodeCaller(worker),
] as const;
const FORWARDED = Object.keys(AUTHORIZATION).filter(
  (path) => refuseForwarding(path, nodeCaller(manager)) === undefined,
);

describe('forwarded calls', () => {
  let server: RpcServer;
  let address: string;
  let removed: string | undefined;
  let demoted: string | undefined;
  let handled: CallContext[];
  const open: GrpcTransport[] = [];

  before(async () => {
    server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
        admit: ({ nodeId }) =>
          nodeId === removed ? new SwarmError({ code: 'denied', reason: 'node-removed', message: 'gone' }) : undefined,
        roleOf: ({ nodeId, role }) => (nodeId === demoted ? 'worker' : role),
      },
      logger: silentLogger,
    });
    for (const service of Object.values(services)) {
      const handlers = Object.fromEntries(
        Object.keys(service).map((name) => [
          name,
          async (_request: unknown, context: CallContext) => {
            handled.push(context);
            throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'reached the handler' });
          },
        ]),
      );
      server.addService(service as typeof ControlService, handlers as unknown as Handlers<typeof ControlService>);
    }
    address = `127.0.0.1:${await server.listen('127.0.0.1:0', new NodeServerCredentials(manager))}`;
  });
  after(async () => {
    for (const transport of open) transport.close();
    await server.close(0);
  });
  beforeEach(() => {
    handled = [];
    removed = undefined;
    demoted = undefined;
  });

  function connect(node: TestNode | undefined, to = address): GrpcTransport {
    const expect = { role: 'manager' } as const;
    const trust =
      node === undefined
        ? ({ kind: 'pinned', rootsPem: manager.rootsPem, expect } as const)
        : ({ kind: 'member', identity: () => node, expect } as const);
    const target = { kind: 'address', name: to } as const;
    const transport = new GrpcTransport({ target, credentials: new NodeChannelCredentials(trust) });
    open.push(transport);
    return transport;
  }

  async function call(transport: GrpcTransport, path: string, metadata: CallMetadata | undefined): Promise<SwarmError> {
    const raw = transport.open(path, { timeoutMs: 5_000, metadata });
    raw.write(new Uint8Array()).catch(() => {});
    raw.end();
    return failure(raw.messages.next());
  }

  async function failure(work: Promise<unknown>): Promise<SwarmError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }

  it('are those that change something, logs, certificates and membership of the log', () => {
    assert.deepEqual(
      FORWARDED.map((path) => path.split('/')[2]),
      [
        'IssueNodeCertificate',
        'UpdateCluster',
        'UpdateNode',
        'RemoveNode',
        'CreateService',
        'UpdateService',
        'RemoveService',
        'SubscribeLogs',
        'JoinLog',
        'LeaveLog',
      ],
    );
  });

  it('reach the handler with their caller and address, from a manager, where the caller itself may call', async () => {
    const transport = connect(manager);
    for (const path of Object.keys(AUTHORIZATION))
      for (const caller of CALLERS) {
        handled = [];
        const error = await call(transport, path, forwardingMetadata({ caller, peer: PEER }));
        const row = AUTHORIZATION[path as keyof typeof AUTHORIZATION];
        const allowed = FORWARDED.includes(path) && row.includes(callerClass(caller));
        const what = `${path} for ${callerClass(caller)}`;
        assert.equal(handled.length, allowed ? 1 : 0, what);
        assert.equal(error.message === 'reached the handler', allowed, what);
        if (!allowed) continue;
        const [context] = handled;
        assert.deepEqual([context?.caller, context?.peer], [caller, PEER], what);
        assert.equal(context?.forwardedBy?.nodeId, manager.identity.nodeId);
      }
  });

  it('a call without the header is its caller own, with its own address', async () => {
    await call(connect(manager), ControlService.createService.path, undefined);
    const [context] = handled;
    assert.ok(context?.caller.kind === 'node');
    assert.equal(context.caller.nodeId, manager.identity.nodeId);
    assert.equal(context.forwardedBy, undefined);
    assert.match(context.peer, /^127\.0\.0\.1:\d+$/);
  });

  it('a worker cannot pretend to be anybody, not even itself', async () => {
    const transport = connect(worker);
    for (const path of Object.keys(AUTHORIZATION))
      for (const caller of CALLERS) {
        const error = await call(transport, path, forwardingMetadata({ caller, peer: PEER }));
        assert.deepEqual([error.code, error.reason], ['denied', 'wrong-role'], path);
        assert.match(error.message, /only managers pass calls on/);
      }
    assert.equal(handled.length, 0);
  });

  it('neither can a caller without a certificate', async () => {
    const transport = connect(undefined);
    for (const path of FORWARDED) {
      const error = await call(transport, path, forwardingMetadata({ caller: { kind: 'local' }, peer: '' }));
      assert.deepEqual([error.code, error.reason], ['unauthenticated', 'no-certificate']);
    }
    assert.equal(handled.length, 0);
  });

  it('a removed manager passes nothing on, and nothing is passed on for a removed node', async () => {
    const path = '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate';
    const forWorker = forwardingMetadata({ caller: nodeCaller(worker), peer: PEER });
    removed = manager.identity.nodeId;
    assert.equal((await call(connect(manager), path, forWorker)).reason, 'node-removed');
    removed = worker.identity.nodeId;
    assert.equal((await call(connect(manager), path, forWorker)).reason, 'node-removed');
    removed = undefined;
    assert.equal((await call(connect(manager), path, forWorker)).message, 'reached the handler');
  });

  it('a demoted manager is a worker, whatever its certificate says', async () => {
    const issue = '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate';
    const create = ControlService.createService.path;
    const forManager = forwardingMetadata({ caller: nodeCaller(manager), peer: PEER });
    demoted = manager.identity.nodeId;
    assert.match((await call(connect(manager), issue, forManager)).message, /only managers pass calls on/);
    assert.equal((await call(connect(manager), create, undefined)).reason, 'wrong-role');
    assert.equal((await call(connect(manager), issue, undefined)).message, 'reached the handler');
    const [context] = handled;
    assert.ok(context?.caller.kind === 'node');
    assert.equal(context.caller.role, 'worker');
  });

  it('a caller of another cluster is refused', async () => {
    const caller = nodeCaller(manager, '0'.repeat(25));
    const metadata = forwardingMetadata({ caller, peer: PEER });
    assert.equal((await call(connect(manager), ControlService.createService.path, metadata)).reason, 'wrong-cluster');
  });

  const node = (change: Partial<ForwardedNode>): Uint8Array =>
    ForwardedCaller.encode(
      ForwardedCaller.create({
        caller: {
          kind: 'node',
          value: ForwardedNode.create({
            nodeId: manager.identity.nodeId,
            clusterId: CLUSTER_ID,
            role: NodeRole.MANAGER,
            ...change,
          }),
        },
      }),
    );
  const local = { kind: 'local', value: {} } as const;
  const malformed: readonly (readonly [string, Uint8Array])[] = [
    ['empty', new Uint8Array()],
    ['no message', new Uint8Array([255, 255, 255])],
    ['without a caller', ForwardedCaller.encode(ForwardedCaller.create({ peer: PEER }))],
    ['an unknown role', node({ role: 77 as NodeRole })],
    ['no role', node({ role: NodeRole.UNSPECIFIED })],
    ['a node id that is none', node({ nodeId: 'x' })],
    ['a cluster id that is none', node({ clusterId: '' })],
    ['a long one', node({ serial: 'f'.repeat(2_000) })],
    ['an address with a line break', ForwardedCaller.encode(ForwardedCaller.create({ caller: local, peer: 'a\nb' }))],
    ['a long address', ForwardedCaller.encode(ForwardedCaller.create({ caller: local, peer: 'a'.repeat(200) }))],
  ];
  for (const [what, bytes] of malformed)
    it(`a malformed header is refused: ${what}`, async () => {
      const metadata = { [FORWARDED_KEY]: bytes };
      const error = await call(connect(manager), ControlService.createService.path, metadata);
      assert.deepEqual([error.code, error.reason], ['invalid', 'bad-message']);
      assert.equal(handled.length, 0);
    });

  it('the local socket takes no forwarded calls', async () => {
    const refusal = refuseForwarding(ControlService.createService.path, { kind: 'local' });
    assert.equal(refusal?.reason, 'wrong-role');
  });

  it('the calls that a removed manager has passed on are ended with it', async () => {
    const reached = Promise.withResolvers<undefined>();
    const { LogsService } = services;
    server.addService(LogsService, {
      subscribeLogs: async (_request, context) => {
        reached.resolve(undefined);
        await new Promise((_resolve, reject) => {
          context.signal.addEventListener('abort', () => reject(SwarmError.from(context.signal.reason)));
        });
      },
    });
    const metadata = forwardingMetadata({ caller: { kind: 'local' }, peer: '' });
    const ended = call(connect(manager), LogsService.subscribeLogs.path, metadata);
    await reached.promise;
    server.dropNode(
      manager.identity.nodeId,
      new SwarmError({ code: 'denied', reason: 'node-removed', message: 'out' }),
    );
    assert.equal((await ended).message, 'out');
  });

  it('so are they when it is demoted, though who has called is still somebody', async () => {
    const reached = Promise.withResolvers<undefined>();
    const { LogsService } = services;
    server.addService(LogsService, {
      subscribeLogs: async (_request, context) => {
        reached.resolve(undefined);
        await new Promise((_resolve, reject) => {
          context.signal.addEventListener('abort', () => reject(SwarmError.from(context.signal.reason)));
        });
      },
    });
    const metadata = forwardingMetadata({ caller: { kind: 'local' }, peer: '' });
    const ended = call(connect(manager), LogsService.subscribeLogs.path, metadata);
    await reached.promise;
    server.review(() => true);
    assert.equal(server.callsInFlight, 1);
    demoted = manager.identity.nodeId;
    server.review(() => true);
    const { reason, message } = await ended;
    assert.deepEqual([reason, /only managers pass calls on/.test(message)], ['wrong-role', true]);
  });

  it('a refused connection is told apart from one that broke: nothing was sent', async () => {
    const refused = connect(manager, '127.0.0.1:1');
    await refused.connected(2_000);
    const client = createClient(ControlService, refused);
    assert.ok((await failure(client.getCluster({}))) instanceof UnsentError);
    const answered = await failure(createClient(ControlService, connect(manager)).getCluster({}));
    assert.ok(!(answered instanceof UnsentError));
  });

  it('a manager that does not answer is told apart in time', async () => {
    // Takes the connection and says nothing.
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const transport = connect(manager, `127.0.0.1:${port}`);
    assert.ok((await failure(transport.connected(100))) instanceof UnsentError);
    transport.close();
    silent.close();
  });
});
