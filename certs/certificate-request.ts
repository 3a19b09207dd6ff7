/** Certificate signing requests (PKCS#10). */
import type { KeyObject } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { contextTag, DerCursor, readDer, TAGS } from './der.ts';
import * as der from './der-writer.ts';
import { type DistinguishedName, readName, writeName } from './distinguished-name.ts';
import { badCertificate } from './errors.ts';
import { type KeyPair, publicKeyDer, readPublicKey } from './key.ts';
import { decodePem, encodePem } from './pem.ts';
import { readSigned, signatureHolds, signPart } from './signature.ts';

/** A request whose signature holds: whoever made it has the private key. */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  /** SubjectPublicKeyInfo. */
  readonly publicKeyDer: Buffer;
  /** What the requester would like to be called. Never copied into a certificate. */
  readonly subject: DistinguishedName;
}

const WHAT = 'certificate request';

/** A request for a certificate of this key, as PEM. A new node has no name yet; a renewal names the node. */
export function createCertificateRequest(keys: KeyPair, subject: DistinguishedName = {}): string {
  return requestFor(keys, writeName(subject));
}

/** A request for a certificate of this key with exactly this name, encoded. */
export function createRequestNamed(keys: KeyPair, subjectDer: Buffer): string {
  return requestFor(keys, der.raw(subjectDer));
}

function requestFor(keys: KeyPair, subject: der.DerValue): string {
  const part = der.encode(
    der.sequence(
      der.integer(Buffer.of(0)),
      subject,
      der.raw(publicKeyDer(keys.publicKey)),
      der.explicit(0), // no attributes
    ),
  );
  return encodePem('CERTIFICATE REQUEST', signPart(part, keys.privateKey));
}

/** Reads a request and verifies its signature. Attributes (wishes for names and extensions) are not looked at. */
export function parseCertificateRequest(pem: Uint8Array | string): CertificateRequest {
  if (pem.length > LIMITS.CSR_BYTES)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      limit: 'CSR_BYTES',
      message: `${WHAT}: is larger than ${LIMITS.CSR_BYTES} bytes (${pem.length} bytes)`,
    });
  const [bytes] = decodePem(pem, 'CERTIFICATE REQUEST', { maxBytes: LIMITS.CSR_BYTES, maxBlocks: 1 }, WHAT);
  const { part, signature } = readSigned(readDer(bytes ?? Buffer.alloc(0), WHAT), WHAT);
  const cursor = new DerCursor(part, TAGS.sequence, WHAT);
  const version = cursor.take(TAGS.integer, 'version').content;
  if (!version.equals(Buffer.of(0))) throw badCertificate(WHAT, 'is not of PKCS#10 version 1');
  const subject = readName(cursor.take(TAGS.sequence, 'subject'), WHAT);
  const keyNode = cursor.take(TAGS.sequence, 'public key');
  const publicKey = readPublicKey(keyNode, WHAT);
  cursor.takeOptional(contextTag(0));
  cursor.end();
  if (!signatureHolds(part.raw, signature, publicKey))
    throw badCertificate(WHAT, 'its signature does not match its public key');
  return { publicKey, publicKeyDer: keyNode.raw, subject };
}
