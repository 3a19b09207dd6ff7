/**
 * Unlock keys, in Swarm's form: `SWMKEY-1-<key>`, 256 random bits in 50 base36 digits. Managers that are locked
 * automatically encrypt their own keys on disk with it. No error of this file repeats any part of a key.
 */
import { randomBytes } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { decodeBase36, encodeBase36 } from './base36.ts';

const PREFIX = 'SWMKEY';
const VERSION = '1';
const DIGITS = 50;
export const UNLOCK_KEY_BYTES = 32;
export const UNLOCK_KEY_LENGTH = PREFIX.length + VERSION.length + DIGITS + 2;

export function createUnlockKey(): Uint8Array {
  return randomBytes(UNLOCK_KEY_BYTES);
}

export function formatUnlockKey(key: Uint8Array): string {
  return [PREFIX, VERSION, encodeBase36(key, DIGITS)].join('-');
}

/** @throws SwarmError `wrong-key` with what is wrong about its form */
export function parseUnlockKey(text: string): Uint8Array {
  // A bound first: the rest of this function then looks at few bytes, whatever was sent.
  if (text.length > 4 * UNLOCK_KEY_LENGTH)
    throw badKey(`it is ${text.length} characters long; a key has ${UNLOCK_KEY_LENGTH}`);
  if (text === '') throw badKey('it is empty');
  const [prefix, version, digits, ...rest] = text.split('-');
  if (prefix !== PREFIX) throw badKey(`it does not begin with ${PREFIX}-`);
  if (version === undefined || !/^\d{1,3}$/.test(version))
    throw badKey(`${PREFIX}- is not followed by a version number`);
  if (version !== VERSION) throw badKey(`it is of version ${version}; only version ${VERSION} is understood`);
  if (digits === undefined || rest.length > 0) throw badKey('it does not have three parts separated by -');
  if (digits.length !== DIGITS)
    throw badKey(`its third part is ${digits.length} characters long; it has to be ${DIGITS}`);
  const wrong = digits.search(/[^0-9a-z]/);
  if (wrong !== -1) throw badKey(`character ${wrong + 1} of its third part is not one of 0-9 and a-z`);
  const key = decodeBase36(digits, UNLOCK_KEY_BYTES);
  if (key === undefined) throw badKey('its third part is out of range');
  return key;
}

function badKey(problem: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'wrong-key',
    field: 'unlock-key',
    message: `the unlock key is malformed: ${problem}`,
    hint: 'give the whole key that `swarm unlock-key` prints on a manager that is not locked',
  });
}
