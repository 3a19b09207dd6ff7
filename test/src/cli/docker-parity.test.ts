/**
 * Goal: what is printed for a swarm is what the docker CLI 28 prints for the same swarm, byte for byte: tables, JSON,
 * templates, pages for people, refusals, exit codes. Method: replay every recorded command line against the real
 * control API on the same objects. Record again with test/src/cli/docker-reference/record.ts.
 */
import assert from 'node:assert/strict';
import { asOurs, type Recorded, recordedOutputs } from './docker-reference/golden.ts';
import { runCli } from './support/run-cli.ts';

/** Our hints are lines that Docker has not. */
function withoutHints(text: string): string {
  return text.replaceAll(/^Hint: .*\n/gm, '');
}

function replay(
  group: 'list' | 'inspect' | 'change' | 'usage',
  differs: (recorded: Recorded) => string | undefined,
): void {
  for (const recorded of recordedOutputs(group)) {
    const why = differs(recorded);
    const title = `docker ${recorded.words.map((word) => (/[\s'"{]|^$/.test(word) ? `'${word}'` : word)).join(' ')}`;
    it(title + (why === undefined ? '' : ` (other words: ${why})`), async () => {
      const ours = await runCli(recorded.words);
      assert.equal(ours.exitCode, recorded.exitCode, ours.stderr);
      assert.equal(ours.stdout, asOurs(recorded.stdout));
      if (why === undefined) assert.equal(withoutHints(ours.stderr), asOurs(recorded.stderr));
      else assert.notEqual(ours.stderr, '');
    });
  }
}

describe('cli: lists as Docker prints them', () => replay('list', () => undefined));

describe('cli: inspect as Docker prints it', () => replay('inspect', () => undefined));

describe('cli: changes as Docker answers them', () => replay('change', () => undefined));

describe('cli: usage errors as Docker words them', () => replay('usage', () => undefined));
