/**
 * How a manager's own keys are encrypted by the unlock key: AES-256-GCM under a key of its own for each file and each
 * writing, derived by HKDF-SHA256 from the unlock key and a fresh salt. The unlock key is 256 random bits, never a
 * password, so there is nothing that a slow derivation would protect. What stands in the clear beside the ciphertext is
 * authenticated: a changed version or header opens nothing.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';

/** The unlock key of a cluster, and which one it is. */
export interface KeyLock {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Raised with each rotation. */
  readonly version: number;
}

const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Salt, nonce, ciphertext and tag. `header` is the text that the file has in the clear. */
export function lockBytes({ key }: KeyLock, header: string, plain: Uint8Array): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', derive(key, salt), nonce);
  cipher.setAAD(Buffer.from(header, 'utf8'));
  return Buffer.concat([salt, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined for another key, another header, or bytes that were changed. The time does not tell how wrong it was. */
export function unlockBytes(key: Uint8Array, header: string, locked: Uint8Array): Buffer | undefined {
  if (locked.length < SALT_BYTES + NONCE_BYTES + TAG_BYTES) return undefined;
  const salt = locked.subarray(0, SALT_BYTES);
  const nonce = locked.subarray(SALT_BYTES, SALT_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', derive(key, salt), nonce);
  decipher.setAAD(Buffer.from(header, 'utf8'));
  decipher.setAuthTag(locked.subarray(locked.length - TAG_BYTES));
  const plain = decipher.update(locked.subarray(SALT_BYTES + NONCE_BYTES, locked.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain;
}

function derive(key: Uint8Array, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, 'starling manager key', 32));
}

/** Whether both stand for the same key, or both for none. */
export function sameLock(left: KeyLock | undefined, right: KeyLock | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.version === right.version && Buffer.compare(left.key, right.key) === 0;
}

/** A key file is encrypted, and the key is not here. `swarm unlock` brings it. */
export function lockedError(version: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'locked',
    message:
      'Swarm is encrypted and needs to be unlocked before it can be used. Please use "swarm unlock" to unlock it.',
    hint: `run \`swarm unlock\` on this node; its keys are encrypted with version ${version} of the unlock key`,
  });
}

/** The key that was tried is not the one. Never says anything of the key. */
export function wrongKey(version: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'wrong-key',
    message: `invalid key provided: this manager's keys are encrypted with version ${version} of the unlock key, and the key that was given does not open them`,
    hint: `a manager that was down while the key was rotated needs the key of before (version ${version}) once more, and takes over the new one by itself; if that is lost: \`swarm leave --force\` here, \`swarm node rm --force\` on another manager, and join again`,
  });
}
