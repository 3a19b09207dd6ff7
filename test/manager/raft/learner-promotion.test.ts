/** A learner has a vote once it has been caught up and reachable for a while, without a break. */
import assert from 'node:assert/strict';
import type { RawNode } from 'raft-ts';
import { LearnerPromotion } from '#manager/raft/learner-promotion.ts';

const LIMITS = { lagEntries: 10, stableMs: 500 };

/** As much of a node as is looked at. */
function leader(match: number, change: { readonly recentActive?: boolean; readonly state?: string } = {}): RawNode {
  const member = { isLearner: true, recentActive: true, match, state: 'StateReplicate', ...change };
  const node = { state: 'StateLeader', committed: 100, status: () => ({ progress: new Map([[7, member]]) }) };
  return node as unknown as RawNode; // nothing else of it is called
}

describe('promotion of learners', () => {
  let promotion: LearnerPromotion;
  const ask = (node: RawNode, nowMs: number, reachable = true): number | undefined =>
    promotion.next(node, [7], LIMITS, () => reachable, nowMs);

  beforeEach(() => {
    promotion = new LearnerPromotion();
  });

  it('waits for the time, and not longer', () => {
    assert.equal(ask(leader(95), 1000), undefined);
    assert.equal(ask(leader(95), 1499), undefined);
    assert.equal(ask(leader(95), 1500), 7);
  });

  it('comes also where the time is longer than a leader takes between two looks at its quorum', () => {
    const limits = { ...LIMITS, stableMs: 3000 };
    const asked = Array.from({ length: 32 }, (_, tick) =>
      // At every tenth tick it has just forgotten who was active.
      promotion.next(leader(95, { recentActive: tick % 10 !== 9 }), [7], limits, () => true, tick * 100),
    );
    assert.equal(asked.indexOf(7), 30);
  });

  it('is at once where no time is asked for', () => {
    assert.equal(
      promotion.next(leader(95), [7], { ...LIMITS, stableMs: 0 }, () => true, 1000),
      7,
    );
  });

  for (const [what, node, reachable] of [
    ['lags behind', leader(89), true],
    ['cannot be reached', leader(95), false],
    ['is being sent a snapshot', leader(95, { state: 'StateSnapshot' }), true],
  ] as const)
    it(`begins anew when it ${what}`, () => {
      ask(leader(95), 1000);
      assert.equal(ask(node, 1400, reachable), undefined);
      assert.equal(ask(leader(95), 1600), undefined);
      assert.equal(ask(leader(95), 2099), undefined);
      assert.equal(ask(leader(95), 2100), 7);
    });

  it('begins anew with another time of leadership', () => {
    ask(leader(95), 1000);
    promotion.forget();
    assert.equal(ask(leader(95), 2000), undefined);
    assert.equal(ask(leader(95), 2500), 7);
  });
});
