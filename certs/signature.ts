/** ECDSA with SHA-256 over the exact bytes of the signed part, as certificates and requests have it. */
import { type KeyObject, sign, verify } from 'node:crypto';
import { DerCursor, type DerNode, TAGS } from './der.ts';
import * as der from './der-writer.ts';
import { badCertificate } from './errors.ts';
import { readWholeBytes } from './key.ts';
import { readObjectIdentifier } from './object-identifier.ts';
import { OIDS } from './oids.ts';

/** A structure of X.509 that is signed: the part, the algorithm, the signature. */
export interface SignedPart {
  readonly part: DerNode;
  readonly signature: Buffer;
}

export function algorithmIdentifier(): der.DerValue {
  return der.sequence(der.objectIdentifier(OIDS.ecdsaWithSha256));
}

/** The part with its signature, as DER. */
export function signPart(part: Buffer, key: KeyObject): Buffer {
  const signature = sign('sha256', part, key);
  return der.encode(der.sequence(der.raw(part), algorithmIdentifier(), der.bitString(signature)));
}

/** Takes a signed structure apart. Does not verify: see `signatureHolds`. */
export function readSigned(node: DerNode, what: string): SignedPart {
  const cursor = new DerCursor(node, TAGS.sequence, what);
  const part = cursor.take(TAGS.sequence, 'signed part');
  readAlgorithm(cursor.take(TAGS.sequence, 'signature algorithm'), what);
  const signature = readWholeBytes(cursor.take(TAGS.bitString, 'signature'), what);
  cursor.end();
  return { part, signature };
}

export function readAlgorithm(node: DerNode, what: string): void {
  const cursor = new DerCursor(node, TAGS.sequence, what);
  const algorithm = readObjectIdentifier(cursor.take(TAGS.objectIdentifier, 'signature algorithm'), what);
  if (algorithm !== OIDS.ecdsaWithSha256 || !cursor.done)
    throw badCertificate(what, `is signed by algorithm ${algorithm}`, 'sign with ECDSA and SHA-256');
}

export function signatureHolds(part: Buffer, signature: Buffer, key: KeyObject): boolean {
  try {
    return verify('sha256', part, key, signature);
  } catch {
    return false; // a signature that is not a DER pair of integers
  }
}
