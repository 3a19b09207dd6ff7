/**
 * Goal: the rules of the Raft paper ("In Search of an Understandable Consensus Algorithm", extended version), in its
 * order; each test names its section. Method: single nodes stepped with messages, and small groups.
 */
import assert from 'node:assert/strict';
import type { Message, MessageType } from '../src/index.ts';
import { entry, Group, TestPeer, textOf } from './group.ts';

function candidate(voters = [1, 2, 3]): TestPeer {
  const peer = new TestPeer(1, voters);
  peer.node.campaign();
  peer.work();
  return peer;
}

function leader(voters = [1, 2, 3]): TestPeer {
  const peer = candidate(voters);
  for (const from of voters.slice(1)) peer.take({ type: 'MsgVoteResp', from, term: peer.term });
  assert.equal(peer.state, 'StateLeader');
  return peer;
}

function ofType(messages: readonly Message[], type: MessageType): readonly Message[] {
  return messages.filter((one) => one.type === type);
}

describe('raft paper: 5.1 terms', () => {
  const roles = { follower: () => new TestPeer(1, [1, 2, 3]), candidate, leader };
  for (const [role, make] of Object.entries(roles)) {
    it(`a ${role} that sees a later term becomes a follower of it`, () => {
      const peer = make();
      peer.take({ type: 'MsgApp', from: 2, term: 5, index: 1, logTerm: 1 });
      assert.deepEqual([peer.state, peer.term], ['StateFollower', 5]);
    });

    it(`a ${role} ignores a message of an earlier term`, () => {
      const peer = make();
      peer.take({ type: 'MsgHeartbeat', from: 2, term: 7 });
      const before = peer.node.status();
      peer.take({ type: 'MsgApp', from: 3, term: 6, index: 1, logTerm: 1, entries: [entry(6, 2)] });
      assert.deepEqual(peer.node.status(), before);
    });
  }
});

describe('raft paper: 5.2 elections', () => {
  it('a node starts as follower', () => {
    assert.equal(new TestPeer(1, [1, 2, 3]).state, 'StateFollower');
  });

  it('a leader sends heartbeats to all others', () => {
    const heartbeats = ofType(leader().tick(1), 'MsgHeartbeat');
    assert.deepEqual(
      heartbeats.map((one) => one.to),
      [2, 3],
    );
  });

  it('a follower that hears nothing starts an election: next term, its own vote, requests to all', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    assert.equal(peer.tick(9).length, 0);
    const requests = ofType(peer.tick(1), 'MsgVote');
    assert.deepEqual(
      requests.map((one) => [one.to, one.term]),
      [
        [2, 1],
        [3, 1],
      ],
    );
    assert.deepEqual([peer.state, peer.node.status().vote], ['StateCandidate', 1]);
  });

  it('a candidate that hears nothing starts another', () => {
    const peer = candidate();
    peer.tick(10);
    assert.deepEqual([peer.state, peer.term], ['StateCandidate', 2]);
  });

  for (const [size, granted, rejected, state] of [
    [1, 0, 0, 'StateLeader'],
    [3, 0, 0, 'StateCandidate'],
    [3, 1, 0, 'StateLeader'],
    [3, 0, 2, 'StateFollower'],
    [5, 1, 1, 'StateCandidate'],
    [5, 2, 2, 'StateLeader'],
    [5, 1, 3, 'StateFollower'],
  ] as const)
    it(`of ${size}, with ${granted} other votes and ${rejected} refusals: ${state}`, () => {
      const voters = Array.from({ length: size }, (_, at) => at + 1);
      const peer = candidate(voters);
      for (let i = 0; i < granted; i++) peer.take({ type: 'MsgVoteResp', from: 2 + i, term: 1 });
      for (let i = 0; i < rejected; i++)
        peer.take({ type: 'MsgVoteResp', from: 2 + granted + i, term: 1, reject: true });
      assert.equal(peer.state, state);
    });

  it('a follower votes once in a term, for the first who asks, and again for the same', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    const ask = (from: number): boolean | undefined =>
      peer.take({ type: 'MsgVote', from, term: 1, index: 1, logTerm: 1 })[0]?.reject;
    assert.deepEqual([ask(2), ask(3), ask(2)], [false, true, false]);
  });

  it('a candidate that hears of a leader of its term falls back', () => {
    const peer = candidate();
    peer.take({ type: 'MsgHeartbeat', from: 3, term: 1 });
    assert.deepEqual([peer.state, peer.node.status().lead], ['StateFollower', 3]);
  });

  it('timeouts are drawn between one and two election timeouts', () => {
    for (let draw = 0; draw < 10; draw++) {
      const peer = new TestPeer(1, [1, 2, 3], { random: () => draw });
      peer.tick(9 + draw);
      assert.equal(peer.state, 'StateFollower');
      peer.tick(1);
      assert.equal(peer.state, 'StateCandidate');
    }
  });
});

describe('raft paper: 5.3 replication', () => {
  it('a leader appends a proposal and sends it with the entry before it', () => {
    const group = new Group([1, 2, 3]);
    const peer = group.elect(1);
    peer.propose('x');
    const sent = ofType(peer.work(), 'MsgApp');
    assert.deepEqual(
      sent.map((one) => [one.to, one.index, one.logTerm, one.commit, one.entries.map(textOf)]),
      [
        [2, 2, 1, 2, ['x']],
        [3, 2, 1, 2, ['x']],
      ],
    );
  });

  it('an entry is committed once a quorum has it, and the followers hear of it', () => {
    const group = new Group([1, 2, 3, 4, 5]);
    const peer = group.elect(1);
    group.isolate(4, 5);
    peer.propose('x');
    group.settle();
    for (const id of [1, 2, 3]) assert.deepEqual(group.peer(id).texts, ['x']);
    assert.deepEqual(group.peer(4).texts, []);
  });

  it('without a quorum nothing is committed', () => {
    const group = new Group([1, 2, 3]);
    const peer = group.elect(1);
    group.isolate(2, 3);
    peer.propose('x');
    group.settle();
    assert.deepEqual(peer.texts, []);
  });

  it('a follower refuses entries that do not follow its log, and says where the logs may agree', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2), entry(2, 3)] });
    const [refusal] = peer.take({ type: 'MsgApp', from: 2, term: 3, index: 5, logTerm: 3, entries: [entry(3, 6)] });
    assert.deepEqual([refusal?.reject, refusal?.rejectHint, refusal?.logTerm], [true, 3, 2]);
  });

  for (const [name, index, logTerm, entries, expected] of [
    ['new ones at the end', 3, 2, [entry(3, 4)], [2, 2, 3]],
    ['none that are there already', 1, 1, [entry(2, 2)], [2, 2]],
    ['those in conflict replaced, with all that follow', 1, 1, [entry(3, 2)], [3]],
    ['a conflict in the middle', 2, 2, [entry(3, 3), entry(3, 4)], [2, 3, 3]],
  ] as const)
    it(`a follower appends: ${name}`, () => {
      const peer = new TestPeer(1, [1, 2, 3]);
      peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2), entry(2, 3)] });
      peer.take({ type: 'MsgApp', from: 3, term: 3, index, logTerm, entries });
      const log = peer.storage.entries(2, peer.storage.lastIndex() + 1, Infinity);
      assert.deepEqual(typeof log === 'string' ? log : log.map((one) => one.term), expected);
    });

  it('a follower commits what the leader has committed, as far as it knows to have it', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2, 'a')], commit: 9 });
    assert.deepEqual([peer.node.status().commit, peer.texts], [2, ['a']]);
  });

  it("a leader brings a follower's log into line (figure 7)", () => {
    const leaderTerms = [1, 1, 4, 4, 5, 5, 6, 6, 6];
    const followers = [
      [1, 1, 4, 4, 5, 5, 6, 6],
      [1, 1, 4],
      [1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 4, 4, 4, 4],
      [1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for (const terms of followers) {
      const group = new Group([1, 2, 3]);
      const write = (id: number, list: readonly number[]): void => {
        const { storage } = group.peer(id);
        storage.append(list.map((term, at) => entry(term, at + 2, `${term}`)));
        storage.setHardState({ term: 7, vote: 0, commit: 1 });
        group.peer(id).restart();
      };
      write(1, leaderTerms);
      write(2, terms);
      group.elect(1);
      const peer = group.peer(1);
      assert.equal(peer.state, 'StateLeader');
      const all = (id: number): unknown => group.peer(id).storage.entries(2, peer.storage.lastIndex() + 1, Infinity);
      assert.deepEqual(all(2), all(1));
      assert.deepEqual(group.peer(2).texts, leaderTerms.map(String));
    }
  });
});

describe('raft paper: 5.4 safety', () => {
  it('a vote request names the last entry of the log', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2), entry(2, 3)] });
    peer.node.campaign();
    const requests = ofType(peer.work(), 'MsgVote');
    assert.deepEqual(
      requests.map((one) => [one.index, one.logTerm, one.term]),
      [
        [3, 2, 3],
        [3, 2, 3],
      ],
    );
  });

  for (const [name, index, logTerm, reject] of [
    ['as good as its own', 3, 2, false],
    ['longer', 4, 2, false],
    ['of a later term, if shorter', 2, 3, false],
    ['shorter', 2, 2, true],
    ['of an earlier term, if longer', 9, 1, true],
  ] as const)
    it(`a voter ${reject ? 'refuses' : 'accepts'} a log that is ${name}`, () => {
      const peer = new TestPeer(1, [1, 2, 3]);
      peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2), entry(2, 3)] });
      const [answer] = peer.take({ type: 'MsgVote', from: 3, term: 5, index, logTerm });
      assert.deepEqual([answer?.type, answer?.reject], ['MsgVoteResp', reject]);
    });

  it('entries of earlier terms are committed only with one of the leader’s own term (figure 8)', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    peer.take({ type: 'MsgApp', from: 2, term: 2, index: 1, logTerm: 1, entries: [entry(2, 2, 'old')] });
    peer.node.campaign();
    peer.work();
    peer.take({ type: 'MsgVoteResp', from: 2, term: 3 });
    assert.equal(peer.state, 'StateLeader');
    peer.take({ type: 'MsgAppResp', from: 2, term: 3, index: 2 });
    assert.deepEqual(peer.texts, []);
    peer.take({ type: 'MsgAppResp', from: 2, term: 3, index: 3 });
    assert.deepEqual(peer.texts, ['old']);
  });
});

describe('raft thesis: 9.6 pre-vote, and the check of the quorum', () => {
  const careful = { preVote: true, checkQuorum: true };

  it('a node that was cut off does not disturb the leader when it comes back', () => {
    const group = new Group([1, 2, 3], careful);
    group.elect(1);
    group.isolate(3);
    group.tick(3, 50);
    assert.deepEqual([group.peer(3).state, group.peer(3).term], ['StatePreCandidate', 1]);
    group.heal();
    group.tick(3, 10);
    group.tick(1, 2);
    assert.deepEqual(
      [group.peer(1).state, group.peer(1).term, group.peer(3).state],
      ['StateLeader', 1, 'StateFollower'],
    );
  });

  it('a leader that hears from no quorum steps down; others may vote then', () => {
    const group = new Group([1, 2, 3], careful);
    group.elect(1);
    group.isolate(1);
    group.tick(1, 20);
    assert.equal(group.peer(1).state, 'StateFollower');
    for (let i = 0; i < 12; i++) {
      group.tick(3);
      group.tick(2);
    }
    assert.equal([2, 3].filter((id) => group.peer(id).state === 'StateLeader').length, 1);
  });

  it('a node stuck at a later term gets back in', () => {
    const group = new Group([1, 2, 3], { checkQuorum: true });
    group.elect(1);
    group.isolate(3);
    group.tick(3, 30);
    assert.ok(group.peer(3).term > 1);
    group.heal();
    group.tick(1, 1);
    group.elect(1);
    assert.equal(group.peer(1).state, 'StateLeader');
    assert.equal(group.peer(3).term, group.peer(1).term);
  });
});
