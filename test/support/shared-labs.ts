/**
 * Labs that several test files share go after the last test of the run, whichever process that was in. Loaded by mocha
 * (`require`), which calls the two fixtures once, in the process that was started.
 */
import assert from 'node:assert/strict';
import { Lab } from '#src/lab/lab.ts';
import { labsOnThisMachine, labTraces } from '#test/e2e/support/footprint.ts';

/** Names the run to its processes. */
const RUN_VARIABLE = 'MOCHA_RUN_NAME';
/** Set, it leaves the labs where they are, to be looked at: bin/lab ls. */
const KEEP_VARIABLE = 'STARLING_KEEP_LAB';

/** Of the lab that the test files of this process share. */
export function sharedLabName(): string {
  return `e${process.env[RUN_VARIABLE] ?? process.pid.toString(36)}w${process.env['MOCHA_WORKER_ID'] ?? '0'}`;
}

export function mochaGlobalSetup(): void {
  process.env[RUN_VARIABLE] = process.pid.toString(36);
}

export async function mochaGlobalTeardown(): Promise<void> {
  if (process.env[KEEP_VARIABLE] !== undefined) return;
  const ours = new RegExp(`^e${process.env[RUN_VARIABLE]}w\\d+$`);
  for (const lab of (await labsOnThisMachine()).filter((name) => ours.test(name))) {
    await Lab.remove(lab);
    assert.deepEqual(await labTraces(lab), []);
  }
}
