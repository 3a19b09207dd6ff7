/** ECDSA P-256 keys: the only kind that Starling makes and accepts. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { DerCursor, type DerNode, TAGS } from './der.ts';
import { badCertificate } from './errors.ts';
import { readObjectIdentifier } from './object-identifier.ts';
import { OIDS } from './oids.ts';

/** An uncompressed point: 04, x, y. */
const POINT_BYTES = 65;

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** A new key. Takes 0.06 ms, so it is made where it is needed. */
export function generateKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** The pair of a private key that was kept. */
export function keyPairOf(privateKey: KeyObject): KeyPair {
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** SubjectPublicKeyInfo, the form in which certificates carry a key. */
export function publicKeyDer(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** The key of a SubjectPublicKeyInfo that has been read strictly. Refuses everything but points on P-256. */
export function readPublicKey(node: DerNode, what: string): KeyObject {
  const parts = new DerCursor(node, TAGS.sequence, what);
  const algorithm = new DerCursor(parts.take(TAGS.sequence, 'key algorithm'), TAGS.sequence, what);
  const type = readObjectIdentifier(algorithm.take(TAGS.objectIdentifier, 'key algorithm'), what);
  if (type !== OIDS.ecPublicKey) throw notP256(what);
  const curve = algorithm.takeOptional(TAGS.objectIdentifier);
  if (curve === undefined || readObjectIdentifier(curve, what) !== OIDS.prime256v1) throw notP256(what);
  algorithm.end();
  const point = readWholeBytes(parts.take(TAGS.bitString, 'public key'), what);
  parts.end();
  if (point.length !== POINT_BYTES || point[0] !== 0x04) throw badCertificate(what, 'has a malformed public key');
  try {
    return createPublicKey({ key: node.raw, type: 'spki', format: 'der' });
  } catch (error) {
    throw badCertificate(what, 'has a public key that is not a point on P-256', undefined, error);
  }
}

function notP256(what: string): Error {
  return badCertificate(what, 'its key is not an ECDSA P-256 key', 'make the key with curve P-256 (prime256v1)');
}

/** The bytes of a bit string that has no unused bits. */
export function readWholeBytes(node: DerNode, what: string): Buffer {
  if (node.content[0] !== 0) throw badCertificate(what, 'has a bit string of a broken number of bytes');
  return node.content.subarray(1);
}

/** The private key of PKCS#8 or SEC 1 bytes; P-256 only. `what` names the file for errors. */
export function readPrivateKey(der: Buffer, what: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
  } catch (error) {
    throw badCertificate(what, 'is not a PKCS#8 private key', undefined, error);
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw notP256(what);
  return key;
}

/** Whether the two are the halves of one pair. */
export function keysMatch(key: KeyObject, publicKey: Buffer): boolean {
  return publicKeyDer(key).equals(publicKey);
}

/** Subject key identifier: SHA-1 of the point (RFC 5280, 4.2.1.2). A name, not a protection. */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-POINT_BYTES)).digest();
}
