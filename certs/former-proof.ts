/** How a host that joins again shows that it was a node before: the key that it had then signs its new request. */
import { type KeyObject, sign, verify } from 'node:crypto';

/** So that nothing else that this key ever signs can be taken for it. */
const DOMAIN = Buffer.from('starling former node\n');

/** `csrPem`: exactly the bytes of the request that is sent. */
export function proveFormer(csrPem: Uint8Array, formerKey: KeyObject): Buffer {
  return sign('sha256', Buffer.concat([DOMAIN, csrPem]), formerKey);
}

export function formerProofHolds(csrPem: Uint8Array, signature: Uint8Array, formerKey: KeyObject): boolean {
  try {
    return verify('sha256', Buffer.concat([DOMAIN, csrPem]), formerKey, signature);
  } catch {
    return false; // a signature that is not a DER pair of integers
  }
}
