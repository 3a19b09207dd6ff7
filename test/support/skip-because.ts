/** How the line begins that says why: for who runs tests and reads their output. */
export const SKIPPED = '      skipped: ';

/**
 * Skips the test, or from a hook all tests of its suite, and says why in a line of its own beside it: what was not
 * tested must not look as if it had been.
 */
export function skipBecause(context: Mocha.Context, reason: string): never {
  console.log(`${SKIPPED}${reason}`);
  context.skip(); // the line above says why
}
