/**
 * Goal: only certificates that count open anything. Method: the manager's own server with its handlers and the table of
 * who may call what, and callers with certificates of every wrong kind; methods are those of the contract, so that a new
 * one is covered by itself.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { type MethodPath, services } from '#gen/services.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { AgentHello, DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { AUTHORIZATION } from '#proto/authorization.ts';
import { createClient } from '#proto/grpc/client.ts';
import { forwardingMetadata } from '#proto/grpc/forwarding.ts';
import type { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { testAuthority } from '#test/certs/fixtures.ts';
import { openssl, withFiles } from '#test/certs/openssl.ts';
import { failure } from '#test/support/failure.ts';
import { GuardedManager, type Shown } from './guarded-manager.ts';

const WAIT_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const METHODS: readonly { readonly path: MethodPath }[] = Object.values(services).flatMap((service) =>
  Object.values(service),
);
/** What a host without a membership needs to join. */
const OPEN = 'swarm.v1.CertificateAuthorityService';

describe('certificates that do not count', function () {
  this.timeout(60_000);
  let manager: GuardedManager;

  before(async () => {
    manager = await GuardedManager.start();
  });
  after(() => manager.close());

  async function refusal(transport: GrpcTransport, path: string): Promise<SwarmError> {
    const call = transport.open(path, { timeoutMs: WAIT_MS });
    call.write(new Uint8Array()).catch(() => {});
    call.end();
    try {
      return await failure(call.messages.next());
    } finally {
      call.cancel();
    }
  }

  it('of a worker: every method that is not for workers is refused, and nothing changes', async () => {
    const worker = manager.mint();
    await manager.admit(worker);
    const transport = manager.connect(worker);
    const before = manager.version;
    let denied = 0;
    for (const { path } of METHODS) {
      if (AUTHORIZATION[path].includes('worker')) continue;
      const error = await refusal(transport, path);
      // What is for the machine itself is not even served to others, and the log has a door of its own.
      const isAbsent = error.code === 'unimplemented';
      assert.ok(isAbsent || (error.code === 'denied' && error.reason === 'wrong-role'), `${path}: ${error.message}`);
      if (!isAbsent) denied++;
    }
    assert.ok(denied > 40, `${denied} methods are for managers`);
    assert.equal(manager.version, before);
  });

  it('of a worker that says in the call that it is somebody else: nobody believes it', async () => {
    const worker = manager.mint();
    await manager.admit(worker);
    const pretended = forwardingMetadata({ caller: { kind: 'local' }, peer: '' });
    const { path } = services.ControlService.getCluster;
    const call = manager.connect(worker).open(path, { timeoutMs: WAIT_MS, metadata: pretended });
    call.write(new Uint8Array()).catch(() => {});
    call.end();
    assert.equal((await failure(call.messages.next())).code, 'denied');
  });

  const worthless: readonly [string, () => Promise<Shown> | Shown][] = [
    ['that has expired', () => manager.mint({ role: 'manager', nowMs: Date.now() - 10 * DAY_MS, lifetimeMs: DAY_MS })],
    ['that does not hold yet', () => manager.mint({ role: 'manager', nowMs: Date.now() + DAY_MS })],
    ['of another root', () => manager.mint({ role: 'manager', authority: testAuthority() })],
    ['that a worker has signed with its own', () => manager.mintedBy(manager.mint(), { role: 'manager' })],
    [
      'that a manager has signed with its own',
      () => manager.mintedBy(manager.mint({ role: 'manager' }), { role: 'manager' }),
    ],
    ['that says of itself that it is an authority', () => selfMade()],
  ];

  /** Self-signed, CA:TRUE, with the names of a manager. */
  async function selfMade(): Promise<Shown> {
    const shown = manager.mint({ role: 'manager' });
    const { clusterId, nodeId } = shown.names;
    const certificatePem = await withFiles({ key: shown.privateKeyPem }, async (path) => {
      const subject = `/O=${clusterId}/OU=swarm-manager/CN=${nodeId}`;
      await openssl(
        ...['req', '-x509', '-new', '-key', path('key'), '-subj', subject, '-days', '10', '-out', path('crt')],
        ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'subjectAltName=DNS:swarm-ca'],
      );
      return openssl('x509', '-in', path('crt'));
    });
    return { ...shown, certificatePem };
  }

  for (const [what, make] of worthless)
    it(`${what}: its caller is nobody, whom every method but those for joining refuses`, async () => {
      const transport = manager.connect(await make());
      const before = manager.version;
      for (const { path } of METHODS) {
        if (path.includes(OPEN)) continue;
        const error = await refusal(transport, path);
        const isAbsent = error.code === 'unimplemented';
        assert.ok(isAbsent || error.reason === 'no-certificate', `${path}: ${error.message}`);
      }
      // A renewal needs the certificate that it is of.
      const renewal = createClient(CertificateAuthorityService, transport).issueNodeCertificate({});
      assert.notEqual((await failure(renewal)).code, 'internal');
      assert.equal(manager.version, before);
    });

  /** A connection with a certificate of another root that has the name and the key identifier of ours. */
  function posingSocket(): TLSSocket {
    const other = testAuthority();
    const { certificate } = manager.authority;
    const posing = { ...other, certificate: { ...certificate, publicKeyDer: other.certificate.publicKeyDer } };
    const shown = manager.mint({ role: 'manager', nodeId: manager.swarm.a.nodeId, authority: posing });
    // Without our own client, which gives up a connection on which its own certificate does not fit its root.
    const port = Number(manager.address.split(':')[1]);
    return tlsConnect({
      ...{ host: '127.0.0.1', port, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined },
      ...{ ca: shown.rootsPem, cert: shown.certificatePem, key: shown.privateKeyPem },
    });
  }

  it('of another root with the name and the key identifier of ours: nobody else notices', async () => {
    const transport = manager.connect(manager.mint({ role: 'manager', nodeId: manager.swarm.a.nodeId }));
    const health = createClient(HealthService, transport);
    for (let i = 0; i < 10; i++) {
      // Says nothing after its handshake: what TLS has to say of its certificate must not come up with others.
      const socket = posingSocket();
      await withDeadline(once(socket, 'secureConnect'), WAIT_MS, 'the handshake');
      await Promise.all([health.check({}), health.check({})]);
      socket.destroy();
    }
  });

  it('of another root with the name and the key identifier of ours: its caller is nobody', async () => {
    const socket = posingSocket();
    const session = connectHttp2('https://localhost', { createConnection: () => socket });
    try {
      const headers = { ':path': HealthService.check.path, ':method': 'POST', 'content-type': 'application/grpc' };
      const stream = session.request({ ...headers, te: 'trailers' }).end();
      const [answer] = await withDeadline(once(stream, 'response'), WAIT_MS, 'the refusal');
      assert.equal((answer as Record<string, string>)['grpc-status'], '16');
    } finally {
      session.destroy();
    }
  });

  it('of another cluster, though our own root has signed it: refused by name', async () => {
    const transport = manager.connect(manager.mint({ role: 'manager', clusterId: '0'.repeat(25) }));
    for (const { path } of METHODS) {
      const error = await refusal(transport, path);
      assert.ok(error.code === 'unimplemented' || error.reason === 'wrong-cluster', `${path}: ${error.message}`);
    }
  });

  it('of a node that nobody knows: refused as one that was removed', async () => {
    const transport = manager.connect(manager.mint({ role: 'manager' }));
    assert.equal((await failure(createClient(HealthService, transport).check({}))).reason, 'node-removed');
  });

  /** A session, as an agent opens it, that has been welcomed. */
  async function openSession(shown: Shown) {
    const transport = manager.connect(shown);
    const call = createClient(DispatcherService, transport).session();
    await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
    const answers = call[Symbol.asyncIterator]();
    const first = await withDeadline(answers.next(), WAIT_MS, 'the welcome');
    assert.ok(first.done !== true && first.value.message?.kind === 'welcome');
    const end = (async () => {
      for (;;) if ((await answers.next()).done === true) return undefined;
    })().catch((error: unknown) => error as SwarmError);
    return { transport, end };
  }

  it('of a removed node: its stream ends within a second, and its next call is refused, on the connection that it has', async () => {
    const worker = manager.mint();
    await manager.admit(worker);
    const { transport, end } = await openSession(worker);
    const health = createClient(HealthService, transport);
    await health.check({});
    const removedMs = performance.now();
    await manager.remove(worker);
    assert.equal((await failure(health.check({}))).reason, 'node-removed');
    await withDeadline(end, WAIT_MS, 'the end of the session');
    // A second, and what a busy machine adds.
    assert.ok(performance.now() - removedMs < 5_000);
    const renewal = createClient(CertificateAuthorityService, transport).issueNodeCertificate({
      csrPem: Buffer.from(''),
    });
    assert.equal((await failure(renewal)).reason, 'node-removed', 'it cannot renew either');
    const other = manager.connect(worker);
    assert.equal(
      (await failure(createClient(HealthService, other).check({}))).reason,
      'node-removed',
      'nor connect anew',
    );
  });

  it('that runs out while its stream is open: the stream ends within a second, the next call is refused', async () => {
    const worker = manager.mint({ lifetimeMs: 3_000 });
    await manager.admit(worker);
    const { transport, end } = await openSession(worker);
    const error = await withDeadline(end, WAIT_MS, 'the end of the session');
    assert.equal(error?.reason, 'expired');
    assert.equal((await failure(createClient(HealthService, transport).check({}))).reason, 'expired');
  });
});
