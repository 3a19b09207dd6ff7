/**
 * Goal: what a user of the library meets at its door: configurations that are refused, messages that are not taken,
 * storages that have lost something, flow control, and what a Ready promises.
 */
import assert from 'node:assert/strict';
import { confChange, confState, MemoryStorage, message, RaftError, RawNode } from '../src/index.ts';
import { encoder, entry, Group, TestPeer } from './group.ts';

function refusedConfig(parts: Partial<ConstructorParameters<typeof RawNode>[0]>): string {
  const base = { id: 1, storage: new MemoryStorage(), random: () => 0, electionTick: 10, heartbeatTick: 1 };
  try {
    return `taken: ${new RawNode({ ...base, ...parts }).id}`;
  } catch (thrown) {
    assert.ok(thrown instanceof RaftError && thrown.code === 'invalidConfig');
    return thrown.message;
  }
}

describe('raft-ts: configuration', () => {
  it('refuses what cannot be, and names it', () => {
    assert.match(refusedConfig({ id: 0 }), /id/);
    assert.match(refusedConfig({ id: Number.MAX_SAFE_INTEGER }), /local target/);
    assert.match(refusedConfig({ heartbeatTick: 0 }), /heartbeat/);
    assert.match(refusedConfig({ electionTick: 1 }), /election/);
    assert.match(refusedConfig({ maxInflightMessages: 0 }), /inflight messages/);
    assert.match(refusedConfig({ maxInflightBytes: 10, maxBytesPerMessage: 11 }), /inflight bytes/);
    assert.match(refusedConfig({ readOnly: 'leaseBased' }), /checkQuorum/);
    assert.equal(refusedConfig({}), 'taken: 1');
  });

  it('a storage whose commit index is beyond its log is refused, and says so', () => {
    const storage = new MemoryStorage();
    storage.setHardState({ term: 3, vote: 0, commit: 9 });
    const make = (): RawNode => new RawNode({ id: 1, storage, random: () => 0, electionTick: 10, heartbeatTick: 1 });
    assert.throws(make, (thrown: unknown) => thrown instanceof RaftError && /out of range/.test(thrown.message));
  });
});

describe('raft-ts: messages that are not taken', () => {
  it('local ones from outside, and answers of strangers', () => {
    const { node } = new TestPeer(1, [1, 2, 3]);
    assert.equal(node.step(message({ type: 'MsgHup', from: 2 })), 'localMessage');
    assert.equal(node.step(message({ type: 'MsgStorageAppendResp', from: 2 })), 'localMessage');
    assert.equal(node.step(message({ type: 'MsgAppResp', from: 9, term: 1 })), 'peerNotFound');
  });

  it('a proposal with an unreadable configuration change is dropped, not logged', () => {
    const group = new Group([1, 2, 3]);
    const peer = group.elect(1);
    const bad = { type: 'EntryConfChangeV2', term: 0, index: 0, data: Uint8Array.of(0xff) } as const;
    assert.equal(peer.node.step(message({ type: 'MsgProp', from: 2, entries: [bad] })), 'proposalDropped');
    assert.equal(peer.node.status().lastIndex, 2);
  });

  it('a node that has lost its log stops at the first message that shows it; the leader goes on', () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    leader.propose('x');
    group.settle();
    const wiped = new TestPeer(2, [1, 2, 3]);
    group.peers.set(2, wiped);
    leader.node.tick();
    const heartbeat = leader.work().find((sent) => sent.to === 2);
    assert.ok(heartbeat !== undefined);
    assert.throws(
      () => wiped.node.step(heartbeat),
      (thrown: unknown) => {
        return thrown instanceof RaftError && thrown.code === 'invariant' && /truncated, or lost/.test(thrown.message);
      },
    );
    leader.propose('y');
    group.isolate(2);
    group.settle();
    assert.deepEqual(group.peer(3).texts, ['x', 'y']);
  });
});

describe('raft-ts: Ready', () => {
  it('only what has changed is in it, and a flush is due only for entries, terms and votes', () => {
    const peer = new TestPeer(1, [1]);
    peer.node.campaign();
    const first = peer.node.ready();
    assert.deepEqual([first.mustSync, first.hardState], [true, { term: 1, vote: 1, commit: 1 }]);
    peer.storage.setHardState({ term: 1, vote: 1, commit: 1 });
    peer.node.advance();
    const second = peer.node.ready();
    assert.deepEqual([second.mustSync, second.hardState, second.entries.length], [true, undefined, 1]);
    peer.storage.append(second.entries);
    peer.node.advance();
    const third = peer.node.ready();
    assert.deepEqual([third.mustSync, third.committedEntries.length], [false, 1]);
    assert.equal(third.hardState?.commit, 2);
    peer.node.advance();
    assert.equal(peer.node.hasReady(), false);
  });

  it('two without an advance between them are a mistake of the caller', () => {
    const { node } = new TestPeer(1, [1]);
    node.campaign();
    node.ready();
    assert.throws(() => node.ready(), /Advance/);
  });

  it('committed entries come in pages', () => {
    const group = new Group([1], { maxCommittedBytesPerReady: 20 });
    const { node, storage } = group.elect(1);
    for (let i = 0; i < 5; i++) node.propose(encoder.encode('0123456789'));
    const pages: number[] = [];
    while (node.hasReady()) {
      const ready = node.ready();
      storage.append(ready.entries);
      if (ready.committedEntries.length > 0) pages.push(ready.committedEntries.length);
      node.advance();
    }
    assert.deepEqual(pages, [1, 1, 1, 1, 1]);
  });
});

describe('raft-ts: flow control', () => {
  it('no more bytes are in flight than the window allows, and it opens again', () => {
    const group = new Group([1, 2], { maxBytesPerMessage: 10, maxInflightBytes: 25 });
    const leader = group.elect(1);
    for (let i = 0; i < 10; i++) leader.propose('0123456789');
    const sent = leader.work().filter((one) => one.type === 'MsgApp' && one.entries.length > 0);
    assert.equal(sent.length, 3); // the message that fills the window still goes
    assert.equal(leader.node.status().progress.get(2)?.paused, true);
    for (const one of sent) group.peer(2).node.step(one);
    group.settle();
    assert.equal(group.peer(2).texts.length, 10);
  });

  it('entries travel together as far as the message size allows', () => {
    const group = new Group([1, 2, 3], { maxBytesPerMessage: 60 });
    const leader = group.elect(1);
    group.isolate(3);
    for (let i = 0; i < 9; i++) leader.propose('0123456789');
    group.settle();
    group.heal();
    leader.node.reportUnreachable(3);
    leader.node.tick();
    group.settle();
    const counts = leader.sent.filter((one) => one.to === 3 && one.entries.length > 1).map((one) => one.entries.length);
    assert.ok(counts.length > 0 && counts.every((count) => count <= 3));
    assert.equal(group.peer(3).texts.length, 9);
  });
});

describe('raft-ts: snapshots', () => {
  it('one that is not there yet is asked for again; one that is too old is passed over', () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.isolate(3);
    for (let i = 0; i < 5; i++) leader.propose(`${i}`);
    group.settle();
    const { storage } = leader;
    storage.createSnapshot(5, confState({ voters: [1, 2, 3] }), encoder.encode('state'));
    storage.compact(5);
    const snapshot = storage.snapshot.bind(storage);
    let asked = 0;
    storage.snapshot = () => (asked++ === 0 ? 'unavailable' : snapshot());
    group.heal();
    leader.node.reportUnreachable(3);
    group.tick(1, 3);
    assert.ok(asked >= 2);
    assert.equal(group.peer(3).storage.snapshot() === 'unavailable', false);
    assert.deepEqual(group.peer(3).texts, ['3', '4']);
    const state = group.peer(3).node.status();
    group.peer(3).take({
      type: 'MsgSnap',
      from: 1,
      term: state.term,
      snapshot: { index: 3, term: 1, confState: confState({ voters: [1, 2, 3] }), data: encoder.encode('old') },
    });
    assert.equal(group.peer(3).node.status().commit, state.commit);
  });

  it('one that the log holds already only moves the commit index', () => {
    const peer = new TestPeer(1, [1, 2, 3]);
    peer.take({
      type: 'MsgApp',
      from: 2,
      term: 2,
      index: 1,
      logTerm: 1,
      entries: [entry(2, 2, 'a'), entry(2, 3, 'b')],
    });
    const voters = confState({ voters: [1, 2, 3] });
    peer.take({
      type: 'MsgSnap',
      from: 2,
      term: 2,
      snapshot: { index: 2, term: 2, confState: voters, data: encoder.encode('s') },
    });
    assert.deepEqual(peer.texts, ['a']);
    assert.equal(peer.node.status().lastIndex, 3);
  });

  it('a leader does not send one to a node that has not been heard of', () => {
    const group = new Group([1, 2]);
    const leader = group.elect(1);
    leader.storage.compact(2);
    leader.node.proposeConfChange(confChange([{ type: 'ConfChangeAddLearnerNode', nodeId: 3 }]));
    group.settle();
    group.tick(1, 25);
    assert.equal(
      leader.sent.some((one) => one.type === 'MsgSnap'),
      false,
    );
  });

  it('a pending configuration change of an overtaken entry changes nothing', () => {
    const peer = new TestPeer(1, [1, 2, 3], { asyncStorageWrites: true });
    const voters = confState({ voters: [1, 2] });
    peer.node.step(
      message({
        type: 'MsgSnap',
        from: 2,
        to: 1,
        term: 2,
        snapshot: { index: 9, term: 2, confState: voters, data: encoder.encode('s') },
      }),
    );
    const removed = {
      type: 'EntryConfChangeV2',
      term: 1,
      index: 5,
      data: Uint8Array.of(0x12, 4, 8, 1, 16, 2),
    } as const;
    assert.deepEqual(peer.node.applyConfChange(removed).voters, [1, 2]);
  });
});

describe('raft-ts: members', () => {
  it('a learner is brought up to date and does not count; promoted, it does', () => {
    const group = new Group([1]);
    const leader = group.elect(1);
    group.peers.set(2, new TestPeer(2, []));
    leader.node.proposeConfChange(confChange([{ type: 'ConfChangeAddLearnerNode', nodeId: 2 }]));
    leader.propose('x');
    leader.storage.snapshot = () => ({
      index: 1,
      term: 1,
      confState: confState({ voters: [1], learners: [2] }),
      data: encoder.encode('s'),
    });
    group.settle();
    group.tick(1, 3);
    assert.deepEqual(group.peer(2).texts, ['x']);
    group.isolate(2);
    leader.propose('alone');
    group.settle();
    assert.ok(leader.texts.includes('alone'));
    group.heal();
    leader.node.proposeConfChange(confChange([{ type: 'ConfChangeAddNode', nodeId: 2 }]));
    group.tick(1, 3);
    group.isolate(2);
    leader.propose('needs both');
    group.settle();
    assert.equal(leader.texts.includes('needs both'), false);
    group.heal();
    group.tick(1, 2);
    assert.ok(group.peer(2).texts.includes('needs both'));
  });

  it('a leader that leads into an automatic joint configuration, or is elected in it, leaves it', () => {
    const group = new Group([1, 2, 3, 4]);
    const leader = group.elect(1);
    leader.node.proposeConfChange(
      confChange([{ type: 'ConfChangeRemoveNode', nodeId: 4 }], { transition: 'ConfChangeTransitionJointImplicit' }),
    );
    // Only entering gets through before the leader is gone.
    let entered = false;
    group.passes = (sent) => {
      if (sent.from === 1 && sent.entries.some((one) => one.type === 'EntryConfChangeV2' && one.data.length === 0))
        entered = true;
      return !(entered && sent.from === 1);
    };
    group.settle();
    group.isolate(1);
    assert.ok(entered);
    const voters = (): unknown => group.peer(2).node.status().configuration.voters;
    assert.deepEqual(voters(), { incoming: [1, 2, 3], outgoing: [1, 2, 3, 4] });
    group.elect(2);
    assert.equal(group.peer(2).state, 'StateLeader');
    assert.deepEqual(voters(), { incoming: [1, 2, 3], outgoing: [] });
  });
});
