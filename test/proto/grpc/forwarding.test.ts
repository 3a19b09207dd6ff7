/**
 * Goal: a manager can pass a call on with the identity of whoever made it, and nobody can pretend to be somebody else.
 * Method: a real server with mutual TLS, and callers of every kind who send the header, well-formed and not.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { services } from '#gen/services.ts';
import { ForwardedCaller, ForwardedNode } from '#gen/swarm/v1/forwarding.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { AUTHORIZATION, refuseForwarding } from '#proto/authorization.ts';
import { type Caller, callerClass } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { UnsentError } from '#proto/grpc/errors.ts';
import { FORWARDED_KEY, forwardingMetadata } from '#proto/grpc/forwarding.ts';
import type { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { CallMetadata } from '#proto/grpc/transport.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { TlsServer, untilAborted } from './tls-server.ts';

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
  const server = new TlsServer(manager);

  before(() => server.listen());
  after(() => server.close());
  beforeEach(() => server.reset());

  async function call(transport: GrpcTransport, path: string, metadata: CallMetadata | undefined): Promise<SwarmError> {
    const raw = transport.open(path, { timeoutMs: 5_000, metadata });
    raw.write(new Uint8Array()).catch(() => {});
    raw.end();
    return failure(raw.messages.next());
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
        'CreateNetwork',
        'UpdateNetwork',
        'RemoveNetwork',
        'PauseRollout',
        'ResumeRollout',
        'AbortRollout',
        'PromoteRollout',
        'RollbackService',
        'RunJob',
        'StopJob',
        'Rebalance',
        'CreateSecret',
        'UpdateSecret',
        'RemoveSecret',
        'PruneSecrets',
        'CreateConfig',
        'UpdateConfig',
        'RemoveConfig',
        'PruneConfigs',
        'CreateVolume',
        'RemoveVolume',
        'PruneVolumes',
        'DeployStack',
        'RemoveStack',
        'RunContainer',
        'StopContainer',
        'RemoveContainer',
        'SubscribeLogs',
        'CheckNetworks',
        'JoinLog',
        'LeaveLog',
        'LeaveCluster',
        'RotateRootCa',
        'LeaveNodesBehind',
        'RotateUnlockKey',
        'CreateClient',
        'RevokeClient',
        'RenewClient',
      ],
    );
  });

  it('reach the handler with their caller and address, from a manager, where the caller itself may call', async () => {
    const transport = server.connect(manager);
    for (const path of Object.keys(AUTHORIZATION))
      for (const caller of CALLERS) {
        server.handled = [];
        const error = await call(transport, path, forwardingMetadata({ caller, peer: PEER }));
        const row = AUTHORIZATION[path as keyof typeof AUTHORIZATION];
        const allowed = FORWARDED.includes(path) && row.includes(callerClass(caller));
        const what = `${path} for ${callerClass(caller)}`;
        assert.equal(server.handled.length, allowed ? 1 : 0, what);
        assert.equal(error.message === 'reached the handler', allowed, what);
        if (!allowed) continue;
        const [context] = server.handled;
        assert.deepEqual([context?.caller, context?.peer], [caller, PEER], what);
        assert.equal(context?.forwardedBy?.nodeId, manager.identity.nodeId);
      }
  });

  it('a call without the header is its caller own, with its own address', async () => {
    await call(server.connect(manager), ControlService.createService.path, undefined);
    const [context] = server.handled;
    assert.ok(context?.caller.kind === 'node');
    assert.equal(context.caller.nodeId, manager.identity.nodeId);
    assert.equal(context.forwardedBy, undefined);
    assert.match(context.peer, /^127\.0\.0\.1:\d+$/);
  });

  it('a worker cannot pretend to be anybody, not even itself', async () => {
    const transport = server.connect(worker);
    for (const path of Object.keys(AUTHORIZATION))
      for (const caller of CALLERS) {
        const error = await call(transport, path, forwardingMetadata({ caller, peer: PEER }));
        assert.deepEqual([error.code, error.reason], ['denied', 'wrong-role'], path);
        assert.match(error.message, /only managers pass calls on/);
      }
    assert.equal(server.handled.length, 0);
  });

  it('neither can a caller without a certificate', async () => {
    const transport = server.connect(undefined);
    for (const path of FORWARDED) {
      const error = await call(transport, path, forwardingMetadata({ caller: { kind: 'local' }, peer: '' }));
      assert.deepEqual([error.code, error.reason], ['unauthenticated', 'no-certificate']);
    }
    assert.equal(server.handled.length, 0);
  });

  it('a removed manager passes nothing on, and nothing is passed on for a removed node', async () => {
    const path = '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate';
    const forWorker = forwardingMetadata({ caller: nodeCaller(worker), peer: PEER });
    server.removed = manager.identity.nodeId;
    assert.equal((await call(server.connect(manager), path, forWorker)).reason, 'node-removed');
    server.removed = worker.identity.nodeId;
    assert.equal((await call(server.connect(manager), path, forWorker)).reason, 'node-removed');
    server.removed = undefined;
    assert.equal((await call(server.connect(manager), path, forWorker)).message, 'reached the handler');
  });

  it('a demoted manager is a worker, whatever its certificate says', async () => {
    const issue = '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate';
    const create = ControlService.createService.path;
    const forManager = forwardingMetadata({ caller: nodeCaller(manager), peer: PEER });
    server.demoted = manager.identity.nodeId;
    assert.match((await call(server.connect(manager), issue, forManager)).message, /only managers pass calls on/);
    assert.equal((await call(server.connect(manager), create, undefined)).reason, 'wrong-role');
    assert.equal((await call(server.connect(manager), issue, undefined)).message, 'reached the handler');
    const [context] = server.handled;
    assert.ok(context?.caller.kind === 'node');
    assert.equal(context.caller.role, 'worker');
  });

  it('a caller of another cluster is refused', async () => {
    const caller = nodeCaller(manager, '0'.repeat(25));
    const metadata = forwardingMetadata({ caller, peer: PEER });
    assert.equal(
      (await call(server.connect(manager), ControlService.createService.path, metadata)).reason,
      'wrong-cluster',
    );
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
      const error = await call(server.connect(manager), ControlService.createService.path, metadata);
      assert.deepEqual([error.code, error.reason], ['invalid', 'bad-message']);
      assert.equal(server.handled.length, 0);
    });

  it('the local socket takes no forwarded calls', async () => {
    const refusal = refuseForwarding(ControlService.createService.path, { kind: 'local' });
    assert.equal(refusal?.reason, 'wrong-role');
  });

  /** Resolves when a call that the manager has passed on is open; `ended` says what it ends with. */
  async function openCall(): Promise<{ readonly ended: Promise<SwarmError> }> {
    const reached = Promise.withResolvers<undefined>();
    server.answer = (context) => {
      reached.resolve(undefined);
      return untilAborted(context);
    };
    const metadata = forwardingMetadata({ caller: { kind: 'local' }, peer: '' });
    const ended = call(server.connect(manager), services.LogsService.subscribeLogs.path, metadata);
    await reached.promise;
    return { ended };
  }

  it('the calls that a removed manager has passed on are ended with it', async () => {
    const { ended } = await openCall();
    server.removed = manager.identity.nodeId;
    server.rpc.review(() => true);
    assert.equal((await ended).reason, 'node-removed');
  });

  it('so are they when it is demoted, though who has called is still somebody', async () => {
    const { ended } = await openCall();
    server.rpc.review(() => true);
    assert.equal(server.rpc.callsInFlight, 1);
    server.demoted = manager.identity.nodeId;
    server.rpc.review(() => true);
    const { reason, message } = await ended;
    assert.deepEqual([reason, /only managers pass calls on/.test(message)], ['wrong-role', true]);
  });

  it('a refused connection is told apart from one that broke: nothing was sent', async () => {
    const refused = server.connect(manager, '127.0.0.1:1');
    await refused.connected(2_000);
    const client = createClient(ControlService, refused);
    assert.ok((await failure(client.getCluster({}))) instanceof UnsentError);
    const answered = await failure(createClient(ControlService, server.connect(manager)).getCluster({}));
    assert.ok(!(answered instanceof UnsentError));
  });

  it('a manager that does not answer is told apart in time', async () => {
    // Takes the connection and says nothing.
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const transport = server.connect(manager, `127.0.0.1:${port}`);
    assert.ok((await failure(transport.connected(100))) instanceof UnsentError);
    transport.close();
    silent.close();
  });

  it('a connection that is given up while it is made is not made again', async () => {
    const taken: Socket[] = [];
    const silent = createServer((socket) => taken.push(socket.resume()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const transport = server.connect(manager, `127.0.0.1:${port}`);
    const connecting = failure(transport.connected(10_000));
    await eventually('the connection', () => taken.length === 1);
    transport.close();
    assert.ok((await connecting) instanceof UnsentError);
    // Another connection, handshake and all, takes longer than to begin that one again.
    await failure(createClient(ControlService, server.connect(manager)).getCluster({}));
    await eventually('its end', () => taken.every(({ closed }) => closed));
    assert.equal(taken.length, 1);
    silent.close();
  });
});
