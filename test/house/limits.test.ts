/**
 * Goal: files and functions stay readable. Method: measure every source file; the longest allowed file is 600 lines
 * (tests 800), the median stays at or under 150, functions stay under 70 lines. The exceptions list may only shrink.
 */
import assert from 'node:assert/strict';
import { type SourceFile, sourceFiles } from './source-files.ts';

const LINES_HARD = 600;
const LINES_HARD_TEST = 800;
const LINES_MEDIAN = 150;
const LINES_PER_FUNCTION = 70;
const COLUMNS = 140;

interface FoundFunction {
  readonly name: string;
  readonly line: number;
  readonly length: number;
}

/** Functions and methods by indentation: the formatter guarantees that a body ends at its opening indentation. */
export function functionsOf(file: SourceFile): readonly FoundFunction[] {
  const found: FoundFunction[] = [];
  const declared = /^(\s*)(?:export )?(?:async )?function\*? /;
  const method = /^(\s*)(?:(?:static|private|override|async|get|set|\*) ?)*[#\w]+\s*(?:<[^>]*>)?\([^;]*\)?[^;=]*\{$/;
  file.lines.forEach((line, index) => {
    const match = declared.exec(line) ?? method.exec(line);
    if (match === null || /^\s*(?:if|for|while|switch|catch|return|describe|it|suite)\b/.test(line)) return;
    const indent = match[1] ?? '';
    for (let end = index + 1; end < file.lines.length; end++) {
      if (file.lines[end]?.startsWith(`${indent}}`) === true) {
        if (file.lines[end]?.startsWith(`${indent}}):`) === true || file.lines[end]?.endsWith('{') === true) continue;
        found.push({ name: line.trim(), line: index + 1, length: end - index + 1 });
        return;
      }
    }
  });
  return found;
}

describe('house: limits', () => {
  const files = sourceFiles();

  it('no file is longer than the hard limit', () => {
    const long = files
      .filter((file) => file.lines.length > (file.path.startsWith('test/') ? LINES_HARD_TEST : LINES_HARD))
      .map((file) => `${file.path}: ${file.lines.length} lines`);
    assert.deepEqual(long, []);
  });

  it('the median file is short', () => {
    const lengths = files
      .filter((file) => !file.path.startsWith('test/'))
      .map((file) => file.lines.length)
      .sort((a, b) => a - b);
    const median = lengths[Math.floor(lengths.length / 2)] ?? 0;
    assert.ok(median <= LINES_MEDIAN, `median ${median}`);
  });

  it('no function is longer than a screen', () => {
    const long: string[] = [];
    for (const file of files) {
      if (file.path.startsWith('test/')) continue;
      for (const found of functionsOf(file))
        if (found.length > LINES_PER_FUNCTION)
          long.push(`${file.path}:${found.line}: ${found.length} lines: ${found.name}`);
    }
    assert.deepEqual(long, []);
  });

  it('the check sees a long function', () => {
    const lines = ['export function long(): void {', ...Array.from({ length: 80 }, () => '  work();'), '}'];
    const found = functionsOf({ path: 'src/x.ts', text: lines.join('\n'), lines });
    assert.deepEqual(
      found.map((one) => one.length),
      [82],
    );
  });

  it('comments are short, and no words promise later work', () => {
    const promises = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'].join('|')})\\b`);
    const complaints: string[] = [];
    for (const file of files)
      file.lines.forEach((line, index) => {
        // Code is the formatter's business; it leaves comments alone.
        if (line.length > COLUMNS && /^\s*(\/\/|\/?\*)/.test(line) && !/https?:/.test(line))
          complaints.push(`${file.path}:${index + 1}: ${line.length} columns`);
        if (promises.test(line)) complaints.push(`${file.path}:${index + 1}: ${line.trim()}`);
      });
    assert.deepEqual(complaints, []);
  });
});
