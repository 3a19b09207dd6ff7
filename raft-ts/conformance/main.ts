/**
 * `npm run --silent conformance --workspace raft-ts -- DIR...` runs every data-driven file below the folders.
 * With `--rewrite` first, the files' expected output becomes what is printed now: to be reviewed as a diff.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { dataFiles, describeDifference, rewritten, runFile } from './runner.ts';

/** npm runs a workspace's script in the workspace's folder; paths are meant from where the user stands. */
function fromCaller(path: string): string {
  const caller = process.env['INIT_CWD'];
  const there = caller === undefined ? path : resolve(caller, path);
  return existsSync(there) ? there : path;
}

function main(args: readonly string[]): number {
  if (args[0] === '--rewrite') {
    for (const path of args.slice(1).map(fromCaller).flatMap(dataFiles))
      writeFileSync(path, rewritten(readFileSync(path, 'utf8')));
    return 0;
  }
  if (args.length === 0) {
    console.error('usage: conformance DIR...   (folders or files in the data-driven format)');
    return 2;
  }
  let passed = 0;
  let failed = 0;
  for (const folder of args.map(fromCaller)) {
    if (!existsSync(folder)) {
      console.error(`conformance: no such file or folder: ${folder}`);
      return 2;
    }
    for (const path of dataFiles(folder)) {
      const result = runFile(path);
      passed += result.passed;
      failed += result.failed;
      const cases = `${result.passed} of ${result.passed + result.failed} cases`;
      console.log(`${result.failed === 0 ? 'ok  ' : 'FAIL'} ${path} (${cases})`);
      if (result.firstDifference !== undefined) console.log(describeDifference(path, result.firstDifference));
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
