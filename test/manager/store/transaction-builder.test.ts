/** Transactions: packing of groups, limits, what a refusal says, and that a lost predecessor makes members skip alike. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { StoreTransaction } from '#gen/swarm/v1/store.ts';
import { applyTransaction, type Change, TransactionBuilder } from '#manager/store/index.ts';
import { after, build, create, EMPTY, init, remove, service, task, update } from './support.ts';

function refusal(state: typeof EMPTY, ...group: readonly Change[]): SwarmError {
  const built = build(state, group);
  assert.ok(built instanceof SwarmError, 'the group was accepted');
  return built;
}

describe('manager/store: transactions', () => {
  it('sets version and times, and leaves the rest as it was given', () => {
    const created = build(EMPTY, [create('task', task('t1', { updatedAtMs: 5, createdAtMs: 5 }))], init(1000));
    assert.ok(!(created instanceof Error));
    assert.deepEqual(created.next.get('task', 't1'), task('t1', { version: 1, createdAtMs: 1000, updatedAtMs: 1000 }));
    const read = created.next.get('task', 't1');
    assert.ok(read !== undefined);
    const updated = build(created.next, [update('task', { ...read, nodeId: 'n1', createdAtMs: 7 })], init(2000));
    assert.ok(!(updated instanceof Error));
    const expected = task('t1', { version: 2, createdAtMs: 1000, updatedAtMs: 2000, nodeId: 'n1' });
    assert.deepEqual(updated.next.get('task', 't1'), expected);
    assert.deepEqual(updated.commit, {
      version: 2,
      timeMs: 2000,
      events: [{ kind: 'update', table: 'task', object: expected, old: read }],
    });
  });

  it('stores what the bytes say, not the objects that it was given', () => {
    const given = { ...task('t1'), extra: 'not part of the contract' };
    const built = build(EMPTY, [create('task', given)]);
    assert.ok(!(built instanceof Error));
    assert.notEqual(built.next.get('task', 't1'), given);
    assert.ok(!('extra' in (built.next.get('task', 't1') ?? {})));
  });

  it('refuses with a reason, the object and a way out', () => {
    const state = after(EMPTY, create('service', service('s1', 'web')), create('task', task('t1')));
    const old = task('t1', { version: 0 });
    assert.match(refusal(state, update('task', old)).message, /update out of sequence: task t1 is at version 1/);
    assert.equal(refusal(state, update('task', old)).code, 'conflict');
    assert.equal(refusal(state, remove('task', old)).reason, 'out-of-sequence');
    assert.equal(refusal(state, update('task', task('t9'))).code, 'not-found');
    assert.equal(refusal(state, create('task', task('t1'))).code, 'exists');
    assert.match(
      refusal(state, create('service', service('s2', 'Web'))).message,
      /a service with name web already exists \(s1\)/,
    );
    assert.equal(refusal(state, create('task', task('t2', { version: 3 }))).field, 'version');
    for (const id of ['', '..', 'a/b', '-a', 'x'.repeat(65), 'ü'])
      assert.equal(refusal(state, create('task', task(id))).field, 'id', id);
    for (const error of [refusal(state, update('task', old)), refusal(state, create('service', service('s2', 'web')))])
      assert.ok(error.hint !== undefined);
    assert.equal(refusal(state, create('task', task('t3', { slot: 1.5 }))).code, 'invalid');
  });

  it('lets a name go from one object to another within a group', () => {
    const state = after(EMPTY, create('service', service('s1', 'web')), create('service', service('s2', 'db')));
    const first = state.get('service', 's1');
    const second = state.get('service', 's2');
    assert.ok(first !== undefined && second !== undefined);
    const swapped = after(state, remove('service', first), update('service', { ...second, spec: first.spec }));
    assert.equal(swapped.serviceByName('web')?.id, 's2');
    assert.equal(swapped.serviceByName('db'), undefined);
    const taken = refusal(state, update('service', { ...second, spec: first.spec }), remove('service', first));
    assert.equal(taken.reason, 'duplicate-name');
  });

  it('packs groups until one has no room, each whole or not at all', () => {
    const builder = new TransactionBuilder(EMPTY, init());
    const group = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => create('task', task(`t${from + index}`)));
    assert.equal(builder.add(group(0, 150)).kind, 'added');
    assert.equal(builder.add([...group(150, 2), create('task', task('t3'))]).kind, 'refused');
    assert.equal(builder.add(group(200, LIMITS.CHANGES_PER_TRANSACTION - 149)).kind, 'full');
    assert.equal(builder.add(group(200, LIMITS.CHANGES_PER_TRANSACTION - 150)).kind, 'added');
    assert.equal(builder.add(group(900, 1)).kind, 'full');
    const { next, data } = builder.finish();
    assert.equal(next.count('task'), LIMITS.CHANGES_PER_TRANSACTION);
    assert.equal(next.get('task', 't150'), undefined);
    assert.equal(StoreTransaction.decode(data).actions.length, LIMITS.CHANGES_PER_TRANSACTION);
  });

  it('keeps to the limits of changes and bytes, and names them', () => {
    const many = Array.from({ length: LIMITS.CHANGES_PER_TRANSACTION + 1 }, (_, index) =>
      create('task', task(`t${index}`)),
    );
    assert.deepEqual(
      [refusal(EMPTY, ...many).reason, refusal(EMPTY, ...many).limit],
      ['too-many', 'CHANGES_PER_TRANSACTION'],
    );
    const heavy = (id: string, bytes: number) => create('task', task(id, { holdReason: 'x'.repeat(bytes) }));
    const tooLarge = refusal(EMPTY, heavy('t1', LIMITS.TRANSACTION_BYTES));
    assert.deepEqual([tooLarge.reason, tooLarge.limit], ['too-large', 'TRANSACTION_BYTES']);
    const builder = new TransactionBuilder(EMPTY, init());
    assert.equal(builder.add([heavy('t1', LIMITS.TRANSACTION_BYTES / 2)]).kind, 'added');
    assert.equal(builder.add([heavy('t2', LIMITS.TRANSACTION_BYTES / 2)]).kind, 'full');
    assert.ok(builder.finish().data.length <= LIMITS.TRANSACTION_BYTES);
  });

  it('is skipped by everyone when the one it was built upon was lost', () => {
    const base = after(EMPTY, create('task', task('t1')));
    const lost = build(base, [create('task', task('t2'))]);
    assert.ok(!(lost instanceof Error));
    const orphan = build(lost.next, [create('task', task('t3'))]);
    assert.ok(!(orphan instanceof Error));
    assert.deepEqual(applyTransaction(base, orphan.data), { kind: 'skipped', version: 3 });
    // Another one in its place makes the same version, but is not what the orphan was built upon.
    const other = build(base, [create('task', task('t4'))]);
    assert.ok(!(other instanceof Error));
    assert.deepEqual(applyTransaction(other.next, orphan.data), { kind: 'skipped', version: 3 });
    assert.deepEqual(applyTransaction(other.next, lost.data), { kind: 'skipped', version: 2 });
  });

  it('stops rather than apply what it does not know or what cannot be', () => {
    const unknownTable = new Uint8Array([10, 5, 18, 3, 250, 6, 0, 32, 1]); // actions[0].object with field 111; version 1
    assert.throws(() => applyTransaction(EMPTY, unknownTable), { reason: 'feature-level' });
    const first = build(EMPTY, [create('task', task('t1'))]);
    assert.ok(!(first instanceof Error));
    const again = StoreTransaction.encode({
      ...StoreTransaction.decode(first.data),
      version: 2,
      baseId: first.next.transactionId,
    });
    assert.throws(() => applyTransaction(first.next, again), /invariant broken: the log creates task t1, which exists/);
    assert.throws(() => applyTransaction(EMPTY, new Uint8Array([10, 200, 1])), { reason: 'bad-message' });
  });
});
