/**
 * Goal: the core says byte for byte what etcd's does. Method: etcd's own transcripts, read in place where they are, and
 * ours for what theirs leave out; and a transcript with a wrong line, which the runner must not pass.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataFiles, describeDifference, rewritten, runFile, runText } from '../conformance/runner.ts';

const ETCD = fileURLToPath(new URL('../../../shared/conformance/raft', import.meta.url));
const OURS = fileURLToPath(new URL('transcripts', import.meta.url));

function define(folder: string): void {
  for (const path of dataFiles(folder))
    it(relative(folder, path), () => {
      const result = runFile(path);
      const difference = result.firstDifference;
      assert.equal(difference, undefined, difference && describeDifference(path, difference));
      assert.ok(result.passed > 0);
    });
}

describe('raft-ts: our transcripts', () => define(OURS));

describe("raft-ts: etcd's transcripts", () => {
  if (existsSync(ETCD)) define(ETCD);
  else
    it('are replayed', function () {
      console.log(`      skipped: ${ETCD} is not on this machine`);
      this.skip(); // the line above says why
    });
});

describe('raft-ts: the conformance runner', () => {
  const text =
    'add-nodes 1 voters=(1) index=2\n----\nINFO 1 switched to configuration voters=(1)\n\ncampaign 1\n----\nok\n';

  it('sees a wrong line, and names it', () => {
    const result = runText('x.txt', text);
    assert.equal(result.failed, 2);
    const difference = result.firstDifference;
    assert.ok(difference !== undefined);
    assert.deepEqual(describeDifference('x.txt', difference).split('\n'), [
      'x.txt:1: add-nodes, line 2 of the output',
      '  expected: (end of output)',
      '  actual:   INFO 1 became follower at term 0',
    ]);
  });

  it('writes what is printed in place of what is expected', () => {
    assert.equal(runText('x.txt', rewritten(text)).failed, 0);
  });

  it('fails a file that is no data file, and a command that is none', () => {
    assert.equal(runText('x.txt', 'campaign 1\n').failed, 1);
    assert.match(runText('x.txt', 'dance 1\n----\nok\n').firstDifference?.actual ?? '', /unknown command/);
  });

  it('reads doubled separators, continued lines, comments and lists', () => {
    const odd = '# c\nvote cfg=(1, 2) \\\n  votes=(y,y)\n----\n----\nVoteWon\n----\n----\n\nvote\n----\nVoteWon\n';
    assert.deepEqual(runText('x.txt', odd), { path: 'x.txt', passed: 2, failed: 0, firstDifference: undefined });
  });
});
