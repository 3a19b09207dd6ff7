import assert from 'node:assert/strict';
import { type ErrorReason, SwarmError } from '#common/errors.ts';

/** For assert.throws and assert.rejects: a SwarmError with this reason, whose message matches. */
export function rejects(reason: ErrorReason, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SwarmError, `not a SwarmError: ${String(error)}`);
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** The value, which the test knows to be there. */
export function must<T>(value: T | undefined): T {
  assert.ok(value !== undefined, 'a value that the test counts on is missing');
  return value;
}

/** Changes bits of one byte in place. */
export function flip(bytes: Buffer, at: number, bits: number): void {
  bytes.writeUInt8(bytes.readUInt8(at) ^ bits, at);
}
