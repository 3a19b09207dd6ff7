/** Goal: whoever proposes or reads learns what became of it, in time, and is never told more than is certain. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { bytes, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: proposals and reads', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  async function three(config = {}): Promise<readonly [Member, Member, Member]> {
    members = new Members(config);
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    return [a, b, c];
  }

  const outcomeOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'applied',
      (thrown: unknown) => SwarmError.from(thrown).reason,
    );

  it('are applied in the order of the calls, each with its ticket, before they resolve', async () => {
    const [a, b] = await three();
    const tickets = Array.from({ length: 200 }, (_, number) => ({ number }));
    const positions = await Promise.all(
      tickets.map((ticket) => a.log.propose(bytes(`${ticket.number}`), { ...WAIT, ticket })),
    );
    assert.deepEqual(a.machine.tickets, tickets);
    assert.deepEqual(
      positions.map(({ index }) => index - (positions[0]?.index ?? 0)),
      tickets.map(({ number }) => number),
    );
    await until(() => b.machine.applied.length === 200, 'b has them');
    assert.deepEqual(b.machine.applied, a.machine.applied);
    assert.ok(b.machine.tickets.every((ticket) => ticket === undefined));
  });

  it('of one turn travel together', async () => {
    const [a] = await three();
    let appends = 0;
    members.network.passes = (_from, _to, message) => {
      if (message.type === 'MsgApp' && message.entries.length > 0) appends++;
      return true;
    };
    await Promise.all(Array.from({ length: 300 }, (_, number) => a.log.propose(bytes(`${number}`), WAIT)));
    assert.ok(appends < 20, `${appends} messages`);
  });

  it('a lost one is known to be lost once another entry stands in its place', async () => {
    const [a, b, c] = await three({ tickMs: 20 });
    members.network.passes = (from, _to, message) => from !== a.log.self()?.raftId || message.entries.length === 0;
    const lost = [1, 2, 3].map((number) => outcomeOf(a.log.propose(bytes(`lost ${number}`), WAIT)));
    await a.log.transferLeadership({ timeoutMs: 50 }).catch(() => {});
    members.network.isolate('a');
    await until(() => [b, c].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    members.network.passes = () => true;
    members.network.heal();
    const next = [b, c].find(({ log }) => log.leadership().state === 'leader');
    assert.ok(next !== undefined);
    await Promise.all([1, 2, 3].map((number) => next.log.propose(bytes(`kept ${number}`), WAIT)));
    // Certain, or given up in time: never acknowledged.
    for (const outcome of await Promise.all(lost))
      assert.ok(['not-leader', 'leadership-lost'].includes(outcome), outcome);
    await until(() => a.machine.applied.includes('kept 3'), 'a follows');
    assert.ok(
      a.machine.applied.every((text) => text.startsWith('kept')),
      a.machine.applied.join(),
    );
  });

  it('one that another leader committed counts as done', async () => {
    const [a, b, c] = await three({ tickMs: 20 });
    const idOf = ({ log }: Member): number => log.self()?.raftId ?? 0;
    // The followers get the entry, and the leader does not hear that they have it.
    const { committedIndex } = a.log.status();
    const have = new Set<number>();
    members.network.passes = (from, to, message) => {
      if (to !== idOf(a) || message.type !== 'MsgAppResp') return true;
      if (message.index > committedIndex) have.add(from);
      return false;
    };
    const outcome = outcomeOf(a.log.propose(bytes('x'), WAIT));
    await until(() => have.size === 2, 'both followers have x');
    members.network.isolate('a');
    await until(() => [b, c].some(({ log }) => log.leadership().state === 'leader'), 'another leads');
    members.network.passes = () => true;
    members.network.heal();
    await until(() => a.machine.applied.includes('x'), 'a has x from the next leader');
    assert.ok(['applied', 'leadership-lost'].includes(await outcome));
    assert.deepEqual(a.machine.applied, ['x']);
  });

  it('end at their deadline, and may come into effect later', async () => {
    const [a, b] = await three({ tickMs: 200 });
    members.network.passes = () => false;
    await assert.rejects(a.log.propose(bytes('late'), { timeoutMs: 30 }), { code: 'deadline', reason: 'timeout' });
    members.network.passes = () => true;
    await until(() => b.machine.applied.includes('late'), 'it comes into effect');
  });

  it('are bounded in number and bytes', async () => {
    const [a] = await three({ waitingProposals: 3, waitingBytes: 2500, proposalBytes: 1000, tickMs: 200 });
    await assert.rejects(a.log.propose(new Uint8Array(1001), WAIT), {
      reason: 'too-large',
      limit: 'TRANSACTION_BYTES',
    });
    const first = [a.log.propose(new Uint8Array(1000), WAIT), a.log.propose(new Uint8Array(1000), WAIT)];
    await assert.rejects(a.log.propose(new Uint8Array(1000), WAIT), { reason: 'too-many' });
    await Promise.all(first);
    members.network.passes = () => false;
    const waiting = [1, 2, 3].map(() => outcomeOf(a.log.propose(new Uint8Array(1), { timeoutMs: 50 })));
    await assert.rejects(a.log.propose(new Uint8Array(1), WAIT), { reason: 'too-many' });
    assert.deepEqual(await Promise.all(waiting), ['timeout', 'timeout', 'timeout']);
  });

  it('large ones go through in order, beside small ones', async () => {
    const [a, b] = await three({ messageBytes: 4096, inflightBytes: 8192, frameBytes: 4096 });
    const sizes = [10, 50_000, 10, 3000, 3000, 100_000, 1];
    await Promise.all(sizes.map((size, number) => a.log.propose(bytes(`${number}`.padEnd(size)), WAIT)));
    await until(() => b.machine.applied.length === sizes.length, 'b has them');
    assert.deepEqual(b.machine.applied, a.machine.applied);
  });

  it('a leader that is cut off serves no read', async () => {
    const [a] = await three({ tickMs: 20 });
    members.network.isolate('a');
    const reads = await Promise.all(
      Array.from({ length: 50 }, () => outcomeOf(a.log.readBarrier({ timeoutMs: 5000 }))),
    );
    assert.deepEqual(new Set(reads), new Set(['no-quorum']));
  });

  it('a read whose question or answer is lost is asked again', async () => {
    const [, b] = await three();
    let lost = 3;
    members.network.passes = (_from, _to, { type }) =>
      (type !== 'MsgReadIndex' && type !== 'MsgReadIndexResp') || lost-- <= 0;
    assert.ok((await b.log.readBarrier(WAIT)) > 0);
    members.network.passes = (_from, _to, { type }) => type !== 'MsgReadIndex';
    await assert.rejects(b.log.readBarrier({ timeoutMs: 100 }), { reason: 'timeout' });
  });

  it('reads wait for the next leader', async () => {
    const [a, b, c] = await three({ tickMs: 20 });
    await a.log.propose(bytes('x'), WAIT);
    await members.crash(a);
    const indexes = await Promise.all([b, c].map(({ log }) => log.readBarrier(WAIT)));
    assert.ok(indexes.every((index) => index > 0));
    assert.ok([b, c].every(({ machine }) => machine.applied.includes('x')));
  });

  it('reads are bounded and share rounds', async () => {
    const [, b] = await three({ waitingReads: 100, tickMs: 200 });
    let asked = 0;
    members.network.passes = (_from, _to, { type }) => {
      if (type === 'MsgReadIndex') asked++;
      return true;
    };
    const reads = Array.from({ length: 100 }, () => b.log.readBarrier(WAIT));
    await assert.rejects(b.log.readBarrier(WAIT), { reason: 'too-many' });
    await Promise.all(reads);
    assert.ok(asked <= 2, `${asked} rounds`);
  });
});
