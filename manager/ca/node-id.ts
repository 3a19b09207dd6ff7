import { createHash } from 'node:crypto';
import { encodeBase36 } from '#certs/base36.ts';
import { ID_LENGTH } from '#common/ids.ts';

const DOMAIN = 'starling node id\n';
const BYTES = 16;

/**
 * The id of the node that joins with this key (SubjectPublicKeyInfo): 128 bits of its hash. A joiner whose answer was
 * lost asks again with the same key and gets the same id, so that no ghost stays behind; and nobody can ask for the id
 * of another node, whose key he does not have. Later renewals change the key and keep the id.
 */
export function nodeIdOfKey(publicKeyDer: Uint8Array): string {
  const digest = createHash('sha256').update(DOMAIN).update(publicKeyDer).digest();
  return encodeBase36(digest.subarray(0, BYTES), ID_LENGTH);
}
