/**
 * Goal: what is printed for a swarm is what the docker CLI 28 prints for the same swarm, byte for byte: tables, JSON,
 * templates, pages for people, refusals, exit codes. Method: replay every recorded command line against the real
 * control API on the same objects. Record again with test/src/cli/docker-reference/record.ts.
 */
import assert from 'node:assert/strict';
import { asOurs, type Recorded, recordedOutputs } from './docker-reference/golden.ts';
import { runCli } from './support/run-cli.ts';

/** The pages for people have some lines that Docker's have not. */
function withoutOwnLines(text: string): string {
  return text.replaceAll(/^Virtual IPs:\n(?: .*\n)+/gm, '');
}

/** `network rm` says its own exit code too. */
function withoutExitStatus(text: string): string {
  return text.replace(/^exit status 1\n/m, '');
}

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
      assert.equal(withoutOwnLines(ours.stdout), asOurs(recorded.stdout));
      if (why === undefined) assert.equal(withoutHints(ours.stderr), withoutExitStatus(asOurs(recorded.stderr)));
      else assert.notEqual(ours.stderr, '');
    });
  }
}

describe('cli: lists as Docker prints them', () => replay('list', () => undefined));

describe('cli: inspect as Docker prints it', () => replay('inspect', () => undefined));

describe('cli: changes as Docker answers them', () => replay('change', () => undefined));

describe('cli: usage errors as Docker words them', () => replay('usage', () => undefined));
