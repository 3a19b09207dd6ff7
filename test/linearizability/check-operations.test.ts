/**
 * Goal: the checker finds what is impossible and nothing else. Method: histories made by hand, good and bad, each with
 * the anomaly in its name; then random ones of a few operations, judged by trying every order.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isLinearizableByBruteForce } from './brute-force.ts';
import { checkOperations } from './check-operations.ts';
import type { Operation, OperationKind, Outcome } from './history.ts';
import { op, read, write } from './support.ts';

function verdictOf(operations: readonly Operation[]): string {
  return checkOperations(operations).verdict;
}

const GOOD: Readonly<Record<string, readonly Operation[]>> = {
  'nothing at all': [],
  'a read before anything was written': [read('a', 1, 2, null)],
  'one after another': [write('a', 1, 2, 'x'), read('b', 3, 4, 'x'), write('a', 5, 6, 'y'), read('b', 7, 8, 'y')],
  'a read during a write sees the old value': [write('a', 1, 10, 'x'), read('b', 2, 3, null)],
  'a read during a write sees the new value': [write('a', 1, 10, 'x'), read('b', 2, 3, 'x')],
  'concurrent writes in either order': [write('a', 1, 10, 'x'), write('b', 1, 10, 'y'), read('c', 11, 12, 'x')],
  'an end and a beginning at the same time overlap': [write('a', 1, 2, 'x'), read('b', 2, 3, null)],
  'an unknown write that shows late': [write('a', 1, undefined, 'x'), read('b', 50, 51, null), read('b', 60, 61, 'x')],
  'an unknown write that never shows': [write('a', 1, undefined, 'x'), write('b', 5, 6, 'y'), read('b', 60, 61, 'y')],
  'an unknown write between two reads': [
    write('a', 1, 2, 'x'),
    write('b', 3, undefined, 'y'),
    write('a', 4, 5, 'z'),
    read('c', 6, 7, 'z'),
    read('c', 8, 9, 'y'),
  ],
  'compare-and-set by version': [
    write('a', 1, 2, 'x', 7),
    op('b', 3, 4, { kind: 'compare-and-set', value: 'y', expected: { version: 7 } }, { outcome: 'ok', version: 9 }),
    op('c', 5, 6, { kind: 'compare-and-set', value: 'z', expected: { version: 7 } }, { outcome: 'refused' }),
    read('a', 7, 8, 'y', 9),
  ],
  'one of two concurrent compare-and-sets': [
    write('a', 1, 2, 'x', 7),
    op('b', 3, 6, { kind: 'compare-and-set', value: 'y', expected: { version: 7 } }),
    op('c', 3, 6, { kind: 'compare-and-set', value: 'z', expected: { version: 7 } }, { outcome: 'refused' }),
  ],
  'compare-and-set upon an unknown write that nobody read': [
    write('a', 1, 2, 'x', 7),
    write('a', 3, undefined, 'y'),
    op('b', 5, 6, { kind: 'compare-and-set', value: 'z', expected: { version: 8 } }, { outcome: 'ok', version: 9 }),
  ],
  'deleted and made again': [
    op('a', 1, 2, { kind: 'create', value: 'x' }),
    op('a', 3, 4, { kind: 'delete' }),
    read('a', 5, 6, null),
    op('a', 7, 8, { kind: 'delete' }, { outcome: 'refused' }),
    op('a', 9, 10, { kind: 'create', value: 'y' }),
  ],
  'a delete of unknown outcome explains a refusal': [
    write('a', 1, 2, 'x'),
    op('b', 3, undefined, { kind: 'delete' }),
    op('c', 4, 5, { kind: 'delete' }, { outcome: 'refused' }),
  ],
  'failed operations say nothing': [
    op('a', 1, 2, { kind: 'write', value: 'x' }, { outcome: 'failed' }),
    read('b', 3, 4, null),
    op('b', 5, 6, { kind: 'read' }, { outcome: 'failed' }),
  ],
  'keys are apart': [
    { ...write('a', 1, 2, 'x'), key: 'k1' },
    { ...read('b', 3, 4, null), key: 'k2' },
  ],
};

const BAD: Readonly<Record<string, readonly Operation[]>> = {
  'stale read': [write('a', 1, 2, 'x'), write('a', 3, 4, 'y'), read('b', 5, 6, 'x')],
  'lost write': [write('a', 1, 2, 'x'), read('b', 3, 4, null)],
  'lost write between two others': [write('a', 1, 2, 'x'), write('b', 3, 4, 'y'), read('c', 5, 6, 'x')],
  'applied twice': [write('a', 1, 2, 'x'), write('b', 3, 4, 'y'), read('c', 5, 6, 'y'), read('c', 7, 8, 'x')],
  'an unknown write takes effect twice': [
    write('a', 1, undefined, 'x'),
    read('b', 3, 4, 'x'),
    write('b', 5, 6, 'y'),
    read('b', 7, 8, 'y'),
    read('b', 9, 10, 'x'),
  ],
  'reads in an order that no writes have': [
    write('a', 1, 20, 'x'),
    write('b', 1, 20, 'y'),
    read('c', 2, 3, 'x'),
    read('c', 4, 5, 'y'),
    read('c', 6, 7, 'x'),
  ],
  'two readers see two orders': [
    write('a', 1, 2, 'x'),
    write('b', 1, 2, 'y'),
    read('c', 3, 4, 'x'),
    read('d', 3, 5, 'y'),
    read('c', 6, 7, 'x'),
    read('d', 6, 7, 'y'),
  ],
  'read before it was written': [read('b', 1, 2, 'x'), write('a', 3, 4, 'x')],
  'unknown write read before it was asked for': [read('b', 1, 2, 'x'), write('a', 3, undefined, 'x')],
  'value from nowhere': [read('a', 1, 2, 'z')],
  'failed write shows': [op('a', 1, 2, { kind: 'write', value: 'x' }, { outcome: 'failed' }), read('b', 3, 4, 'x')],
  'two compare-and-sets upon one version': [
    write('a', 1, 2, 'x', 7),
    op('b', 3, 6, { kind: 'compare-and-set', value: 'y', expected: { version: 7 } }),
    op('c', 3, 6, { kind: 'compare-and-set', value: 'z', expected: { version: 7 } }),
  ],
  'compare-and-set refused without reason': [
    write('a', 1, 2, 'x', 7),
    op('c', 3, 6, { kind: 'compare-and-set', value: 'z', expected: { version: 7 } }, { outcome: 'refused' }),
  ],
  'versions go back': [write('a', 1, 2, 'x', 7), write('a', 3, 4, 'y', 6)],
  'a read shows another version than the write got': [write('a', 1, 2, 'x', 7), read('b', 3, 4, 'x', 8)],
  'two reads show two versions of one write': [write('a', 1, 2, 'x'), read('b', 3, 4, 'x', 7), read('b', 5, 6, 'x', 8)],
  'created twice': [op('a', 1, 2, { kind: 'create', value: 'x' }), op('b', 3, 4, { kind: 'create', value: 'y' })],
  'deleted twice': [
    op('a', 1, 2, { kind: 'create', value: 'x' }),
    op('a', 3, 4, { kind: 'delete' }),
    op('b', 5, 6, { kind: 'delete' }),
  ],
  'comes back after its removal': [
    write('a', 1, 2, 'x'),
    op('a', 3, 4, { kind: 'delete' }),
    read('b', 5, 6, null),
    read('b', 7, 8, 'x'),
  ],
};

describe('linearizability: operations', () => {
  for (const [name, operations] of Object.entries(GOOD))
    it(`is found possible: ${name}`, () => {
      assert.equal(isLinearizableByBruteForce(operations.filter(({ key }) => key !== 'k2')), true);
      const report = checkOperations(operations);
      assert.equal(report.verdict, 'ok', report.problems.join('\n'));
    });

  for (const [name, operations] of Object.entries(BAD))
    it(`is found impossible: ${name}`, () => {
      assert.equal(isLinearizableByBruteForce(operations), false);
      assert.equal(verdictOf(operations), 'illegal');
    });

  it('one bad key among good ones is found, and named', () => {
    const operations = [
      ...(GOOD['one after another'] ?? []),
      ...(BAD['stale read'] ?? []).map((operation) => ({ ...operation, key: 'bad' })),
    ];
    const { verdict, problems, keys } = checkOperations(operations);
    assert.equal(verdict, 'illegal');
    assert.equal(keys, 2);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^bad: /);
  });

  it('explains the first impossible operation, what the key could hold, and what else went on', () => {
    const { problems } = checkOperations([
      write('writer-1', 1, 2, 'x', 3),
      write('writer-2', 3, 4, 'y', 5),
      read('reader', 5, 6, 'x'),
      read('reader', 7, 8, 'nonsense'),
    ]);
    assert.equal(
      problems[0],
      [
        'k: no order of its operations is possible; the first that fits nowhere is',
        '  [5.0 to 6.0 ms] reader, operation 5: read -> ok "x"',
        'with everything that had returned before it, the key could hold at the end',
        '  "y" (version 5), made by operation 3 of writer-2',
        'operations at that time',
        '  [1.0 to 2.0 ms] writer-1, operation 1: write "x" -> ok version 3',
        '  [3.0 to 4.0 ms] writer-2, operation 3: write "y" -> ok version 5',
      ].join('\n'),
    );
  });

  const mixtures: Readonly<Record<string, readonly OperationKind[]>> = {
    'all kinds': ['write', 'read', 'read', 'create', 'compare-and-set', 'delete'],
    'reads and writes': ['write', 'read', 'read'],
    'conditional writes': ['write', 'read', 'compare-and-set', 'compare-and-set'],
  };
  for (const [name, kinds] of Object.entries(mixtures))
    it(`agrees with every order of every random history of a few operations: ${name}`, () => {
      let illegal = 0;
      let runs = 0;
      fc.assert(
        fc.property(randomHistory(kinds), (operations) => {
          const expected = isLinearizableByBruteForce(operations);
          runs++;
          if (!expected) illegal++;
          assert.equal(verdictOf(operations), expected ? 'ok' : 'illegal');
        }),
        { numRuns: 3000 },
      );
      assert.ok(illegal > runs / 20 && illegal < runs * 0.95, `${illegal} bad histories of ${runs}`);
    }).timeout(30_000);

  it('takes thousands of operations of a hundred clients in its stride', () => {
    const operations = longHistory(2000, 100);
    const report = checkOperations(operations, { timeoutMs: 20_000 });
    assert.equal(report.verdict, 'ok', report.problems.join('\n'));
    const last = operations.at(-1);
    assert.ok(last);
    const stale = read('z', last.returnedMs + 1, last.returnedMs + 2, operations[0]?.value ?? '');
    assert.equal(verdictOf([...operations, stale]), 'illegal');
  }).timeout(60_000);

  it('gives up in time, and says so', () => {
    // Concurrent writes of one value, compare-and-sets and a read of what nobody wrote: all orders have to be tried.
    const operations = Array.from({ length: 40 }, (_, at) =>
      op(`p${at}`, 1, 100, { kind: 'compare-and-set', value: `${at}`, expected: {} }),
    );
    const history = [write('a', 0, 1, 'x'), ...operations, read('r', 200, 201, 'nothing of it')];
    const started = performance.now();
    const report = checkOperations(history, { timeoutMs: 200 });
    assert.equal(report.verdict, 'unknown');
    assert.deepEqual(report.undecidedKeys, ['k']);
    assert.ok(performance.now() - started < 5000);
  });
});

function randomHistory(kinds: readonly OperationKind[]): fc.Arbitrary<readonly Operation[]> {
  const value = fc.constantFrom('x', 'y', 'z');
  const version = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
  const one = fc.record({
    kind: fc.constantFrom(...kinds),
    from: fc.integer({ min: 0, max: 12 }),
    lasts: fc.integer({ min: 0, max: 6 }),
    value,
    seen: fc.option(value, { nil: null }),
    version,
    expected: fc.record({ version, value: fc.option(value, { nil: undefined }) }),
    ending: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'refused', 'failed', 'unknown'),
  });
  return fc.array(one, { minLength: 1, maxLength: 6 }).map((all) =>
    all.map(({ kind, from, lasts, value: written, seen, version: told, expected, ending }, at) => {
      const to = ending === 'unknown' ? undefined : from + lasts;
      const conditional = kind !== 'read' && kind !== 'write';
      const known: Outcome =
        kind === 'read'
          ? { outcome: 'ok', value: seen, version: seen === null ? undefined : told }
          : { outcome: 'ok', version: told };
      const result: Outcome =
        ending === 'failed'
          ? { outcome: 'failed' }
          : ending === 'refused' && conditional
            ? { outcome: 'refused' }
            : known;
      return op(`p${at}`, from, to, { kind, value: kind === 'read' ? undefined : written, expected }, result);
    }),
  );
}

/** A good history of many clients: effects at one moment each, with some room around it. */
function longHistory(count: number, clients: number): readonly Operation[] {
  let seed = 1;
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  let value = '';
  let version = 0;
  return Array.from({ length: count }, (_, at) => {
    const moment = 10 + at;
    const [from, to] = [moment - random() * (clients / 2), moment + random() * (clients / 2)];
    const process = `p${at % clients}`;
    if (at > 0 && random() < 0.5) return read(process, from, to, value, random() < 0.5 ? version : undefined);
    value = `v${at}`;
    version = at + 1;
    return write(process, from, random() < 0.01 ? undefined : to, value, random() < 0.5 ? version : undefined);
  });
}
