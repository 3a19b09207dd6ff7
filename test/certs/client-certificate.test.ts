/**
 * Goal: a client's certificate is good for calling and nothing else, and nobody takes it for a node's, nor a node's for a
 * client's. Method: certificates of both kinds, read by us, by Node's TLS and by openssl.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:tls';
import { issueClientCertificate } from '#certs/authority.ts';
import { parseCertificate, parseCertificates } from '#certs/certificate.ts';
import { CLIENT_UNITS, type ClientRoleName, certifiedClient, isClientCertificate } from '#certs/client-identity.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { peerIdentity } from '#certs/peer.ts';
import { connectNode } from '#certs/tls-client.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { CLUSTER_ID, testAuthority, testClient, testNode } from './fixtures.ts';
import { openssl, withFiles } from './openssl.ts';
import { must, rejects } from './rejects.ts';

const HOUR_MS = 60 * 60 * 1000;
const authority = testAuthority();
const leafOf = (pem: string) => must(parseCertificates(pem)[0]);

describe('client certificates', () => {
  it('say who the client is, and lead to the root', () => {
    for (const role of Object.keys(CLIENT_UNITS) as ClientRoleName[]) {
      const client = testClient(authority, role);
      const leaf = leafOf(client.certificatePem);
      const found = certifiedClient(leaf);
      assert.deepEqual([found.clientId, found.role, found.clusterId], [client.clientId, role, CLUSTER_ID]);
      assert.equal(found.serial, leaf.serial);
      assert.equal(found.issuerKeyId, authority.certificate.subjectKeyId);
      assert.equal(verifyChain([leaf], [authority.certificate], Date.now()), undefined);
    }
  });

  it('are for clients only, without a name of a host', async () => {
    const { certificatePem } = testClient(authority, 'admin');
    const text = await withFiles({ crt: certificatePem }, (path) =>
      openssl('x509', '-in', path('crt'), '-noout', '-purpose', '-ext', 'extendedKeyUsage'),
    );
    assert.match(text, /SSL client : Yes/);
    assert.match(text, /SSL server : No/);
    assert.match(text, /critical\s+TLS Web Client Authentication\s*$/m);
    assert.deepEqual(leafOf(certificatePem).dnsNames, []);
  });

  it('never outlive the root, whose own end is theirs', () => {
    const keys = generateKeyPair();
    const pem = issueClientCertificate(authority, {
      identity: { clientId: '0'.repeat(25), role: 'viewer', clusterId: CLUSTER_ID },
      publicKeyDer: publicKeyDer(keys.publicKey),
      nowMs: Date.now(),
      lifetimeMs: 40 * 365 * 24 * HOUR_MS,
    });
    assert.equal(leafOf(pem).notAfterMs, authority.certificate.notAfterMs);
  });

  it('are no nodes, and nodes are no clients', () => {
    const client = leafOf(testClient(authority, 'admin').certificatePem);
    assert.throws(() => certifiedIdentity(client), rejects('bad-certificate', /has no role/));
    for (const role of ['manager', 'worker'] as const) {
      const node = leafOf(testNode(authority, role).certificatePem);
      assert.equal(isClientCertificate(node), false);
      assert.throws(() => certifiedClient(node), rejects('bad-certificate', /has no client's role/));
    }
    assert.throws(() => certifiedClient(authority.certificate), rejects('bad-certificate', /of an authority/));
  });

  it('that could be servers are refused, whoever has made them', () => {
    const client = leafOf(testClient(authority, 'admin').certificatePem);
    const node = leafOf(testNode(authority, 'manager').certificatePem);
    // The extensions of a node under the name of a client, as an authority outside might write them.
    for (const more of [
      { extendedKeyUsage: node.extendedKeyUsage },
      { dnsNames: ['a'] },
      { extendedKeyUsage: undefined },
    ])
      assert.throws(() => certifiedClient({ ...client, ...more }), rejects('bad-certificate', /more than calling/));
  });

  it('are told from nodes where a call comes in, and end there too', () => {
    const { certificatePem, clientId } = testClient(authority, 'viewer');
    const { der } = leafOf(certificatePem);
    const call = (name: string) => ({
      getAuthContext: () => ({ sslPeerCertificate: { fingerprint256: name, raw: der } }),
    });
    const peer = must(peerIdentity(call('client'), Date.now()));
    assert.ok(peer.kind === 'client' && peer.clientId === clientId);
    const late = leafOf(certificatePem).notAfterMs + 1;
    assert.throws(() => peerIdentity(call('client'), late), rejects('expired', /certificate of client .* has expired/));
    const node = parseCertificate(leafOf(testNode(authority, 'worker').certificatePem).der);
    const found = peerIdentity(
      { getAuthContext: () => ({ sslPeerCertificate: { fingerprint256: 'node', raw: node.der } }) },
      0,
    );
    assert.equal(found?.kind, 'node');
  });

  it('are worth nothing to a server', async () => {
    const posing = testClient(authority, 'admin');
    const server = createServer({ key: posing.privateKeyPem, cert: posing.certificatePem, ALPNProtocols: ['h2'] });
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const member = testNode(authority, 'worker');
    const socket = connectNode(
      { host: '127.0.0.1', port },
      { kind: 'member', identity: () => member, expect: { role: 'manager', clusterId: CLUSTER_ID } },
    );
    try {
      const [error] = await once(socket, 'error');
      assert.match(String(error), /unsuitable certificate purpose|INVALID_PURPOSE|has no role/);
    } finally {
      socket.destroy();
      server.close();
    }
  });
});
