/**
 * Goal: nobody talks a server of ours into less than it wants, nor a client of ours into trusting less. Method: servers
 * and clients of ours on loopback, openssl and plain node:tls on the other end.
 */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { readPrivateKey } from '#certs/key.ts';
import { decodePem } from '#certs/pem.ts';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { TlsServer } from '#test/proto/grpc/tls-server.ts';
import { failure } from '#test/support/failure.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from './fixtures.ts';
import { must } from './rejects.ts';

const WAIT_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;

describe('TLS under attack', () => {
  const authority = testAuthority();
  const manager = testNode(authority, 'manager');
  const worker = testNode(authority, 'worker');

  describe('of a server', () => {
    const server = new TlsServer(manager);
    const children: ChildProcessWithoutNullStreams[] = [];
    const port = (): number => Number(server.address.split(':')[1]);

    before(() => server.listen());
    after(() => server.close());
    afterEach(() => {
      for (const child of children.splice(0)) child.kill('SIGKILL');
    });

    function sClient(...args: string[]): ChildProcessWithoutNullStreams {
      const child = spawn('openssl', ['s_client', '-connect', server.address, '-alpn', 'h2', ...args]);
      children.push(child);
      return child;
    }

    /** All that it says until it ends. */
    async function saidBy(child: ChildProcessWithoutNullStreams): Promise<string> {
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
      await withDeadline(once(child, 'close'), WAIT_MS, 'openssl to end');
      return text;
    }

    /** The server goes on for others. */
    async function stillServes(): Promise<void> {
      const error = await failure(createClient(HealthService, server.connect(worker)).check({}));
      assert.equal(error.message, 'reached the handler');
    }

    for (const flags of [
      ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'RSA:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'aNULL:eNULL:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', '3DES:@SECLEVEL=0'],
      ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_8_SHA256'],
      ['-tls1_3', '-curves', 'secp521r1'],
    ])
      it(`no connection with ${flags.join(' ')}`, async () => {
        const child = sClient(...flags);
        child.stdin.end();
        assert.match(await saidBy(child), /Cipher is \(NONE\)|no cipher|no ciphers available/i);
        await stillServes();
      });

    it('no renegotiation, by which a client would make it work without end', async () => {
      const child = sClient('-tls1_2');
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes('Verify return code') && child.stdin.writable) child.stdin.write('R\n');
      });
      const said = saidBy(child);
      await withDeadline(once(child, 'close'), WAIT_MS, 'the connection to be closed');
      assert.match(
        await said,
        /RENEGOTIATING[\s\S]*(no renegotiation|handshake failure|unexpected|alert|:error:|read:errno)/i,
      );
      await stillServes();
    });

    it('no compression, and no session that could be resumed', async () => {
      const child = sClient('-tls1_2', '-comp');
      child.stdin.end();
      const text = await saidBy(child);
      assert.match(text, /Compression: NONE/);
      assert.doesNotMatch(text, /TLS session ticket:/);
    });

    for (const protocols of [undefined, ['http/1.1'], ['h3', 'spdy/1']])
      it(`nothing but HTTP/2: ${protocols?.join(', ') ?? 'no protocol at all'} gets no answer of a service`, async () => {
        const socket = connect({
          ...{ host: '127.0.0.1', port: port(), ca: manager.rootsPem, checkServerIdentity: () => undefined },
          ...(protocols === undefined ? {} : { ALPNProtocols: protocols }),
        });
        const text = await heardOn(socket, 'POST /swarm.v1.ControlService/GetCluster HTTP/1.1\r\nHost: x\r\n\r\n');
        assert.doesNotMatch(text, /grpc-status|200 OK/);
        await stillServes();
      });

    it('no word without TLS', async () => {
      const socket = connectTcp(port(), '127.0.0.1');
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      socket.resume();
      socket.on('error', () => {});
      await withDeadline(once(socket, 'close'), WAIT_MS, 'the connection to be closed');
      await stillServes();
    });
  });

  describe('of a client', () => {
    const servers: Server[] = [];
    const transports: GrpcTransport[] = [];
    afterEach(() => {
      for (const transport of transports.splice(0)) transport.close();
      for (const server of servers.splice(0)) server.close();
    });

    /** What a worker says when it calls who pretends to be a manager. */
    async function calls(pretender: TestNode, options: { readonly maxVersion?: 'TLSv1.1' } = {}): Promise<string> {
      const { certificatePem: cert, privateKeyPem: key } = pretender;
      const weak = options.maxVersion === undefined ? {} : { minVersion: 'TLSv1' as const, ciphers: 'ALL:@SECLEVEL=0' };
      const server = createServer({ cert, key, ALPNProtocols: ['h2'], ...weak, ...options }, (socket) => {
        socket.on('error', () => {});
        socket.end();
      });
      server.on('tlsClientError', () => {});
      servers.push(server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      assert.ok(typeof address === 'object' && address !== null);
      const trust = {
        kind: 'member',
        identity: () => worker,
        expect: { role: 'manager', clusterId: CLUSTER_ID },
      } as const;
      const transport = new GrpcTransport({
        target: { kind: 'address', name: `127.0.0.1:${address.port}` },
        credentials: new NodeChannelCredentials(trust),
      });
      transports.push(transport);
      return (await failure(createClient(HealthService, transport).check({}, { timeoutMs: WAIT_MS }))).message;
    }

    it('one that has expired, one that does not hold yet', async () => {
      const expired = testNode(authority, 'manager', { nowMs: Date.now() - 10 * DAY_MS, lifetimeMs: DAY_MS });
      assert.match(await calls(expired), /certificate/);
      assert.match(await calls(testNode(authority, 'manager', { nowMs: Date.now() + DAY_MS })), /certificate/);
    });

    it('one of another root, of a worker, of another cluster', async () => {
      assert.match(await calls(testNode(testAuthority(), 'manager')), /certificate/);
      assert.match(await calls(testNode(authority, 'worker')), /the peer is a worker, not a manager/);
      const elsewhere = testNode(authority, 'manager', { clusterId: '0'.repeat(25) });
      assert.match(await calls(elsewhere), /the peer belongs to cluster 0{25}/);
    });

    it('one that a worker has signed, with its own certificate in between', async () => {
      const [certificate] = parseCertificates(worker.certificatePem);
      const [der] = decodePem(worker.privateKeyPem, 'PRIVATE KEY', { maxBytes: 4096, maxBlocks: 1 }, 'key');
      const between = { certificate: must(certificate), privateKey: readPrivateKey(must(der), 'key') };
      const leaf = testNode(between, 'manager');
      const chain = leaf.certificatePem + certificatesPem([must(certificate)]);
      assert.match(await calls({ ...leaf, certificatePem: chain }), /certificate|CA/);
    });

    it('one that speaks TLS 1.1 at most', async () => {
      assert.match(
        await calls(testNode(authority, 'manager'), { maxVersion: 'TLSv1.1' }),
        /does not speak TLS as a Starling manager does/,
      );
    });
  });
});

/** What comes back until the other end closes, or says nothing for a second. */
async function heardOn(socket: TLSSocket, words: string): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  socket.on('error', () => {});
  socket.on('secureConnect', () => socket.write(words));
  socket.setTimeout(1_000, () => socket.destroy());
  const closed = new Promise((resolve) => socket.once('close', resolve)); // a refusal is an error, too
  await withDeadline(closed, WAIT_MS, 'the connection to be closed');
  return text;
}
