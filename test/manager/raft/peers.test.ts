/**
 * Goal: who is counted as reachable was heard a moment ago. Method: peers over a transport that says what it is told to,
 * and a clock that is moved by hand.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { RaftMember } from '#gen/swarm/v1/raft.ts';
import { MembersBook } from '#manager/raft/members-book.ts';
import type { PeerState } from '#manager/raft/peer-transport.ts';
import { type NodeView, Peers } from '#manager/raft/peers.ts';

const SILENCE_MS = 1_000;
const SELF = 1;
const PEER = 2;

/** A node that knows of no leader, or of the peer as its leader. */
function node(lead: number): NodeView {
  return { id: SELF, lead, state: 'StateFollower' };
}

describe('raft peers: who can be reached', () => {
  const clock = new ManualClock(1_000_000);
  let state: PeerState | undefined;
  let peers: Peers;

  beforeEach(() => {
    state = undefined;
    const transport = { peer: () => state, setPeers: () => {} };
    const self = (): RaftMember => RaftMember.create({ raftId: SELF, nodeId: 'self' });
    peers = new Peers({ transport, book: new MembersBook(), clock, self, silenceMs: SILENCE_MS });
  });

  const stream = (lastHeardMs: number): PeerState => ({
    connected: true,
    lastHeardMs,
    roundTripMs: undefined,
    error: undefined,
  });

  it('counts nobody who was never heard, though the stream stands', () => {
    state = stream(Number.NEGATIVE_INFINITY);
    assert.equal(peers.isReachable(PEER, node(0)), false);
    assert.equal(peers.isReachable(PEER, node(PEER)), false);
    assert.equal(peers.isReachable(SELF, node(0)), true, 'this one always');
  });

  it('counts who was heard within the last election timeout, and no longer', () => {
    state = stream(clock.monotonic());
    clock.advance(SILENCE_MS - 1);
    assert.equal(peers.isReachable(PEER, node(0)), true);
    clock.advance(1);
    assert.equal(peers.isReachable(PEER, node(0)), false, 'the stream still stands');
    peers.heard(PEER);
    assert.equal(peers.isReachable(PEER, node(0)), true, 'a message of the log is a sign of life as well');
  });

  it('does not count on a leader whose log is silent, though its stream has signs of life', () => {
    peers.heard(PEER);
    clock.advance(SILENCE_MS);
    state = stream(clock.monotonic());
    assert.equal(peers.isReachable(PEER, node(PEER)), false);
    assert.equal(peers.isReachable(PEER, node(0)), true);
  });
});
