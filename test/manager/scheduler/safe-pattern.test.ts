/**
 * Goal: expressions in constraints mean what they mean elsewhere and take time in proportion to the text. Method: random
 * expressions and texts are compared with JavaScript's own; the worst known expressions are timed by their steps.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compilePattern, PATTERN_LENGTH_MAX, type SafePattern } from '#manager/scheduler/safe-pattern.ts';

function compile(source: string): SafePattern {
  const compiled = compilePattern(source);
  assert.ok('test' in compiled, `${source}: ${'message' in compiled ? compiled.message : ''}`);
  return compiled;
}

const { expression } = fc.letrec<{ expression: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('a', 'b', '-', '1', '.', '\\d', '\\W', '[ab]', '[^a1]', '[a-c-]', '\\.', '^', '$'),
    fc.tuple(fc.constantFrom('(', '(?:'), tie('expression')).map(([open, inner]) => `${open}${inner})`),
  ),
  expression: fc
    .array(fc.tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,2}', '{0,1}', '{1,}', '|')), {
      maxLength: 4,
    })
    .map((parts) =>
      parts.map(([atom, suffix]) => (['^', '$'].includes(atom) && suffix !== '|' ? atom : atom + suffix)).join(''),
    ),
}));

describe('scheduler: expressions', () => {
  it('match what JavaScript matches, without regard to case', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'c', '-', '1', '.'), maxLength: 8 });
    fc.assert(
      fc.property(expression, text, (source, sample) => {
        const compiled = compilePattern(source);
        if (!('test' in compiled)) {
          assert.match(compiled.message, /steps|groups|longer/);
          return;
        }
        assert.equal(compiled.test(sample), new RegExp(source, 'i').test(sample));
      }),
      { numRuns: 3000 },
    );
  });

  it('whatever is written either compiles or says what is wrong and where', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 250 }), fc.string({ maxLength: 40 }), (source, sample) => {
        const compiled = compilePattern(source);
        if ('test' in compiled) {
          compiled.test(sample);
          return;
        }
        assert.ok(compiled.message.length > 0 && compiled.at >= 0 && compiled.at <= source.length);
      }),
      { numRuns: 3000 },
    );
  });

  it('those that make others try for hours are done at once', () => {
    const text = `${'a'.repeat(10_000)}!`;
    for (const source of ['^(a+)+$', '(a|aa)+$', '(.*a){12}$', '^(a|a)*$', '(x+x+)+y', '(a*)*b', '^((a?){15}a{15})+b'])
      assert.equal(compile(source).test(text), false, source);
  });

  it('have a length and a number of steps', () => {
    assert.ok('message' in compilePattern('a'.repeat(PATTERN_LENGTH_MAX + 1)));
    assert.ok('message' in compilePattern('((a{50}){50}){50}'));
    assert.ok('message' in compilePattern('('.repeat(50) + ')'.repeat(50)));
  });
});
