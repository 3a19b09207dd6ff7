/**
 * Goal: tests wait for events, and say what they did not test. Method: the text of every test file is looked at. A time
 * that is waited for because it is the subject of the test says so in the same line.
 */
import assert from 'node:assert/strict';
import { type SourceFile, sourceFiles } from './source-files.ts';

/** How `setTimeout` of node:timers/promises is called in a file. */
const PAUSE_IMPORT = /import \{[^}]*\bsetTimeout(?: as (\w+))?[^}]*\} from 'node:timers\/promises'/;

function pausesOf(file: SourceFile): readonly string[] {
  const match = PAUSE_IMPORT.exec(file.text);
  const name = match === null ? undefined : (match[1] ?? 'setTimeout');
  const promised = name === undefined ? undefined : new RegExp(`await ${name}\\(`);
  return linesOf(file, (line) => {
    if (line.includes('//')) return false;
    return /\bsetTimeout\((?:resolve|done|go)\b/.test(line) || promised?.test(line) === true;
  });
}

function linesOf(file: SourceFile, matches: (line: string) => boolean): readonly string[] {
  return file.lines.flatMap((line, index) => (matches(line) ? [`${file.path}:${index + 1}: ${line.trim()}`] : []));
}

describe('house: tests', () => {
  const files = sourceFiles().filter(({ path }) => path.startsWith('test/') && !path.startsWith('test/house/'));
  const tests = files.filter(({ path }) => path.endsWith('.test.ts'));

  it('wait for no fixed time', () => {
    const file = (text: string): SourceFile => ({ path: 'x.test.ts', text, lines: text.split('\n') });
    const promised = "import { setTimeout as wait } from 'node:timers/promises';\nawait wait(100);";
    assert.equal(pausesOf(file(promised)).length, 1);
    assert.equal(pausesOf(file('await new Promise((resolve) => setTimeout(resolve, 100));')).length, 1);
    assert.equal(pausesOf(file('await new Promise((resolve) => setTimeout(resolve, 100)); // is tested')).length, 0);
    assert.deepEqual(tests.flatMap(pausesOf), []);
  });

  it('are skipped with a reason', () => {
    const silent = files
      .filter(({ path }) => path !== 'test/support/skip-because.ts')
      .flatMap((file) => linesOf(file, (line) => /\b(?:it|describe|this|context)\.skip\(/.test(line)));
    assert.deepEqual(silent, []);
  });
});
