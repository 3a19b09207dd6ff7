/**
 * Goal: several managers agree on one log, whoever of them comes, goes, moves or is cut off. Method: whole logs on disks
 * in memory and a network in memory, in real time ten times as fast as in the daemon.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { SeededRandom } from '#common/random.ts';
import { type Leadership, MemoryDisk } from '#manager/log/index.ts';
import { must } from '#test/certs/rejects.ts';
import { addressOf, bytes, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: members', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  async function three(): Promise<readonly [Member, Member, Member]> {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    return [a, b, c];
  }

  const appliedBy = (all: readonly Member[], text: string): Promise<void> =>
    until(() => all.every(({ machine }) => machine.applied.includes(text)), `everybody has applied ${text}`);

  it('one member leads, applies what is proposed, and comes back with it', async () => {
    const one = await members.found('a');
    assert.equal(one.log.leadership().state, 'leader');
    const position = await one.log.propose(bytes('x'), WAIT);
    assert.deepEqual(one.machine.applied, ['x']);
    assert.equal(await one.log.readBarrier(WAIT), position.index);
    assert.deepEqual(
      one.log.members().map(({ nodeId, voter, leader, reachable, self }) => [nodeId, voter, leader, reachable, self]),
      [['a', true, true, true, true]],
    );
    await one.log.close();
    const again = await members.start('a', { disk: one.disk });
    assert.deepEqual(again.machine.applied, ['x']);
    assert.equal(again.log.leadership().state, 'leader');
  });

  it('three agree, and go on without their leader', async () => {
    const [a, b, c] = await three();
    for (let count = 0; count < 50; count++) await a.log.propose(bytes(`${count}`), WAIT);
    await appliedBy([b, c], '49');
    await members.crash(a);
    const leader = await members.untilLed();
    await leader.log.propose(bytes('after'), WAIT);
    await appliedBy([b, c], 'after');
    assert.deepEqual(b.machine.applied, c.machine.applied);
    assert.equal(b.machine.applied.length, 51);
  });

  it('a leader whose process is gone is replaced before anybody misses its heartbeats', async () => {
    members = new Members({ tickMs: 200 }); // a silent one would be missed after two seconds
    const [a] = await three();
    const startMs = performance.now();
    await members.crash(a);
    await members.untilLed();
    assert.ok(performance.now() - startMs < 1000, `${performance.now() - startMs} ms`);
  });

  it('a member that was down comes back and gets what it missed', async () => {
    const [a, b, c] = await three();
    const disk = await members.crash(c);
    for (let count = 0; count < 5; count++) await a.log.propose(bytes(`missed ${count}`), WAIT);
    const again = await members.start('c', { disk });
    await appliedBy([again, b], 'missed 4');
    assert.deepEqual(again.machine.applied, a.machine.applied);
  });

  it('a follower says who leads, refuses proposals, and serves reads that see everything', async () => {
    const [a, b] = await three();
    await until(() => b.log.leadership().state === 'follower', 'b follows');
    assert.deepEqual(b.log.leadership(), { ...(b.log.leadership() as object), state: 'follower', leader: 'a' });
    await assert.rejects(b.log.propose(bytes('x'), WAIT), { reason: 'not-leader' });
    for (let count = 0; count < 20; count++) {
      const { index } = await a.log.propose(bytes(`${count}`), WAIT);
      assert.ok((await b.log.readBarrier(WAIT)) >= index);
      assert.equal(b.machine.applied.at(-1), `${count}`);
    }
  });

  it('a leader that is cut off steps down, and its unfinished work is gone when it is back', async () => {
    const [a, b, c] = await three();
    await a.log.propose(bytes('before'), WAIT);
    const seen: Leadership[] = [];
    a.log.onLeadership((leadership) => seen.push(leadership));
    members.network.isolate('a');
    const lost = a.log.propose(bytes('lost'), WAIT);
    lost.catch(() => {});
    await until(() => [b, c].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    await until(() => a.log.leadership().state !== 'leader', 'a stepped down');
    assert.deepEqual(seen, [{ state: 'none' }]);
    const next = [b, c].find(({ log }) => log.leadership().state === 'leader');
    await next?.log.propose(bytes('after'), WAIT);
    await assert.rejects(lost, { reason: 'leadership-lost' });
    members.network.heal();
    await appliedBy([a, b, c], 'after');
    assert.deepEqual(a.machine.applied, ['before', 'after']);
  });

  it('a follower that flaps does not depose the leader', async () => {
    const [a, , c] = await three();
    const { term } = a.log.leadership() as { term: number };
    for (let round = 0; round < 3; round++) {
      members.network.isolate('c');
      await until(() => c.log.leadership().state === 'none', 'c misses the leader');
      members.network.heal();
      await until(() => c.log.leadership().state === 'follower', 'c follows again');
    }
    assert.deepEqual(a.log.leadership(), { state: 'leader', term });
  });

  it('tells who can be reached, and that it has changed', async () => {
    const [a, b] = await three();
    let calls = 0;
    b.log.onMembers(() => calls++);
    const unreachable = (): readonly string[] =>
      b.log.members().flatMap(({ nodeId, reachable }) => (reachable ? [] : [nodeId]));
    await until(() => unreachable().length === 0, 'all are reachable');
    const before = calls;
    members.network.isolate('c');
    await until(() => unreachable().join() === 'c', 'c is not reachable');
    assert.ok(calls > before, 'it was told');
    members.network.heal();
    await until(() => unreachable().length === 0, 'all are reachable again');
    assert.ok(a.log.members().every(({ reachable }) => reachable));
  });

  it('says what is missing when there is no quorum, within two election timeouts', async () => {
    const [a, b, c] = await three();
    await members.crash(b);
    await members.crash(c);
    const pending = a.log.propose(bytes('x'), WAIT);
    const startMs = performance.now();
    await assert.rejects(pending, { reason: 'leadership-lost', message: /2 of 3 managers cannot be reached.*b, c/ });
    await until(() => a.log.quorumProblem() !== undefined, 'a knows');
    await assert.rejects(a.log.readBarrier(WAIT), { reason: 'no-quorum' });
    assert.ok(performance.now() - startMs < 1500, `${performance.now() - startMs} ms`);
    await until(() => (a.log.quorumProblem()?.message ?? '').includes('2 of 3'), 'a has noticed');
    const error = a.log.quorumProblem();
    assert.equal(
      error?.message,
      'The swarm does not have a leader: 2 of 3 managers cannot be reached from here (b, c), and 1 more is needed',
    );
    assert.match(error?.hint ?? '', /force-new-cluster/);
    await assert.rejects(a.log.propose(bytes('y'), WAIT), { reason: 'no-quorum' });
    await assert.rejects(a.log.addMember({ nodeId: 'd', address: 'd', featureLevel: 1 }, WAIT), {
      reason: 'no-quorum',
    });
  });

  it('adds members as learners and makes voters of them', async () => {
    const a = await members.found('a');
    for (let count = 0; count < 30; count++) await a.log.propose(bytes(`${count}`), WAIT);
    const joined: boolean[] = [];
    a.log.onMembers(() => {
      const b = a.log.members().find(({ nodeId }) => nodeId === 'b');
      if (b !== undefined) joined.push(b.voter);
    });
    const b = await members.join('b');
    assert.equal(b.machine.applied.length, 30);
    assert.equal(joined[0], false, 'first a learner');
    assert.equal(joined.at(-1), true);
    assert.equal(b.log.self()?.raftId, a.log.members().find(({ nodeId }) => nodeId === 'b')?.raftId);
  });

  it('a learner that was away during another change of members waits anew for its vote', async () => {
    const stableMs = 600;
    const [a, c] = await members.swarm('a', 'c');
    assert.ok(a !== undefined && c !== undefined);
    a.log.tuneMembers({ learnerStableMs: stableMs });
    const startMs = performance.now();
    await members.start('b', { origin: { kind: 'join', join: () => members.add('b') } });
    const seen = () => a.log.members().find(({ nodeId }) => nodeId === 'b');
    await until(() => performance.now() - startMs > stableMs / 4, 'b is seen for a while');
    assert.equal(seen()?.voter, false);
    // The change waits for c to acknowledge it.
    const from = c.log.self()?.raftId;
    members.network.passes = (sender, _to, { type }) => sender !== from || type !== 'MsgAppResp';
    let isDone = false;
    const change = a.log.updateMember(must(a.log.self()), WAIT).then(() => {
      isDone = true;
    });
    do {
      members.network.isolate('b');
      await until(() => seen()?.reachable === false, 'b is away');
      members.network.heal();
      await until(() => seen()?.reachable === true, 'b is back');
    } while (performance.now() - startMs < stableMs);
    const backMs = performance.now();
    assert.equal(isDone, false, 'the change was under way all the time');
    members.network.passes = () => true;
    await change;
    await until(() => seen()?.voter === true, 'b has a vote');
    const waitedMs = performance.now() - backMs;
    assert.ok(waitedMs > stableMs - 100, `b has a vote ${waitedMs} ms after it was back`);
  });

  it('a learner that never comes up does not count for the quorum, and is replaced when it asks again', async () => {
    const a = await members.found('a');
    const first = await a.log.addMember({ nodeId: 'b', address: 'b', featureLevel: 1 }, WAIT);
    await a.log.propose(bytes('x'), WAIT);
    const second = await a.log.addMember({ nodeId: 'b', address: 'b2', featureLevel: 1 }, WAIT);
    assert.notEqual(first.raftId, second.raftId);
    assert.deepEqual(
      a.log
        .members()
        .map(({ raftId, voter }) => [raftId, voter])
        .slice(1),
      [[second.raftId, false]],
    );
    await a.log.removeMember(second.raftId, WAIT);
    assert.equal(a.log.members().length, 1);
  });

  it('refuses a voter that comes with an empty log', async () => {
    const [a] = await three();
    await assert.rejects(a.log.addMember({ nodeId: 'b', address: 'b', featureLevel: 1 }, WAIT), {
      reason: 'wiped-member',
      hint: /demote/,
    });
  });

  it('a join that was interrupted is begun again, also from another address', async () => {
    const a = await members.found('a');
    await a.log.propose(bytes('x'), WAIT);
    const disk = new MemoryDisk({ random: new SeededRandom(5) });
    members.network.passes = () => false;
    const member = members.begin('b', { disk, origin: { kind: 'join', join: () => members.add('b') } });
    await until(() => member.log.self() !== undefined, 'b knows its id');
    await until(() => [...disk.files().keys()].some((name) => name.endsWith('.wal')), 'b has a log');
    await member.log.close();
    await assert.rejects(member.started);
    members.forget(member);
    members.network.passes = () => true;
    const again = await members.join('b', { disk, address: 'moved' });
    assert.deepEqual(again.machine.applied, ['x']);
    assert.notEqual(again.log.self()?.raftId, member.log.self()?.raftId);
    assert.equal(a.log.members().length, 2);
    await again.log.close();
    members.forget(again);
    // Once the state is here, nobody is asked.
    const never = (): Promise<never> => Promise.reject(new Error('it has a log'));
    const last = await members.start('b', { disk, address: 'moved', origin: { kind: 'join', join: never } });
    await until(() => last.machine.applied.length === 1, 'b has everything');
  });

  it('removes a member, which is told, and refuses its id for ever', async () => {
    const [a, b, c] = await three();
    const raftId = c.log.self()?.raftId ?? 0;
    await a.log.removeMember(raftId, WAIT);
    await until(() => c.removed.length > 0, 'c is told');
    assert.equal(c.removed[0]?.reason, 'node-removed');
    assert.equal(c.log.leadership().state, 'stopped');
    await c.log.close();
    const late = members.begin('c', { disk: c.disk });
    await until(() => late.removed.length > 0, 'c is told again');
    await a.log.propose(bytes('x'), WAIT);
    await appliedBy([b], 'x');
    assert.equal(b.log.members().length, 2);
  });

  it('a learner that was removed while it was away is told, though it stands for no election', async () => {
    const a = await members.found('a');
    members.network.passes = (_from, _to, { type }) => type !== 'MsgHeartbeatResp' && type !== 'MsgAppResp';
    const b = members.begin('b', { origin: { kind: 'join', join: () => members.add('b') } });
    await until(() => b.log.leadership().state === 'follower', 'b follows');
    const raftId = b.log.self()?.raftId ?? 0;
    members.network.isolate('b');
    await a.log.removeMember(raftId, WAIT);
    await until(() => b.log.leadership().state === 'none', 'b has given the leader up');
    assert.equal(b.log.quorumProblem()?.reason, 'no-quorum');
    members.network.heal();
    await until(() => b.removed.length > 0, 'b is told');
  });

  it('a member that hears its leader does not believe a peer that calls it removed', async () => {
    const [a, b, c] = await three();
    await until(() => c.log.leadership().state === 'follower', 'c follows');
    const raftId = b.log.self()?.raftId ?? 0;
    const error = new SwarmError({ code: 'denied', reason: 'node-removed', message: 'you were removed' });
    members.network.end('c')?.handler?.refused(raftId, error);
    await a.log.propose(bytes('x'), WAIT);
    await appliedBy([b, c], 'x');
    assert.deepEqual(c.removed, []);
  });

  it('a member that goes on beside a peer that keeps calling it removed says that there are two swarms', async () => {
    members = new Members({ disputeMs: 100 });
    const [a, b, c] = (await members.swarm('a', 'b', 'c')) as [Member, Member, Member];
    await until(() => c.log.leadership().state === 'follower', 'c follows');
    const raftId = b.log.self()?.raftId ?? 0;
    const error = new SwarmError({ code: 'denied', reason: 'node-removed', message: 'you were removed' });
    const claim = (): void => members.network.end('c')?.handler?.refused(raftId, error);
    claim();
    assert.equal(c.log.dispute(), undefined, 'a removal may be on its way');
    await until(() => {
      claim();
      return c.log.dispute() !== undefined;
    }, 'c to say it');
    assert.match(c.log.dispute()?.message ?? '', /^the manager b says .* there are two swarms of the same nodes/);
    assert.match(c.log.dispute()?.hint ?? '', /swarm leave --force/);
    assert.deepEqual([c.removed, a.log.dispute()], [[], undefined]);
    await until(() => c.log.dispute() === undefined, 'c to forget what nobody says any more');
  });

  it('refuses a removal that would break the quorum, and of the leader itself', async () => {
    const [a, b, c] = await three();
    const idOf = ({ log }: Member): number => log.self()?.raftId ?? 0;
    await assert.rejects(a.log.removeMember(idOf(a), WAIT), { code: 'precondition' });
    await assert.rejects(b.log.removeMember(idOf(c), WAIT), { reason: 'not-leader' });
    members.network.isolate('b');
    await until(() => a.log.members().some(({ nodeId, reachable }) => nodeId === 'b' && !reachable), 'b is missed');
    await assert.rejects(a.log.removeMember(idOf(c), WAIT), { reason: 'no-quorum', message: /only 1 can be reached/ });
    // The one that is lost may go.
    await a.log.removeMember(idOf(b), WAIT);
    assert.equal(a.log.members().length, 2);
  });

  it('a member that comes back with another address is known by its id, and the address is written down', async () => {
    const [a, , c] = await three();
    await c.log.close();
    members.forget(c);
    const again = await members.start('c', { disk: c.disk, address: 'c2', featureLevel: 2 });
    await until(
      () => a.log.members().some(({ address, featureLevel }) => address === 'c2' && featureLevel === 2),
      'the address is written down',
    );
    await a.log.propose(bytes('x'), WAIT);
    await appliedBy([again], 'x');
    assert.equal(addressOf(again), 'c2');
  });

  it('all members may come back with other addresses', async () => {
    const before = await three();
    for (const { log } of before) await log.close();
    members.all.length = 0;
    // Two find each other where they were known; the third is found where it says it is.
    const [a, b, c] = before;
    members.begin('a', { disk: a.disk });
    members.begin('b', { disk: b.disk });
    members.begin('c', { disk: c.disk, address: 'moved' });
    const leader = await members.untilLed();
    await until(() => leader.log.members().some(({ address }) => address === 'moved'), 'the move is known');
  });

  it('lets another lead when it is asked to', async () => {
    const [a, b, c] = await three();
    const to = c.log.self()?.raftId ?? 0;
    await a.log.transferLeadership({ ...WAIT, to });
    await until(() => c.log.leadership().state === 'leader', 'c leads');
    await c.log.transferLeadership(WAIT);
    await until(() => [a, b].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    await assert.rejects(c.log.transferLeadership(WAIT), { reason: 'not-leader' });
  });

  it('hands over when it is closed, so that nobody waits for an election', async () => {
    members = new Members({ tickMs: 200 });
    const [a, b, c] = await three();
    const startMs = performance.now();
    await a.log.close();
    await until(() => [b, c].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    assert.ok(performance.now() - startMs < 500, `${performance.now() - startMs} ms`);
  });

  it('a removed leader’s successor goes on, down to one member', async () => {
    const [a, b, c] = await three();
    await a.log.transferLeadership({ ...WAIT, to: b.log.self()?.raftId ?? 0 });
    await until(() => b.log.leadership().state === 'leader', 'b leads');
    await b.log.removeMember(a.log.self()?.raftId ?? 0, WAIT);
    await b.log.removeMember(c.log.self()?.raftId ?? 0, WAIT);
    await b.log.propose(bytes('alone'), WAIT);
    assert.equal(b.log.members().length, 1);
    await until(() => a.removed.length + c.removed.length === 2, 'the others are told');
  });
});
