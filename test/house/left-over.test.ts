/** Goal: no test leaves anything running, and nobody gets used to that. Method: runs of mocha that do and do not. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess } from '#agent/kernel/run-process.ts';
import { ROOT } from './source-files.ts';

describe('house: what tests leave over', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-left-over-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function run(test: string): Promise<{ readonly exitCode: number; readonly stderr: string }> {
    const file = join(directory, 'one.test.mjs');
    await writeFile(file, `it('one', () => { ${test} });\n`);
    return runProcess({
      file: process.execPath,
      args: [
        join(ROOT, 'node_modules/mocha/bin/mocha.js'),
        ...['--no-config', '--require', join(ROOT, 'test/support/left-over.ts'), file],
      ],
      env: { ...(process.env as Record<string, string>), STARLING_LEFT_OVER_MS: '100' },
      directory,
      timeoutMs: 15_000,
      outputBytesMax: 100_000,
    });
  }

  it('makes the run fail, by name', async () => {
    const { exitCode, stderr } = await run('setInterval(() => {}, 1000)');
    assert.match(stderr, /^left over .*\b1 Timeout\b/m);
    assert.equal(exitCode, 1);
  });

  it('hides no test that failed', async () => {
    assert.equal((await run("setInterval(() => {}, 1000); throw new Error('wrong')")).exitCode, 1);
    assert.equal((await run("throw new Error('wrong')")).exitCode, 1);
  });

  it('is nothing when it ends by itself in time', async () => {
    assert.deepEqual(await run('setTimeout(() => {}, 10)').then(({ exitCode, stderr }) => [exitCode, stderr]), [0, '']);
  });
});
