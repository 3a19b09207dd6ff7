/** Goal: rare interleavings too, and proof that the simulator can fail. Method: 10,000 seeds; every bug of the list. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MAIN = fileURLToPath(new URL('../../sim/main.ts', import.meta.url));

async function sim(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { maxBuffer: 2 ** 26 });
  return stdout.trim().split('\n').at(-1) ?? '';
}

describe('raft-ts: simulation, at length', () => {
  it('10,000 seeds', async () => {
    assert.equal(await sim('--seed', '1', '--runs', '10000'), '10000 passed, 0 failed');
  }).timeout(1_800_000);

  it('every seeded bug is found', async () => {
    assert.match(await sim('--mutants'), /^\d+ passed, 0 failed$/);
  }).timeout(1_800_000);
});
