/** Goal: the heap gives its items in order whatever is pushed, changed and taken out. Method: against a sorted array. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Heap, type HeapItem } from '#common/heap.ts';

interface Item extends HeapItem {
  readonly name: number;
  rank: number;
}

const operation = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('push' as const), rank: fc.nat({ max: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pop' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('update' as const), pick: fc.nat(), rank: fc.nat({ max: 20 }) }),
  },
);

describe('common: heap', () => {
  it('agrees with a sorted array', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80, size: 'max' }), (operations) => {
        const compare = (a: Item, b: Item) => a.rank - b.rank || a.name - b.name;
        const heap = new Heap<Item>(compare);
        const items: Item[] = [];
        for (const [name, one] of operations.entries()) {
          if (one.kind === 'push') {
            const item: Item = { heapIndex: -1, name, rank: one.rank };
            heap.push(item);
            items.push(item);
          } else if (one.kind === 'pop') {
            assert.equal(heap.pop(), items.sort(compare).shift());
          } else {
            const item = items[one.pick % Math.max(1, items.length)];
            if (item === undefined) continue;
            if (one.kind === 'remove') {
              heap.remove(item);
              heap.remove(item);
              items.splice(items.indexOf(item), 1);
              assert.equal(item.heapIndex, -1);
            } else {
              item.rank = one.rank;
              heap.update(item);
            }
          }
          assert.equal(heap.size, items.length);
          assert.equal(heap.peek(), items.sort(compare)[0]);
        }
        for (const item of items.sort(compare)) assert.equal(heap.pop(), item);
      }),
      { numRuns: 500 },
    );
  });

  it('forgets everything', () => {
    const heap = new Heap<Item>((a, b) => a.rank - b.rank);
    const item: Item = { heapIndex: -1, name: 1, rank: 1 };
    heap.push(item);
    heap.clear();
    assert.equal(heap.pop(), undefined);
    assert.equal(item.heapIndex, -1);
  });
});
