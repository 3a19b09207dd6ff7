/**
 * Real grpc-js servers and clients on loopback, and openssl as a client that offers what ours never would. The server
 * has one method, which answers whom it takes the caller for.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  Client,
  type ClientDuplexStream,
  Server,
  type ServerDuplexStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { peerIdentity } from '#certs/peer.ts';
import { type ClientTrust, NodeChannelCredentials, NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { eventually } from '#test/support/eventually.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from './fixtures.ts';

const WAIT_MS = 5_000;
const PATH = '/test.Who/Ask';
const text = {
  serialize: (value: string): Buffer => Buffer.from(value),
  deserialize: (bytes: Buffer): string => bytes.toString(),
};
const METHOD = {
  path: PATH,
  requestStream: true,
  responseStream: true,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
} as const;

function whoIs(call: ServerDuplexStream<string, string>, nowMs: number): string {
  try {
    const peer = peerIdentity(call, nowMs);
    if (peer === undefined) return 'nobody';
    return `${peer.role} ${peer.kind === 'node' ? peer.nodeId : `client ${peer.clientId}`} of ${peer.clusterId}`;
  } catch (error) {
    return SwarmError.from(error).reason;
  }
}

class TestServer {
  readonly credentials: NodeServerCredentials;
  nowMs = Date.now();
  port = 0;
  readonly #server = new Server();

  constructor(identity: TlsIdentity) {
    this.credentials = new NodeServerCredentials(identity);
    this.#server.addService(
      { Ask: METHOD },
      {
        Ask: (call: ServerDuplexStream<string, string>) => {
          call.on('data', () => call.write(whoIs(call, this.nowMs)));
          call.on('end', () => call.end());
        },
      },
    );
  }

  async start(): Promise<this> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', this.credentials, (error, port) => (error ? reject(error) : resolve(port)));
    });
    return this;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

class TestClient {
  readonly #client: Client;
  stream: ClientDuplexStream<string, string> | undefined;

  constructor(port: number, trust: ClientTrust | NodeChannelCredentials, handshakeTimeoutMs?: number) {
    const isMade = trust instanceof NodeChannelCredentials;
    const credentials = isMade ? trust : new NodeChannelCredentials(trust, handshakeTimeoutMs);
    this.#client = new Client(`127.0.0.1:${port}`, credentials, {
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** Asks on one stream, which stays open for the next question. */
  ask(): Promise<string> {
    const deadline = Date.now() + 3000;
    this.stream ??= this.#client.makeBidiStreamRequest(PATH, text.serialize, text.deserialize, { deadline });
    const stream = this.stream;
    return new Promise((resolve, reject) => {
      stream.once('data', resolve);
      stream.once('error', reject);
      stream.write('?');
    });
  }

  close(): void {
    this.stream?.on('error', () => {});
    this.stream?.cancel();
    this.#client.close();
  }
}

describe('TLS between nodes', () => {
  const authority = testAuthority();
  const manager = testNode(authority, 'manager');
  const worker = testNode(authority, 'worker');
  const clients: TestClient[] = [];
  const servers: TestServer[] = [];

  const start = async (identity: TlsIdentity): Promise<TestServer> => {
    const server = await new TestServer(identity).start();
    servers.push(server);
    return server;
  };
  const client = (server: TestServer, trust: ClientTrust): TestClient => {
    const made = new TestClient(server.port, trust);
    clients.push(made);
    return made;
  };
  const member = (identity: TlsIdentity, nodeId?: string): ClientTrust => ({
    kind: 'member',
    identity: () => identity,
    expect: { role: 'manager', clusterId: CLUSTER_ID, nodeId },
  });
  const refusal = async (asking: Promise<string>, message: RegExp): Promise<void> => {
    await assert.rejects(asking, (error: ServiceError) => {
      assert.equal(error.code, status.UNAVAILABLE, error.message);
      assert.match(error.message, message);
      return true;
    });
  };

  afterEach(() => {
    for (const made of clients.splice(0)) made.close();
    for (const made of servers.splice(0)) made.stop();
  });

  describe('with a peer that takes the connection and says nothing', () => {
    let silent: NetServer;
    let taken: Promise<Socket>;

    beforeEach(async () => {
      silent = createServer();
      silent.listen(0, '127.0.0.1');
      await once(silent, 'listening');
      taken = once(silent, 'connection').then(([socket]) => (socket as Socket).resume());
    });
    afterEach(async () => {
      silent.close();
      (await taken).destroy();
    });

    const connect = (handshakeTimeoutMs?: number): TestClient => {
      const { port } = silent.address() as AddressInfo;
      const made = new TestClient(port, member(manager), handshakeTimeoutMs);
      clients.push(made);
      return made;
    };

    it('was reached; one that takes none was not', async () => {
      const { port } = silent.address() as AddressInfo;
      const reached = new NodeChannelCredentials(member(manager));
      const asker = new TestClient(port, reached);
      clients.push(asker);
      assert.equal(reached.hasReached, false);
      const asking = asker.ask();
      await taken;
      await eventually('the client to notice', () => reached.hasReached);
      asker.close();
      await assert.rejects(asking);
      const unused = createServer();
      unused.listen(0, '127.0.0.1');
      await once(unused, 'listening');
      const { port: nobodys } = unused.address() as AddressInfo;
      unused.close();
      const refused = new NodeChannelCredentials(member(manager));
      const other = new TestClient(nobodys, refused);
      clients.push(other);
      await assert.rejects(other.ask());
      assert.equal(refused.hasReached, false);
    });

    it('the handshake has its time', async () => {
      await refusal(connect(50).ask(), /timed out after 50 ms waiting for the TLS handshake/);
      await withDeadline(once(await taken, 'close'), WAIT_MS, 'the connection to be closed');
    });

    it('a connection that nobody wants any more is closed', async () => {
      const made = connect();
      const asking = made.ask();
      const socket = await taken;
      await withDeadline(once(socket, 'data'), WAIT_MS, 'the beginning of the handshake');
      made.close();
      await assert.rejects(asking);
      await withDeadline(once(socket, 'close'), WAIT_MS, 'the connection to be closed');
    });
  });

  it('tells the server who calls', async () => {
    const server = await start(manager);
    assert.equal(await client(server, member(worker)).ask(), `worker ${worker.identity.nodeId} of ${CLUSTER_ID}`);
    const other = testNode(authority, 'manager');
    assert.equal(await client(server, member(other)).ask(), `manager ${other.identity.nodeId} of ${CLUSTER_ID}`);
  });

  it('takes a caller without a certificate, and one of another root, for nobody', async () => {
    const server = await start(manager);
    const pinned: ClientTrust = { kind: 'pinned', rootsPem: manager.rootsPem, expect: { role: 'manager' } };
    assert.equal(await client(server, pinned).ask(), 'nobody');
    const stranger = testNode(testAuthority(), 'manager');
    assert.equal(await client(server, member({ ...stranger, rootsPem: manager.rootsPem })).ask(), 'nobody');
  });

  it('takes a caller whose certificate is out of its time for nobody', async () => {
    const server = await start(manager);
    const dayMs = 24 * 60 * 60 * 1000;
    const longAgo = testAuthority(Date.now() - 10 * dayMs);
    const old = testNode(longAgo, 'worker', { nowMs: Date.now() - 5 * dayMs, lifetimeMs: dayMs });
    const home = await start(testNode(longAgo, 'manager'));
    assert.equal(await client(home, member(old)).ask(), 'nobody');
    const early = testNode(authority, 'worker', { nowMs: Date.now() + dayMs });
    assert.equal(await client(server, member(early)).ask(), 'nobody');
  });

  it('refuses a caller on an open connection once its certificate has run out', async () => {
    const server = await start(manager);
    const asking = client(server, member(worker));
    assert.match(await asking.ask(), /^worker/);
    server.nowMs += 91 * 24 * 60 * 60 * 1000;
    assert.equal(await asking.ask(), 'expired');
  });

  it('lets a client refuse a server of another root, role, cluster or node', async () => {
    const server = await start(manager);
    const stranger = testNode(testAuthority(), 'worker');
    await refusal(client(server, member(stranger)).ask(), /certificate/);
    await refusal(client(server, member(worker, 'a'.repeat(25))).ask(), /the peer is node \w+, not a{25}/);
    assert.match(await client(server, member(worker, manager.identity.nodeId)).ask(), /^worker/);

    const posing = await start(testNode(authority, 'worker'));
    await refusal(client(posing, member(worker)).ask(), /the peer is a worker, not a manager/);
    const foreign = await start(testNode(authority, 'manager', { clusterId: 'f'.repeat(25) }));
    await refusal(client(foreign, member(worker)).ask(), /belongs to cluster f{25}, not/);
  });

  it('lets a joiner connect without checks, for the root certificate only', async () => {
    const server = await start(testNode(testAuthority(), 'manager'));
    assert.equal(await client(server, { kind: 'unverified' }).ask(), 'nobody');
  });

  it('shows a replaced certificate to new connections while open streams live on', async () => {
    const server = await start(manager);
    const before = client(server, member(worker, manager.identity.nodeId));
    assert.match(await before.ask(), /^worker/);

    const next = testNode(authority, 'manager');
    server.credentials.replace(next);
    assert.match(await client(server, member(worker, next.identity.nodeId)).ask(), /^worker/);
    await refusal(client(server, member(worker, manager.identity.nodeId)).ask(), /the peer is node/);
    assert.match(await before.ask(), /^worker/);
  });

  it('follows a root rotation: the trusted roots are replaced with the certificate', async () => {
    const newAuthority = testAuthority();
    const server = await start(manager);
    const both = certificatesPem([authority.certificate, newAuthority.certificate]);
    const early = testNode(newAuthority, 'worker');
    assert.equal(await client(server, member({ ...early, rootsPem: both })).ask(), 'nobody');
    server.credentials.replace({ ...manager, rootsPem: both });
    assert.match(await client(server, member({ ...early, rootsPem: both })).ask(), /^worker/);
    assert.match(await client(server, member(worker)).ask(), /^worker/);
  });

  it('asks a client for its certificate anew at every connection', async () => {
    let current: TestNode = worker;
    const trust: ClientTrust = { kind: 'member', identity: () => current, expect: { role: 'manager' } };
    const first = await start(manager);
    assert.match(await client(first, trust).ask(), new RegExp(worker.identity.nodeId));
    current = testNode(authority, 'worker');
    assert.match(await client(first, trust).ask(), new RegExp(current.identity.nodeId));
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    it(`resumes no session of ${version}: every connection shows its certificate`, async () => {
      const server = await start(manager);
      const first = await greeted(server.port, version);
      assert.equal(first.isResumed, false);
      assert.ok(first.session !== undefined, 'there is something to resume');
      assert.equal((await greeted(server.port, version, first.session)).isResumed, false);
    });

  it('speaks TLS 1.2 and 1.3 with authenticated ciphers only', async () => {
    const server = await start(manager);
    // -cipher ...:@SECLEVEL=0 makes openssl offer what its own policy forbids, so that the refusal is the server's.
    const accepted = [
      '-tls1_3',
      '-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256',
      '-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305',
    ];
    const refused = [
      '-tls1_1 -cipher ALL:@SECLEVEL=0',
      '-tls1 -cipher ALL:@SECLEVEL=0',
      '-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0',
      '-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0',
      '-tls1_2 -cipher AES128-GCM-SHA256:@SECLEVEL=0',
      '-tls1_2 -cipher NULL:@SECLEVEL=0',
    ];
    for (const flags of accepted) {
      const out = await sClient(server.port, flags);
      assert.match(out, /Cipher is (TLS_AES_128_GCM_SHA256|ECDHE-ECDSA-\S+)/, flags);
    }
    for (const flags of refused) assert.match(await sClient(server.port, flags), /Cipher is \(NONE\)/, flags);
  });

  it('keeps the parsed certificate of a peer by its fingerprint', () => {
    const [certificate] = parseCertificates(worker.certificatePem);
    assert.ok(certificate);
    const peer = { fingerprint256: 'one', raw: certificate.der };
    const call = { getAuthContext: () => ({ sslPeerCertificate: peer }) };
    assert.equal(peerIdentity(call, Date.now()), peerIdentity(call, Date.now()));
  });
});

/** A connection up to the server's first words, by when all that is there to resume it has come. */
async function greeted(
  port: number,
  version: 'TLSv1.2' | 'TLSv1.3',
  session?: Buffer,
): Promise<{ readonly isResumed: boolean; readonly session: Buffer | undefined }> {
  const socket = connectTls({
    ...{ host: '127.0.0.1', port, ALPNProtocols: ['h2'], rejectUnauthorized: false },
    ...{ minVersion: version, maxVersion: version },
    ...(session === undefined ? {} : { session }),
  });
  try {
    let offered: Buffer | undefined;
    socket.on('session', (bytes) => {
      offered = bytes;
    });
    await withDeadline(once(socket, 'data'), WAIT_MS, 'the first words of the server');
    return { isResumed: socket.isSessionReused(), session: offered ?? socket.getSession() };
  } finally {
    socket.destroy();
  }
}

/** What openssl says about a connection with these flags, refusals included. */
function sClient(port: number, flags: string): Promise<string> {
  return new Promise((resolve) => {
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-alpn', 'h2', ...flags.split(' ')];
    const child = execFile('openssl', args, { timeout: 15_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin?.end();
  });
}
