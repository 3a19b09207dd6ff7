import { type Authority, createRootAuthority, issueClientCertificate, issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import type { ClientRoleName } from '#certs/client-identity.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import type { NodeIdentity, NodeRoleName } from '#certs/identity.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { newId } from '#common/ids.ts';
import { SeededRandom } from '#common/random.ts';

const random = new SeededRandom(1);

export const CLUSTER_ID = newId(random);

export function identity(role: NodeRoleName, clusterId = CLUSTER_ID): NodeIdentity {
  return { nodeId: newId(random), role, clusterId };
}

export interface TestNode extends TlsIdentity {
  readonly identity: NodeIdentity;
}

export interface TestNodeOptions {
  readonly nowMs?: number;
  readonly lifetimeMs?: number;
  readonly clusterId?: string;
  /** Of a node that has a certificate already. */
  readonly identity?: NodeIdentity;
}

/** A node with a key and a certificate that the authority has signed. */
export function testNode(authority: Authority, role: NodeRoleName, options: TestNodeOptions = {}): TestNode {
  const keys = generateKeyPair();
  const who = options.identity ?? identity(role, options.clusterId);
  const certificatePem = issueNodeCertificate(authority, {
    identity: who,
    publicKeyDer: publicKeyDer(keys.publicKey),
    nowMs: options.nowMs ?? Date.now(),
    lifetimeMs: options.lifetimeMs ?? CERTIFICATE_CONFIG.nodeLifetimeMs,
  });
  return {
    identity: who,
    certificatePem,
    privateKeyPem: privateKeyPem(keys.privateKey),
    rootsPem: certificatesPem([authority.certificate]),
  };
}

export function testAuthority(nowMs = Date.now()): Authority {
  return createRootAuthority(nowMs);
}

export interface TestClient extends TlsIdentity {
  readonly clientId: string;
  readonly role: ClientRoleName;
  readonly serial: string;
}

export interface TestClientOptions extends Omit<TestNodeOptions, 'identity'> {
  /** Of a client that has a certificate already. */
  readonly clientId?: string;
}

/** A client from outside with a key and a certificate that the authority has signed. */
export function testClient(authority: Authority, role: ClientRoleName, options: TestClientOptions = {}): TestClient {
  const keys = generateKeyPair();
  const clientId = options.clientId ?? newId(random);
  const certificatePem = issueClientCertificate(authority, {
    identity: { clientId, role, clusterId: options.clusterId ?? CLUSTER_ID },
    publicKeyDer: publicKeyDer(keys.publicKey),
    nowMs: options.nowMs ?? Date.now(),
    lifetimeMs: options.lifetimeMs ?? CERTIFICATE_CONFIG.nodeLifetimeMs,
  });
  const [leaf] = parseCertificates(certificatePem);
  return {
    clientId,
    role,
    serial: leaf?.serial ?? '',
    certificatePem,
    privateKeyPem: privateKeyPem(keys.privateKey),
    rootsPem: certificatesPem([authority.certificate]),
  };
}
