/**
 * Goal: the compiler is overruled nowhere without a reason. Method: every cast that would let anything pass, and every
 * comment that silences a check, has its reason beside it: in the line before, or in its own.
 */
import assert from 'node:assert/strict';
import { type SourceFile, sourceFiles } from './source-files.ts';

const CAST = /\bas (?:unknown as|never|any)\b/;
const SILENCED = /(?:oxlint|eslint)-disable|biome-ignore|@ts-(?:ignore|expect-error|nocheck)/;
const COMMENT = /^\s*(?:\/\/|\/?\*)/;

export function unexplained({ path, lines }: SourceFile): readonly string[] {
  const found: string[] = [];
  lines.forEach((line, index) => {
    const isSilenced = COMMENT.test(line) && SILENCED.test(line) && !/ -- \S/.test(line);
    const before = lines[index - 1] ?? '';
    const isCast = !COMMENT.test(line) && CAST.test(line) && !COMMENT.test(before) && !/ \/\/ /.test(line);
    if (isSilenced || isCast) found.push(`${path}:${index + 1}: ${line.trim()}`);
  });
  return found;
}

describe('house: casts', () => {
  it('have a reason', () => {
    // This file is made of examples.
    const files = sourceFiles().filter(({ path }) => path !== 'test/house/casts.test.ts');
    assert.deepEqual(files.flatMap(unexplained), []);
  });

  it('the check sees those without one, and takes words for words', () => {
    // Words that the check looks for, as data: none of these lines is code.
    const lines = [
      'const a = b as unknown as C;',
      '// The types of the library end here.',
      'const d = e as never;',
      'const f = g as any; // so are its tests',
      'it("was never written", h);',
      '/** A house as any other. */',
      '// oxlint-disable-next-line some-rule',
      '// oxlint-disable-next-line some-rule -- because',
    ];
    const found = unexplained({ path: 'x.ts', text: lines.join('\n'), lines });
    assert.deepEqual(found, [`x.ts:1: ${lines[0]}`, `x.ts:7: ${lines[6]}`]);
  });
});
