/** Snapshots: restoring one and applying what came after equals having been there; what newer releases wrote survives. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Task } from '#gen/swarm/v1/objects.ts';
import { SnapshotChunk, StoreTransaction } from '#gen/swarm/v1/store.ts';
import { applyTransaction, SnapshotRestorer, StoreState, saveSnapshot, TABLE_NAMES } from '#manager/store/index.ts';
import { after, build, cluster, create, EMPTY, node, revision, service, task, update } from './support.ts';

function restored(chunks: Iterable<Uint8Array>): StoreState {
  const restorer = new SnapshotRestorer();
  for (const chunk of chunks) restorer.feed(chunk);
  return restorer.finish();
}

function assertSame(left: StoreState, right: StoreState): void {
  assert.deepEqual([left.version, left.transactionId], [right.version, right.transactionId]);
  for (const table of TABLE_NAMES) assert.deepEqual([...left.all(table)], [...right.all(table)]);
  for (const one of right.all('task')) {
    const ids = (found: Iterable<Task>) => [...found].map(({ id }) => id);
    assert.deepEqual(ids(left.tasksOfNode(one.nodeId)), ids(right.tasksOfNode(one.nodeId)));
    assert.deepEqual(ids(left.tasksOfService(one.serviceId)), ids(right.tasksOfService(one.serviceId)));
    assert.deepEqual(ids(left.tasksOfSlot(one.serviceId, one.slot)), ids(right.tasksOfSlot(one.serviceId, one.slot)));
  }
}

describe('manager/store: snapshots', () => {
  it('restores to the same, and goes on to the same', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.nat(30), fc.integer({ min: 1, max: 2000 }), (before, behind, chunkBytes) => {
        let direct = after(
          EMPTY,
          create('cluster', cluster('c1')),
          create('node', node('n1', 'host')),
          create('service', service('s1', 'web')),
          create('revision', revision('r1', 's1', 1)),
        );
        let copy: StoreState | undefined;
        for (let index = 0; index <= before + behind; index++) {
          if (index === before) copy = restored(saveSnapshot(direct, chunkBytes));
          const change = create('task', task(`t${index}`, { nodeId: `n${index % 3}`, slot: index % 5 }));
          const built = build(direct, [change]);
          assert.ok(!(built instanceof Error));
          direct = built.next;
          if (copy === undefined) continue;
          const applied = applyTransaction(copy, built.data);
          assert.equal(applied.kind, 'applied');
          if (applied.kind === 'applied') copy = applied.next;
        }
        assert.ok(copy !== undefined);
        assertSame(copy, direct);
      }),
    );
  });

  it('is of the moment it was begun at, however slowly it is written', () => {
    let state = after(EMPTY, create('task', task('t1')), create('task', task('t2')));
    const saving = saveSnapshot(state, 1);
    const chunks = [saving.next().value as Uint8Array];
    const first = state.get('task', 't2');
    assert.ok(first !== undefined);
    const begun = state;
    state = after(state, update('task', { ...first, nodeId: 'changed' }), create('task', task('t3')));
    chunks.push(...saving);
    assert.equal(chunks.length, 2);
    assertSame(restored(chunks), begun);
  });

  it('makes chunks of the size that it is asked for', () => {
    const state = after(EMPTY, ...Array.from({ length: 200 }, (_, index) => create('task', task(`t${index}`))));
    const chunks = [...saveSnapshot(state, 1000)];
    assert.ok(chunks.length > 5);
    for (const chunk of chunks) assert.ok(chunk.length < 1200, `${chunk.length}`);
  });

  it('keeps fields of a newer release through creation, update, snapshot and restore', () => {
    const field = [0xfa, 0x3e, 3, 1, 2, 3]; // number 1007, three bytes
    const fromTheFuture = Task.decode(new Uint8Array([...Task.encode(task('t1')), ...field]));
    assert.ok(fromTheFuture.$unknown !== undefined);
    let state = after(EMPTY, create('task', fromTheFuture));
    const read = state.get('task', 't1');
    assert.ok(read !== undefined);
    state = after(state, update('task', { ...read, nodeId: 'n1' }));
    state = restored(saveSnapshot(state, 100));
    const kept = state.get('task', 't1');
    assert.ok(kept !== undefined);
    assert.equal(kept.nodeId, 'n1');
    assert.ok(Buffer.from(Task.encode(kept)).includes(Buffer.from(field)));
  });

  it('refuses what is no snapshot, or a newer one', () => {
    const [whole] = [...saveSnapshot(after(EMPTY, create('task', task('t1'))), 10_000)];
    assert.ok(whole !== undefined);
    assert.throws(() => restored([]), { reason: 'corrupt-state' });
    assert.throws(() => restored([whole, whole]), { reason: 'corrupt-state' });
    assert.throws(() => restored([whole.subarray(0, whole.length - 3)]), { reason: 'corrupt-state' });
    const { records } = SnapshotChunk.decode(whole);
    assert.throws(() => restored([SnapshotChunk.encode({ records: records.slice(1) })]), { reason: 'corrupt-state' });
    const header = { kind: 'header', value: { format: 2, version: 1, transactionId: 1 } } as const;
    assert.throws(() => restored([SnapshotChunk.encode({ records: [{ record: header }] })]), {
      reason: 'feature-level',
    });
    const unknown = [10, 5, 18, 3, 250, 6, 0];
    assert.throws(() => restored([whole, new Uint8Array(unknown)]), { reason: 'feature-level' });
    assert.equal(StoreTransaction.create().baseId, 0);
  });
});
