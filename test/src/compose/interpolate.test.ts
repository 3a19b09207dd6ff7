/** Goal: variables are filled in as the Compose Spec says. Method: a table of its cases, and properties over any text. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseEnvFile, parseRawEnvFile } from '#src/compose/env-file.ts';
import { interpolate } from '#src/compose/interpolate.ts';

const VARIABLES = { SET: 'value', EMPTY: '', OTHER: 'other', NESTED: 'SET' };

const CASES: readonly (readonly [text: string, wanted: string])[] = [
  ['plain', 'plain'],
  ['$SET', 'value'],
  ['${SET}', 'value'],
  ['a${SET}b$OTHER', 'avaluebother'],
  ['$UNSET', ''],
  ['${SET:-default}', 'value'],
  ['${UNSET:-default}', 'default'],
  ['${EMPTY:-default}', 'default'],
  ['${UNSET-default}', 'default'],
  ['${EMPTY-default}', ''],
  ['${SET:+replaced}', 'replaced'],
  ['${EMPTY:+replaced}', ''],
  ['${EMPTY+replaced}', 'replaced'],
  ['${UNSET+replaced}', ''],
  ['${SET:?message}', 'value'],
  ['${EMPTY?message}', ''],
  ['${UNSET:-${OTHER}}', 'other'],
  ['${UNSET:-${UNSET:-deep}}', 'deep'],
  ['${UNSET-}', ''],
  ['${SET:-${UNSET:?not asked for}}', 'value'],
  ['${UNSET:-a b-c:d}', 'a b-c:d'],
  ['$$SET', '$SET'],
  ['$${SET}', '${SET}'],
  ['100$$', '100$'],
  ['${UNSET:-$$}', '$'],
  ['$SET-$OTHER', 'value-other'],
];

describe('compose: variables', () => {
  for (const [text, wanted] of CASES)
    it(`${text} is ${JSON.stringify(wanted)}`, () => {
      const filled = interpolate(text, VARIABLES);
      assert.ok(filled.ok, filled.ok ? '' : filled.error);
      assert.equal(filled.text, wanted);
    });

  for (const [text, error] of [
    ['${UNSET:?no value}', /required variable UNSET is missing a value: no value/],
    ['${EMPTY:?}', /required variable EMPTY is missing a value/],
    ['${UNSET?gone}', /UNSET.*gone/],
    ['${SET', /invalid interpolation format/],
    ['${}', /invalid interpolation format/],
    ['$1', /invalid interpolation format.*\$\$/],
    ['cost: 5$', /invalid interpolation format/],
    ['${SET!x}', /invalid interpolation format/],
    ['${UNSET:-${'.repeat(40), /nested too deep|invalid/],
  ] as const)
    it(`${text.slice(0, 30)} is refused`, () => {
      const filled = interpolate(text, VARIABLES);
      assert.ok(!filled.ok);
      assert.match(filled.error, error);
    });

  it('a text with every dollar doubled comes back as it was, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.deepEqual(interpolate(text.replaceAll('$', '$$$$'), {}), { ok: true, text, unset: [] });
      }),
    );
  });

  it('whatever the text, it ends, and says what it did not find', () => {
    const piece = fc.constantFrom('$', '{', '}', 'SET', 'UNSET', ':-', '-', '?', ':+', '$$', 'x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const filled = interpolate(pieces.join(''), VARIABLES);
        if (filled.ok) for (const name of filled.unset) assert.ok(!Object.hasOwn(VARIABLES, name));
        else assert.ok(filled.error.length > 0);
      }),
    );
  });
});

describe('compose: files of variables', () => {
  it('names, quotes, comments and references', () => {
    const content = [
      '# comment',
      'A=1',
      'export B = two  # comment',
      "C='single $A'",
      'D="double ${A}\\n\\"x\\" \\$A"',
      'E=${A}-${B}-${UP}',
      'F=',
      'G',
      'H: yaml',
      'I="two',
      'lines"',
      'J=a#b',
    ].join('\n');
    assert.deepEqual(
      parseEnvFile('.env', content, { UP: 'up' }).map(({ name, value }) => [name, value]),
      [
        ['A', '1'],
        ['B', 'two'],
        ['C', 'single $A'],
        ['D', 'double 1\n"x" $A'],
        ['E', '1-two-up'],
        ['F', ''],
        ['G', undefined],
        ['H', 'yaml'],
        ['I', 'two\nlines'],
        ['J', 'a#b'],
      ],
    );
  });

  it('the raw form takes lines as they are', () => {
    assert.deepEqual(parseRawEnvFile('x', 'A="q" $B # c\nB\n'), [
      { name: 'A', value: '"q" $B # c' },
      { name: 'B', value: undefined },
    ]);
  });

  it('what is wrong is named with its line', () => {
    assert.throws(() => parseEnvFile('.env', 'A=1\nB="open\n', {}), /\.env:2:1: the value has no closing quote/);
    assert.throws(() => parseEnvFile('.env', '=x', {}), /\.env:1:1/);
    assert.throws(() => parseRawEnvFile('env', 'A B=1'), /env:1:1/);
  });
});
