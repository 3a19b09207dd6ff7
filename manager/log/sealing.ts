import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomFillSync,
} from 'node:crypto';
import { assert, SwarmError } from '#common/errors.ts';

/** Bytes of a data key, of a file's salt, of the name of a key. */
export const DATA_KEY_BYTES = 32;
export const SALT_BYTES = 32;
export const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What sealing adds to a body. */
export const SEAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/**
 * The data keys of one manager. New files are sealed with `current`; files sealed with one of `previous` can still be
 * read, which is what a rotation needs until a snapshot has replaced them.
 */
export interface DataKeys {
  readonly current: Uint8Array;
  readonly previous?: readonly Uint8Array[];
}

/** Names a data key in a file's header without telling anything about it. */
export function keyId(dataKey: Uint8Array): Uint8Array {
  assert(dataKey.length === DATA_KEY_BYTES, `a data key has ${DATA_KEY_BYTES} bytes`);
  return createHash('sha256').update('starling data key id\0').update(dataKey).digest().subarray(0, KEY_ID_BYTES);
}

/** The name of a data key, as a text that can be compared. */
export function keyName(dataKey: Uint8Array): string {
  return nameOfKeyId(keyId(dataKey));
}

export function nameOfKeyId(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

/** The data key that a file's header names; throws `corrupt-state` when it is not among the keys. */
export function findKey(keys: DataKeys, id: Uint8Array, file: string): Uint8Array {
  for (const candidate of [keys.current, ...(keys.previous ?? [])])
    if (Buffer.compare(keyId(candidate), id) === 0) return candidate;
  throw new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `${file} is sealed with another data key (${nameOfKeyId(id)}) than the node's key file holds`,
    hint: 'restore the key file that belongs to this state directory',
  });
}

/** What seals one body. */
interface Seal {
  readonly nonce: Uint8Array;
  readonly cipher: CipherGCM;
}

/**
 * Seals and opens bodies of one file with AES-256-GCM. Every file has a key of its own, derived from the data key, the
 * file's random salt and its header, so a changed header opens nothing. Every body has a random 96-bit nonce: with the
 * few million bodies that a file can hold, a repeated one is out of reach, also where a torn tail is written again.
 */
export class Sealer {
  /** Made once: with the bare bytes, every cipher would make one of its own, at four times the cost. */
  readonly #key: KeyObject;
  /** For the next body. Invariant: leaves here when it is used, since a nonce must never be used again. */
  #prepared: Seal | undefined;

  constructor(dataKey: Uint8Array, salt: Uint8Array, header: Uint8Array) {
    this.#key = createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, salt, header, 32)));
  }

  /** Writes nonce, ciphertext and tag of the body to the target at the offset; returns the offset after them. */
  sealInto(target: Buffer, offset: number, body: Uint8Array, authenticated: Uint8Array): number {
    const { nonce, cipher } = this.#prepared ?? this.#begin();
    this.#prepared = undefined;
    target.set(nonce, offset);
    cipher.setAAD(authenticated);
    let end = offset + NONCE_BYTES;
    end += cipher.update(body).copy(target, end);
    end += cipher.final().copy(target, end);
    return end + cipher.getAuthTag().copy(target, end);
  }

  /** Does now what the next sealing can do without its body: a third of its time. */
  prepare(): void {
    this.#prepared ??= this.#begin();
  }

  #begin(): Seal {
    const nonce = freshNonce();
    return { nonce, cipher: createCipheriv('aes-256-gcm', this.#key, nonce) };
  }

  /** The body, or undefined when anything of it or of what it is bound to was changed. */
  open(sealed: Uint8Array, authenticated: Uint8Array): Uint8Array | undefined {
    if (sealed.length < SEAL_OVERHEAD_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(authenticated);
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const body = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return body;
  }
}

/** Randomness for nonces, drawn from the kernel for many at once: a draw for each costs as much as the sealing. */
const nonces = Buffer.allocUnsafe(NONCE_BYTES * 256);
let noncesUsed = nonces.length;

/** A copy: it outlives the next draw. */
function freshNonce(): Uint8Array {
  if (noncesUsed === nonces.length) {
    randomFillSync(nonces);
    noncesUsed = 0;
  }
  noncesUsed += NONCE_BYTES;
  return new Uint8Array(nonces.subarray(noncesUsed - NONCE_BYTES, noncesUsed));
}
