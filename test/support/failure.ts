import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';

/** What the work fails with, which must be a SwarmError: one for the time, too, when it does not end within it. */
export async function failure(work: Promise<unknown>, timeoutMs = 10_000): Promise<SwarmError> {
  const error: unknown = await withDeadline(work, timeoutMs, 'the call to fail').then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SwarmError, error === undefined ? 'it did not fail' : String(error));
  return error;
}
