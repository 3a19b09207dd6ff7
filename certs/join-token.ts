/**
 * Join tokens, in Swarm's form: `SWMTKN-1-<digest>-<secret>`. The digest (sha256 of the root certificate's DER, 50
 * base36 digits) lets a joiner know the right cluster; the secret (128 bits, 25 digits) says which role it may have.
 * No error of this file repeats any part of a token.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { decodeBase36, encodeBase36 } from './base36.ts';

export interface JoinToken {
  /** sha256 of the root certificate's DER, hexadecimal. */
  readonly rootDigest: string;
  /** 25 base36 digits. */
  readonly secret: string;
}

const PREFIX = 'SWMTKN';
const VERSION = '1';
const DIGEST_BYTES = 32;
const DIGEST_DIGITS = 50;
const SECRET_BYTES = 16;
const SECRET_DIGITS = 25;
export const JOIN_TOKEN_LENGTH = PREFIX.length + VERSION.length + DIGEST_DIGITS + SECRET_DIGITS + 3;

/** A new token for the cluster whose root certificate has this digest (hexadecimal). */
export function createJoinToken(rootDigest: string): string {
  const digest = encodeBase36(Buffer.from(rootDigest, 'hex'), DIGEST_DIGITS);
  const secret = encodeBase36(randomBytes(SECRET_BYTES), SECRET_DIGITS);
  return [PREFIX, VERSION, digest, secret].join('-');
}

/** Takes a token apart; throws `bad-token` with what is wrong about its form. */
export function parseJoinToken(text: string): JoinToken {
  // A bound first: the rest of this function then looks at few bytes, whatever was sent.
  if (text.length > 4 * JOIN_TOKEN_LENGTH)
    throw badToken(`it is ${text.length} characters long; a token has ${JOIN_TOKEN_LENGTH}`);
  if (text === '') throw badToken('it is empty');
  const [prefix, version, digest, secret, ...rest] = text.split('-');
  if (prefix !== PREFIX) throw badToken(`it does not begin with ${PREFIX}-`);
  if (version === undefined || !/^\d{1,3}$/.test(version))
    throw badToken(`${PREFIX}- is not followed by a version number`);
  if (version !== VERSION) throw badToken(`it is of version ${version}; only version ${VERSION} is understood`);
  if (digest === undefined || secret === undefined || rest.length > 0)
    throw badToken('it does not have four parts separated by -');
  return {
    rootDigest: part('digest (third part)', digest, DIGEST_DIGITS, DIGEST_BYTES).toString('hex'),
    secret: encodeBase36(part('secret (fourth part)', secret, SECRET_DIGITS, SECRET_BYTES), SECRET_DIGITS),
  };
}

function part(name: string, digits: string, length: number, byteLength: number): Buffer {
  if (digits.length !== length)
    throw badToken(`its ${name} is ${digits.length} characters long; it has to be ${length}`);
  const wrong = digits.search(/[^0-9a-z]/);
  if (wrong !== -1) throw badToken(`character ${wrong + 1} of its ${name} is not one of 0-9 and a-z`);
  const bytes = decodeBase36(digits, byteLength);
  if (bytes === undefined) throw badToken(`its ${name} is out of range`);
  return bytes;
}

function badToken(problem: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-token',
    field: '--token',
    message: `the join token is malformed: ${problem}`,
    hint: 'copy the whole token that `swarm join-token worker` (or `manager`) prints on a manager',
  });
}

/** Compares secrets in a time that depends on their lengths only. */
export function secretsEqual(left: string, right: string): boolean {
  const a = Buffer.from(left, 'utf8');
  const b = Buffer.from(right, 'utf8');
  return a.length === b.length && timingSafeEqual(a, b);
}
