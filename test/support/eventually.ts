import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

export interface Patience {
  /** After this long the test fails: generous, because nobody waits for it while all is well. */
  readonly timeoutMs?: number;
  /** Between two looks. */
  readonly everyMs?: number;
}

/**
 * Resolves when the condition holds, which is looked at again and again: for what nobody is told of. An event that can
 * be awaited is awaited instead, with `withDeadline`. `what` completes the words "timed out after N ms waiting for: ..."; as
 * a function it can say what was seen last.
 */
export async function eventually(
  what: string | (() => string),
  condition: () => Promise<boolean> | boolean,
  { timeoutMs = 10_000, everyMs = 5 }: Patience = {},
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() >= endMs)
      assert.fail(`timed out after ${timeoutMs} ms waiting for: ${typeof what === 'string' ? what : what()}`);
    await pause(everyMs);
  }
}
