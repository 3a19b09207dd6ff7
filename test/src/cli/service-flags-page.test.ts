/**
 * Goal: the page about the flags of services is whole and true. Method: its table against the command tree, both ways,
 * and every file that it names as a test.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceCreate } from '#src/cli/commands/service/service-create.ts';
import { serviceUpdate } from '#src/cli/commands/service/service-update.ts';
import { recordedOutputs } from './docker-reference/golden.ts';

const ROOT = join(import.meta.dirname, '../../..');

interface Row {
  readonly flags: readonly string[];
  readonly origin: string;
  readonly tests: readonly string[];
}

async function rows(): Promise<readonly Row[]> {
  const text = await readFile(join(ROOT, 'docs/service-flags.md'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `--'))
    .map((line) => {
      const [, flags = '', origin = '', , , tests = ''] = line
        .split(' | ')
        .flatMap((cell, index) => (index === 0 ? ['', cell] : [cell]));
      const quoted = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
      return { flags: quoted(flags).map((flag) => flag.slice(2)), origin, tests: quoted(tests) };
    });
}

describe('docs: flags of services', () => {
  it('has every flag of both commands, once, and no other', async () => {
    const known = new Set([...serviceCreate.flags, ...serviceUpdate.flags].map(({ name }) => name));
    const listed = (await rows()).flatMap(({ flags }) => flags);
    assert.deepEqual(listed.toSorted(), [...known].toSorted());
  });

  it('says where each comes from, and names tests that are there', async () => {
    for (const { flags, origin, tests } of await rows()) {
      assert.match(origin, /^[DRS]$/, flags[0]);
      assert.ok(tests.length > 0, `${flags[0]}: no test`);
      for (const test of tests) assert.ok(existsSync(join(ROOT, 'test', test)), `${flags[0]}: there is no ${test}`);
    }
  });

  it('takes for Docker’s own what the recorded help of Docker’s service has, and nothing else', async () => {
    const help = recordedOutputs('help')
      .filter(({ words }) => /^service (?:create|update) /.test(words.join(' ')))
      .map(({ stdout }) => stdout)
      .join('\n');
    assert.match(help, /--replicas-max-per-node /);
    // Younger than the recording, or shown on Windows alone.
    const notShown = new Set(['memory-swap', 'memory-swappiness', 'credential-spec', 'isolation']);
    for (const { flags, origin } of await rows())
      for (const flag of flags)
        if (!notShown.has(flag)) assert.equal(help.includes(`--${flag} `), origin === 'D', flag);
  });
});
