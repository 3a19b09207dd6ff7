/** Goal: whatever a file is, reading it ends soon with an answer. Method: the known ways to make a reader never end. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { parseYaml } from '#src/compose/parse-yaml.ts';
import { refusal, stack } from './support.ts';

/** Generous: a busy machine takes its time, but what is quadratic would take minutes. */
const SOON_MS = 15_000;

async function refusedSoon(content: string, words: RegExp): Promise<void> {
  const begun = performance.now();
  assert.match(await refusal(content), words);
  assert.ok(performance.now() - begun < SOON_MS, 'it took too long');
}

describe('compose: hostile files', () => {
  it('aliases of aliases of aliases', async () => {
    const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 20; i++)
      rows.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      );
    await refusedSoon(rows.map((row) => `x-${row}`).join('\n'), /more than 200000 values, with aliases written out/);
  });

  it('an alias of what it is a part of', async () => {
    await refusedSoon('x-a: &a {b: *a}', /the alias \*a is a part of what it stands for/);
    await refusedSoon('x-a: &a\n  <<: *a', /a part of what it stands for/);
  });

  it('maps and lists within each other without end', async () => {
    await refusedSoon(`x-a: ${'['.repeat(100_000)}`, /nested too deep/);
    await refusedSoon(`x-a: ${'{a: '.repeat(100_000)}`, /nested too deep/);
    await refusedSoon(`x-a:\n  ${'- '.repeat(100_000)}x`, /nested too deep/);
    let deep = '';
    for (let i = 0; i < 300; i++) deep += `${' '.repeat(i)}x-a:\n`;
    await refusedSoon(deep, /nested too deep/);
  });

  it('a file of gigabytes, one of binary data, one of nothing', async () => {
    await refusedSoon(`x-a: ${'y'.repeat(5_000_000)}`, /the limit is 4194304/);
    await refusedSoon('services:\n  a: "\0"', /c\.yml:2:\d+: the character U\+0000 is not allowed/);
    await refusedSoon('', /no services/);
    await refusedSoon('just text', /a map is wanted at the top/);
    await refusedSoon('[1, 2]', /a map is wanted at the top/);
  });

  it('the same key twice, and what is no YAML, with line and column', async () => {
    await refusedSoon(
      'services:\n  a: {image: i}\n  a: {image: j}',
      /c\.yml:3:3: not valid YAML: Map keys must be unique/,
    );
    await refusedSoon('services:\n  a: [1', /c\.yml:\d+:\d+: not valid YAML/);
    await refusedSoon('services:\n\ta: 1', /c\.yml:2:\d+: not valid YAML/);
    await refusedSoon('services: !!python/object:os.system {}', /the tag .* is not known/);
    await refusedSoon('? [a]\n: b', /a key has to be a text/);
  });

  it('keys of the language itself are keys like others', async () => {
    await refusedSoon(
      'services: {a: {image: i, __proto__: {x: 1}, constructor: 2}}',
      /services\.a\.__proto__: there is no such key/,
    );
    const { services } = await stack('services: {a: {image: i, environment: {__proto__: x, toString: y}}}');
    assert.deepEqual(services[0]?.task?.container?.env.toSorted(), ['__proto__=x', 'toString=y']);
  });

  it('variables that grow', async () => {
    const text = `services: {a: {image: i, environment: {X: "${'${V}'.repeat(1000)}"}}}`;
    await assert.rejects(stack(text, { variables: { V: 'v'.repeat(100_000) } }), /variables make the file too large/);
  });

  it('any text is read or refused with a place, and nothing else happens', () => {
    const piece = fc.constantFrom(
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      '&x ',
      '*x',
      '"',
      "'",
      '|',
      '>',
      '!reset ',
      '# ',
      '<<: ',
      '%',
      '@',
      '? ',
      '\t',
      '---\n',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((pieces) => pieces.join('')),
          fc.string(),
        ),
        (text) => {
          try {
            parseYaml('f.yml', text);
          } catch (thrown) {
            assert.ok(thrown instanceof SwarmError, String(thrown));
            assert.match(thrown.message, /^f\.yml:\d+:\d+: /);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
