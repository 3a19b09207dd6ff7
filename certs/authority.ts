/** The cluster's certificate authority: a root certificate, its key, and what they sign. */
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { certificatesPem, parseCertificate } from './certificate.ts';
import { CLIENT_UNITS, type ClientRoleName } from './client-identity.ts';
import { CERTIFICATE_CONFIG } from './config.ts';
import * as der from './der-writer.ts';
import { type DistinguishedName, writeName } from './distinguished-name.ts';
import { badCertificate } from './errors.ts';
import { authorityExtensions, clientExtensions, leafExtensions } from './extensions.ts';
import { CA_SERVER_NAME, ROLE_UNITS } from './identity.ts';
import { generateKeyPair, keyIdentifier, keysMatch, publicKeyDer } from './key.ts';
import { type NodeCertificateOrder, nodeCertificateTimes, nodeDnsNames } from './node-certificate.ts';
import { algorithmIdentifier, signPart } from './signature.ts';

export interface Authority {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
  /** Go along with every certificate that it signs, for peers that know only an older root. */
  readonly intermediates?: readonly Certificate[] | undefined;
}

const ROOT_NAME: DistinguishedName = { commonName: CA_SERVER_NAME };

/** A new self-signed root for a new cluster. */
export function createRootAuthority(nowMs: number): Authority {
  const keys = generateKeyPair();
  const spki = publicKeyDer(keys.publicKey);
  const part = signedPart({
    issuer: writeName(ROOT_NAME),
    subject: writeName(ROOT_NAME),
    publicKeyDer: spki,
    notBeforeMs: nowMs - CERTIFICATE_CONFIG.backdateMs,
    notAfterMs: nowMs + CERTIFICATE_CONFIG.rootLifetimeMs,
    extensions: authorityExtensions(keyIdentifier(spki)),
  });
  return {
    certificate: parseCertificate(signPart(part, keys.privateKey), 'root certificate'),
    privateKey: keys.privateKey,
  };
}

/** An authority from a certificate and its key, which must belong together. */
export function loadAuthority(certificate: Certificate, privateKey: KeyObject): Authority {
  if (!certificate.isAuthority) throw badCertificate('root certificate', 'is not the certificate of an authority');
  if (!keysMatch(privateKey, certificate.publicKeyDer))
    throw badCertificate('root certificate', 'does not belong to the root key');
  return { certificate, privateKey };
}

/**
 * Signs a node's certificate; PEM, the leaf first, then the intermediates of the authority. Every name in it comes from
 * `identity`, none from the node's request.
 */
export function issueNodeCertificate(authority: Authority, order: NodeCertificateOrder): string {
  const { identity, publicKeyDer: spki } = order;
  const root = authority.certificate;
  const part = signedPart({
    issuer: der.raw(root.subjectDer),
    subject: writeName({
      organization: identity.clusterId,
      organizationalUnit: ROLE_UNITS[identity.role],
      commonName: identity.nodeId,
    }),
    publicKeyDer: spki,
    ...nodeCertificateTimes(order, root),
    extensions: leafExtensions(keyIdentifier(spki), keyIdOf(root), nodeDnsNames(identity)),
  });
  return signedChain(authority, part);
}

export interface ClientCertificateOrder {
  readonly identity: { readonly clientId: string; readonly role: ClientRoleName; readonly clusterId: string };
  /** SubjectPublicKeyInfo of a verified request. */
  readonly publicKeyDer: Buffer;
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/**
 * Signs the certificate of a client from outside of the swarm; PEM, as that of a node. It is good for calling and for
 * nothing else, and never outlives the authority's own certificate.
 */
export function issueClientCertificate(authority: Authority, order: ClientCertificateOrder): string {
  const { identity, nowMs } = order;
  const root = authority.certificate;
  const part = signedPart({
    issuer: der.raw(root.subjectDer),
    subject: writeName({
      organization: identity.clusterId,
      organizationalUnit: CLIENT_UNITS[identity.role],
      commonName: identity.clientId,
    }),
    publicKeyDer: order.publicKeyDer,
    notBeforeMs: Math.min(nowMs, Math.max(nowMs - CERTIFICATE_CONFIG.backdateMs, root.notBeforeMs)),
    notAfterMs: Math.min(nowMs + order.lifetimeMs, root.notAfterMs),
    extensions: clientExtensions(keyIdentifier(order.publicKeyDer), keyIdOf(root)),
  });
  return signedChain(authority, part);
}

function signedChain(authority: Authority, part: Buffer): string {
  return certificatesPem([{ der: signPart(part, authority.privateKey) }, ...(authority.intermediates ?? [])]);
}

/**
 * The name and the key of a new root, signed by the present one; who knows only that one can follow with it. It holds as
 * long as both do.
 */
export function crossSign(authority: Authority, newRoot: Certificate, nowMs: number): Certificate {
  const root = authority.certificate;
  const keyId = keyIdOf(newRoot);
  const part = signedPart({
    issuer: der.raw(root.subjectDer),
    subject: der.raw(newRoot.subjectDer),
    publicKeyDer: newRoot.publicKeyDer,
    notBeforeMs: Math.max(nowMs - CERTIFICATE_CONFIG.backdateMs, root.notBeforeMs),
    notAfterMs: Math.min(root.notAfterMs, newRoot.notAfterMs),
    extensions: authorityExtensions(keyId, keyIdOf(root)),
  });
  return parseCertificate(signPart(part, authority.privateKey), 'cross-signed root certificate');
}

/** Subject key identifier of an authority, hexadecimal: what the certificates that it signs name it by. */
export function authorityKeyId(certificate: Certificate): string {
  return keyIdOf(certificate).toString('hex');
}

function keyIdOf({ subjectKeyId, publicKeyDer: spki }: Certificate): Buffer {
  return subjectKeyId === undefined ? keyIdentifier(spki) : Buffer.from(subjectKeyId, 'hex');
}

/** sha256 of the certificate's DER, hexadecimal: what join tokens pin. */
export function certificateDigest(certificate: Pick<Certificate, 'der'>): string {
  return createHash('sha256').update(certificate.der).digest('hex');
}

interface PartInit {
  readonly issuer: der.DerValue;
  readonly subject: der.DerValue;
  readonly publicKeyDer: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly der.DerValue[];
}

function signedPart(init: PartInit): Buffer {
  return der.encode(
    der.sequence(
      der.explicit(0, der.integer(Buffer.of(2))), // version 3
      der.integer(newSerial()),
      algorithmIdentifier(),
      init.issuer,
      der.sequence(der.time(init.notBeforeMs), der.time(init.notAfterMs)),
      init.subject,
      der.raw(init.publicKeyDer),
      der.explicit(3, der.sequence(...init.extensions)),
    ),
  );
}

/** 126 random bits: positive, of fixed length, and nobody has to keep a list of those given out. */
function newSerial(): Buffer {
  const serial = randomBytes(16);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  return serial;
}
