/**
 * Goal: whatever operators, hosts and crashes do with nodes in whatever order: the swarm never takes its own quorum, no
 * ghost stays that nobody was told of, no node has two roles, no two hosts are one node, every refusal is right. Method:
 * 200 random steps under virtual time; the hunt for planted bugs, and more seeds, are in test/long.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mutated } from '#raft-ts/sim/mutate.ts';
import { ROOT } from '#test/house/source-files.ts';
import { MUTANTS } from './mutants.ts';
import { runMembership } from './run.ts';

const SEEDS = 4;

describe('sim: membership', () => {
  it(`seeds 1 to ${SEEDS} end with everything in its place`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const failure = await runMembership(seed);
      assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.timeMs} ms: ${failure.text}`);
    }
  }).timeout(120_000);

  it('the same seed replays exactly, but for the ids, which follow from keys', async () => {
    const tell = async (): Promise<string> => {
      const lines: string[] = [];
      await runMembership(2, (line) => lines.push(line.replaceAll(/\b[0-9a-z]{25}\b/g, 'ID')));
      return lines.join('\n');
    };
    const first = await tell();
    assert.equal(await tell(), first);
    assert.ok(first.split('\n').length > 50);
  }).timeout(60_000);

  it('every bug of the list still has its place in the source', () => {
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
    for (const mutant of MUTANTS) {
      const source = readFileSync(`${ROOT}/${mutant.file}`, 'utf8');
      assert.notEqual(mutated(mutant, source), source);
    }
  });
});
