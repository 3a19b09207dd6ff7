/** Goal: the parts hold their laws for any input. Method: properties over random inputs, each against a plain model. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { restoreMembership } from '../src/changer.ts';
import {
  Changer,
  type ConfChangeSingle,
  type ConfChangeType,
  type ConfState,
  committedIndex,
  confChange,
  decodeConfChange,
  encodeConfChange,
  jointCommittedIndex,
  jointVoteResult,
  majority,
  quoteBytes,
  voteResult,
} from '../src/index.ts';
import { Inflights } from '../src/inflights.ts';
import { decodeHeartbeatContext, encodeHeartbeatContext } from '../src/pending-reads.ts';
import { entriesSize, entrySize, limitSize } from '../src/sizes.ts';
import { entry } from './group.ts';

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 7 });
const acks = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.integer({ min: 0, max: 9 }));
const types = fc.constantFrom<ConfChangeType>(
  'ConfChangeAddNode',
  'ConfChangeRemoveNode',
  'ConfChangeUpdateNode',
  'ConfChangeAddLearnerNode',
);
const changes: fc.Arbitrary<ConfChangeSingle[]> = fc.array(
  fc.record({ type: types, nodeId: fc.integer({ min: 0, max: 7 }) }),
  { maxLength: 5 },
);
const LIMITS = { maxInflightMessages: 4, maxInflightBytes: Infinity };

describe('raft-ts: quorum laws', () => {
  it('an index is committed if and only if more than half have it', () => {
    fc.assert(
      fc.property(ids, acks, (voters, known) => {
        const look = (id: number): number | undefined => known[id];
        const index = committedIndex(majority(voters), look);
        if (voters.length === 0) return index === Infinity;
        const holders = (at: number): number => voters.filter((id) => (known[id] ?? 0) >= at).length;
        return 2 * holders(index) > voters.length && 2 * holders(index + 1) <= voters.length;
      }),
    );
  });

  it('a joint quorum is both halves; joined with itself or with nothing it is the one', () => {
    fc.assert(
      fc.property(ids, ids, acks, (a, b, known) => {
        const look = (id: number): number | undefined => known[id];
        const [incoming, outgoing] = [majority(a), majority(b)];
        const one = committedIndex(incoming, look);
        const both = jointCommittedIndex({ incoming, outgoing }, look);
        assert.equal(both, Math.min(one, committedIndex(outgoing, look)));
        assert.equal(jointCommittedIndex({ incoming, outgoing: incoming }, look), one);
        assert.equal(jointCommittedIndex({ incoming, outgoing: [] }, look), one);
      }),
    );
  });

  it('a vote that is won or lost stays so whatever the others say', () => {
    fc.assert(
      fc.property(ids, ids, fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.boolean())), (a, b, cast) => {
        const quorum = { incoming: majority(a), outgoing: majority(b) };
        const votes = new Map(cast);
        const before = jointVoteResult(quorum, votes);
        for (const id of [...a, ...b]) if (!votes.has(id)) votes.set(id, before === 'VoteLost');
        const after = jointVoteResult(quorum, votes);
        assert.notEqual(after, 'VotePending');
        if (before !== 'VotePending') assert.equal(after, before);
      }),
    );
  });

  it('two sets that both win intersect', () => {
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 127 }), (voters, mask) => {
        const inside = new Map(voters.map((id, at) => [id, (mask & (1 << at)) !== 0] as const));
        const outside = new Map([...inside].map(([id, is]) => [id, !is] as const));
        if (voters.length === 0) return;
        const wins = [inside, outside].filter((votes) => voteResult(majority(voters), votes) === 'VoteWon');
        assert.ok(wins.length <= 1);
      }),
    );
  });
});

describe('raft-ts: configuration laws', () => {
  it('entering and leaving a joint configuration comes to the same as simple changes one by one', () => {
    fc.assert(
      fc.property(ids, changes, (start, list) => {
        if (start.length === 0) return;
        const first = restoreMembership(
          { voters: start, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
          5,
          LIMITS,
        );
        const entered = new Changer(first, 9, LIMITS).enterJoint(false, list);
        if (!entered.ok) return;
        const left = new Changer(entered.membership, 9, LIMITS).leaveJoint();
        assert.ok(left.ok);
        let simple = first;
        for (const change of list) {
          const outcome = new Changer(simple, 9, LIMITS).simple([change]);
          if (!outcome.ok) return; // on the way all voters would be gone
          simple = outcome.membership;
        }
        assert.deepEqual(left.membership.configuration, simple.configuration);
      }),
    );
  });

  it('a configuration state survives being restored', () => {
    fc.assert(
      fc.property(ids, changes, fc.boolean(), (start, list, autoLeave) => {
        if (start.length === 0) return;
        const sorted = start.toSorted((a, b) => a - b);
        const first = restoreMembership(
          { voters: sorted, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
          5,
          LIMITS,
        );
        const entered = new Changer(first, 9, LIMITS).enterJoint(autoLeave, list);
        if (!entered.ok) return;
        const { voters, learners, learnersNext } = entered.membership.configuration;
        const state: ConfState = {
          voters: voters.incoming,
          votersOutgoing: voters.outgoing,
          learners,
          learnersNext,
          autoLeave,
        };
        assert.deepEqual(restoreMembership(state, 9, LIMITS).configuration, entered.membership.configuration);
      }),
    );
  });

  it('changes survive being encoded; bytes that are none are refused without an error', () => {
    const context = fc.uint8Array({ maxLength: 20 });
    const big = fc.array(fc.record({ type: types, nodeId: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }) }));
    fc.assert(
      fc.property(big, context, (list, bytes) => {
        const change = confChange(list, { transition: 'ConfChangeTransitionJointExplicit', context: bytes });
        const decoded = decodeConfChange({ type: 'EntryConfChangeV2', data: encodeConfChange(change) });
        assert.deepEqual(decoded, structuredClone(change));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (data) => {
        decodeConfChange({ type: 'EntryConfChange', data });
        decodeConfChange({ type: 'EntryConfChangeV2', data });
      }),
    );
    assert.deepEqual(decodeConfChange({ type: 'EntryConfChangeV2', data: new Uint8Array(0) }), confChange([]));
    assert.equal(decodeConfChange({ type: 'EntryConfChangeV2', data: Uint8Array.of(0x12, 9) }), undefined);
  });
});

describe('raft-ts: laws of the small parts', () => {
  it('the window counts like a list', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ free: fc.integer({ min: 0, max: 60 }) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 200 }),
        fc.array(step),
        (messages, bytes, steps) => {
          const window = new Inflights(messages, bytes);
          let model: { index: number; size: number }[] = [];
          let index = 0;
          for (const one of steps) {
            if ('add' in one) {
              if (window.full()) continue;
              window.add(++index, one.add);
              model.push({ index, size: one.add });
            } else {
              window.freeUpTo(one.free);
              model = model.filter((item) => item.index > one.free);
            }
            const size = model.reduce((sum, item) => sum + item.size, 0);
            assert.deepEqual([window.count, window.bytes], [model.length, size]);
            assert.equal(window.full(), model.length >= messages || size >= bytes);
          }
        },
      ),
    );
  });

  it('a limited slice is the longest prefix that fits, and never empty', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 40 }), { minLength: 1 }),
        fc.integer({ min: 0, max: 400 }),
        (texts, limit) => {
          const entries = texts.map((text, at) => entry(300, at + 1, text));
          const taken = limitSize(entries, limit);
          assert.ok(taken.length >= 1);
          assert.ok(taken.length === 1 || entriesSize(taken) <= limit);
          const next = entries[taken.length];
          assert.ok(next === undefined || entriesSize(taken) + entrySize(next) > limit);
        },
      ),
    );
  });

  it('heartbeat contexts survive being encoded', () => {
    const word = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(word, word, (readPosition, tick) => {
        assert.deepEqual(decodeHeartbeatContext(encodeHeartbeatContext({ readPosition, tick })), {
          readPosition,
          tick,
        });
      }),
    );
  });

  it('quotes like Go', () => {
    const cases: [readonly number[], string][] = [
      [[], '""'],
      [[97, 34, 92, 10, 9, 0, 127], '"a\\"\\\\\\n\\t\\x00\\x7f"'],
      [[0xc3, 0xa9, 0xff, 0xe2, 0x82, 0xac], '"é\\xff€"'],
      [[0xed, 0xa0, 0x80], '"\\xed\\xa0\\x80"'],
      [[0xe2, 0x80, 0xa8], '"\\u2028"'],
      [[0xf0, 0x9f, 0x98, 0x80, 0xc0, 0x80], '"😀\\xc0\\x80"'],
    ];
    for (const [bytes, quoted] of cases) assert.equal(quoteBytes(Uint8Array.from(bytes)), quoted);
  });
});
