/**
 * The key of saved snapshots as users keep it: `SWMSNP-1-` and 50 base36 digits. No error of this file repeats any part
 * of a key.
 */
import { decodeBase36, encodeBase36 } from '#certs/base36.ts';
import { SwarmError } from '#common/errors.ts';
import { DATA_KEY_BYTES } from '#manager/log/index.ts';

const PREFIX = 'SWMSNP';
const VERSION = '1';
const DIGITS = 50;
const LENGTH = PREFIX.length + VERSION.length + DIGITS + 2;

export function formatSnapshotKey(key: Uint8Array): string {
  return [PREFIX, VERSION, encodeBase36(key, DIGITS)].join('-');
}

/** @throws SwarmError `wrong-key` with what is wrong about its form. White space around it does not count. */
export function parseSnapshotKey(text: string): Uint8Array {
  const trimmed = text.trim();
  if (trimmed === '') throw badKey('it is empty');
  if (trimmed.length > 4 * LENGTH) throw badKey(`it is ${trimmed.length} characters long; a key has ${LENGTH}`);
  const [prefix, version, digits, ...rest] = trimmed.split('-');
  if (prefix !== PREFIX) throw badKey(`it does not begin with ${PREFIX}-`);
  if (version !== VERSION) throw badKey(`it is of another version than ${VERSION}`);
  if (digits === undefined || rest.length > 0) throw badKey('it does not have three parts separated by -');
  if (digits.length !== DIGITS)
    throw badKey(`its third part is ${digits.length} characters long; it has to be ${DIGITS}`);
  if (/[^0-9a-z]/.test(digits)) throw badKey('its third part has other characters than 0-9 and a-z');
  const key = decodeBase36(digits, DATA_KEY_BYTES);
  if (key === undefined) throw badKey('its third part is out of range');
  return key;
}

function badKey(what: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'wrong-key',
    field: '--key',
    message: `this is no snapshot key: ${what}`,
    hint: 'read it on a manager of the swarm that was saved: swarm snapshot key',
  });
}
