/**
 * Goal: the generator makes what docs/contract.md says, and refuses what it cannot make. Method: run it on fixtures and
 * read what it wrote, or what it said.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { services } from '#gen/services.ts';
import { type GeneratedModule, generate, runProtogen } from './support/generated.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');

describe('protogen', () => {
  let release: GeneratedModule;
  let scratch: string;
  before(async () => {
    release = await generate('release');
    scratch = await mkdtemp(join(tmpdir(), 'protogen-'));
  });
  after(async () => {
    await release.remove();
    await rm(scratch, { recursive: true, force: true });
  });

  const source = (): Promise<string> => readFile(join(release.directory, 'kitchen.ts'), 'utf8');

  it('types fields as the contract page says', async () => {
    const text = await source();
    for (const line of [
      'readonly doubleValue: number;',
      'readonly boolValue: boolean;',
      'readonly stringValue: string;',
      'readonly bytesValue: Uint8Array;',
      'readonly colour: Colour;',
      'readonly leaf: Leaf | undefined;',
      'readonly maybeInt: number | undefined;',
      'readonly maybeColour: Colour | undefined;',
      'readonly bigs: readonly number[];',
      'readonly leaves: readonly Leaf[];',
      'readonly labels: Readonly<Record<string, string>>;',
      'readonly leavesByName: Readonly<Record<string, Leaf>>;',
      'readonly coloursByNumber: Readonly<Record<number, Colour>>;',
      "| { readonly kind: 'leafChoice'; readonly value: Leaf }",
      'readonly nested: EverythingNested | undefined;',
    ])
      assert.ok(text.includes(line), line);
  });

  it('turns comments into docstrings', async () => {
    const text = await source();
    assert.ok(
      text.includes("/** Every kind of field that the contract's language has. */\nexport interface Everything"),
    );
    assert.ok(text.includes('   * Which one is served.\n   * numberChoice: A number.\n'));
    assert.ok(text.includes('  /** One there, one back. */\n  cook: {'));
  });

  it('gives enums closed values, names and a check', () => {
    const { Colour, ColourNames, isColour } = release.exports as {
      Colour: Readonly<Record<string, number>>;
      ColourNames: Readonly<Record<number, string>>;
      isColour: (value: number) => boolean;
    };
    assert.deepEqual(Colour, { UNSPECIFIED: 0, RED: 1, GREEN: 64, NEGATIVE: -7 });
    assert.deepEqual([ColourNames[64], ColourNames[-7]], ['GREEN', 'NEGATIVE']);
    assert.deepEqual([0, 1, 2, 64, -7].map(isColour), [true, true, false, true, true]);
  });

  it('describes services with their codecs', () => {
    const service = release.exports['KitchenService'] as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    assert.deepEqual(Object.keys(service), ['cook', 'serve', 'collect', 'talk']);
    const { path, requestStream, responseStream, request } = service['collect'] ?? {};
    assert.deepEqual([path, requestStream, responseStream], ['/kitchen.KitchenService/Collect', true, false]);
    assert.equal(request, release.exports['Leaf']);
  });

  it('lists every service of the contract', async () => {
    const files = await readdir(join(import.meta.dirname, '../../proto/swarm/v1'));
    const texts = await Promise.all(
      files.map((file) => readFile(join(import.meta.dirname, '../../proto/swarm/v1', file), 'utf8')),
    );
    const declared = texts.flatMap((text) => [...text.matchAll(/^service (\w+)/gm)].map((match) => match[1]));
    assert.deepEqual(new Set(Object.keys(services)), new Set(declared));
  });

  it('writes only what changed and removes what has no source any more', async () => {
    const output = join(scratch, 'output');
    await runProtogen(join(FIXTURES, 'release'), output);
    const path = join(output, 'kitchen.ts');
    const { mtimeMs } = await stat(path);
    await writeFile(join(output, 'stale.ts'), '');
    await runProtogen(join(FIXTURES, 'release'), output);
    assert.equal((await stat(path)).mtimeMs, mtimeMs);
    assert.deepEqual((await readdir(output)).toSorted(), ['kitchen.ts', 'services.ts']);
  });

  const refusals: readonly (readonly [string, string, RegExp])[] = [
    ['a field of an unknown type', 'message A { Missing b = 1; }', /Missing/],
    ['a syntax error', 'message A { string b = ; }', /illegal/],
    ['two fields of one number', 'message A { string a = 1; string b = 1; }', /duplicate id 1/],
    ['an enum without zero', 'enum E { E_ONE = 1; } message A { E e = 1; }', /value 0|first value|zero/i],
    ['two names of one value', 'enum E { option allow_alias = true; E_A = 0; E_B = 0; }', /two names/],
    ['fields that become one', 'message A { string a_b = 1; string aB = 2; }', /aB/],
    ['nested types that become one', 'message A { message BC {} } message AB { message C {} }', /name ABC is taken/],
    ['a field called constructor', 'message A { string constructor = 1; }', /constructor/],
    ['map keys of bool', 'message A { map<bool, string> m = 1; }', /map keys of bool/],
  ];
  for (const [what, text, pattern] of refusals)
    it(`refuses ${what}`, async () => {
      const directory = await mkdtemp(join(scratch, 'proto-'));
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, 'bad.proto'), `syntax = "proto3";\npackage bad;\n${text}\n`);
      await assert.rejects(runProtogen(directory, join(scratch, 'unused')), (error: { readonly stderr: string }) => {
        assert.match(error.stderr, /^protogen: /);
        assert.match(error.stderr, pattern);
        assert.ok(!error.stderr.includes('    at '), 'no stack trace');
        return true;
      });
    });
});
