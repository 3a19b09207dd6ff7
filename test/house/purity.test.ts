/**
 * Goal: purity is compiled, not promised. Method: the compiler is run on the pure configuration with one more file
 * that uses a timer, Node and the process; it has to refuse each of them.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './source-files.ts';

describe('house: purity', () => {
  it('the pure configuration refuses timers, Node modules and the process', async () => {
    const folder = await mkdtemp(join(ROOT, 'test/house/impure-'));
    try {
      await writeFile(
        join(folder, 'impure.ts'),
        "import { readFileSync } from 'node:fs';\nsetTimeout(() => readFileSync('/'), 1);\nexport const id = process.pid;\n",
      );
      const config = { extends: '../../../tsconfig.pure.json', include: ['impure.ts'] };
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
      const run = promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(folder, 'tsconfig.json')]);
      const output = await run.then(
        () => '',
        (failure: { stdout: string }) => failure.stdout,
      );
      for (const name of ['node:fs', 'setTimeout', 'process'])
        assert.match(output, new RegExp(`TS\\d+: .*'${name}'`), output);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
