/**
 * Goal: what watchers are told is checked against itself, against other watchers and against what was written. Method:
 * histories made by hand, each with one thing wrong.
 */
import assert from 'node:assert/strict';
import { checkHistory } from './check-history.ts';
import { checkWatches } from './check-watches.ts';
import type { HistoryEvent, Operation } from './history.ts';
import { formatHistory, parseHistory } from './history.ts';
import { HistoryRecorder } from './recorder.ts';
import { op, read, watched, write } from './support.ts';
import { sessionsOf } from './watch-sessions.ts';

function problemsOf(events: readonly HistoryEvent[], operations: readonly Operation[] = []): readonly string[] {
  return checkWatches(sessionsOf(events), operations);
}

const X1 = [1, 'k', 'x'] as const;
const Y2 = [2, 'k', 'y'] as const;
const Z3 = [3, 'k', 'z'] as const;

describe('linearizability: watches', () => {
  it('nothing is wrong with versions in order that everybody agrees on', () => {
    const writes = [write('a', 1, 2, 'x', 1), write('a', 3, 4, 'y', 2), write('a', 5, undefined, 'z')];
    const events = [...watched('w1', 0, [X1, Y2, Z3]), ...watched('w2', 1, [Y2, Z3])];
    assert.deepEqual(problemsOf(events, [...writes, read('b', 6, 7, 'y', 2)]), []);
  });

  const wrong: readonly (readonly [string, readonly HistoryEvent[], RegExp])[] = [
    ['a gap', watched('w', 0, [X1, Z3]), /^w is told version 3 after 1: a gap$/],
    ['a gap at the beginning', watched('w', 0, [Y2]), /^w is told version 2 after 0: a gap$/],
    ['a repetition', watched('w', 0, [X1, X1]), /^w is told version 1 twice$/],
    ['going back', watched('w', 0, [X1, Y2, X1]), /^w goes back from version 2 to 1$/],
    ['a new beginning further back', [...watched('w', 0, [X1, Y2]), ...watched('w', 1, [])], /was told 2 already$/],
    [
      'two watchers that differ',
      [...watched('w1', 0, [X1]), ...watched('w2', 0, [[1, 'k', 'other']])],
      /^version 1: w2 and w1 differ: k is "other" and "x"$/,
    ],
    [
      'a change that one watcher of everything is not told',
      [...watched('w1', 0, [[1, 'k', 'x']]), ...watched('w2', 0, [[1, 'j', 'x']])],
      /^version 1: w2 and w1 differ: j is "x" and not in it$/,
    ],
  ];
  for (const [name, events, expected] of wrong)
    it(`finds ${name}`, () => {
      const problems = problemsOf(events);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', expected);
    });

  it('a watch of some objects may have gaps, but no repetition', () => {
    assert.deepEqual(problemsOf(watched('w', 0, [X1, Z3], false)), []);
    assert.equal(problemsOf(watched('w', 0, [X1, Z3, Z3], false)).length, 1);
  });

  it('finds an acknowledged write that watchers were not told of', () => {
    const problems = problemsOf(watched('w', 0, [[1, 'j', '1'], Y2]), [
      write('a', 1, 2, 'x', 1),
      write('a', 3, 4, 'y', 2),
    ]);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /is of k in version 1, of which no watcher was told/);
  });

  it('finds a write, a removal and a read that differ from what watchers were told', () => {
    const differing = [
      write('a', 1, 2, 'other', 1),
      op('a', 3, 4, { kind: 'delete' }, { outcome: 'ok', version: 2 }),
      read('a', 5, 6, 'other', 3),
    ];
    for (const operation of differing) {
      const writes = [write('b', 0, undefined, 'x'), write('b', 0, undefined, 'y'), write('b', 0, undefined, 'z')];
      const problems = problemsOf(watched('w', 0, [X1, Y2, Z3]), [operation, ...writes]);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', /watchers were told "/);
    }
  });

  it('finds what nobody asked for, what was refused, and what happened twice or too early', () => {
    const cases: readonly (readonly [Operation, RegExp])[] = [
      [write('a', 1, 2, 'other'), /^version 1 sets k to "x", which nobody asked for$/],
      [op('a', 1, 2, { kind: 'create', value: 'x' }, { outcome: 'refused' }), /took effect in version 1$/],
      [write('a', 5000, 5001, 'x'), /before it was asked for$/],
    ];
    for (const [operation, expected] of cases) {
      const problems = problemsOf(watched('w', 0, [X1]), [operation]);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', expected);
    }
    const twice = problemsOf(watched('w', 0, [X1, [2, 'k', 'x']]), [write('a', 1, undefined, 'x')]);
    assert.match(twice[0] ?? '', /applied twice, in version 1 and in 2$/);
  });

  it('keys that no client wrote are none of its business', () => {
    assert.deepEqual(problemsOf(watched('w', 0, [[1, 'somebody-elses', 'x']]), [write('a', 1, 2, 'y')]), []);
  });
});

describe('linearizability: recorded histories', () => {
  it('are recorded, written, read and checked as one', async () => {
    let now = 0;
    let lines = '';
    const recorder = new HistoryRecorder({ nowMs: () => ++now, sink: (line) => (lines += line) });
    const watch = recorder.watch('w', 0, { everything: true });
    await recorder.run(
      { process: 'a', key: 'k', kind: 'write', value: 'x' },
      async () => 1,
      (version) => ({ outcome: 'ok', version }),
    );
    watch.commit(1, [{ key: 'k', value: 'x' }]);
    await recorder.run({ process: 'b', key: 'k', kind: 'write', value: 'y' }, () =>
      Promise.reject(new Error('cut off')),
    );
    watch.commit(2, [{ key: 'k', value: 'y' }]);
    watch.end();
    recorder.invoke({ process: 'c', key: 'k', kind: 'read' });
    assert.deepEqual(parseHistory(lines), JSON.parse(JSON.stringify(recorder.events())));
    assert.equal(formatHistory(recorder.events()), lines);
    const report = checkHistory(parseHistory(`${lines}{"type":"invo`));
    assert.deepEqual(report, {
      verdict: 'ok',
      problems: [],
      undecidedKeys: [],
      keys: 1,
      operations: 3,
      unknownOutcomes: 2,
      watchedCommits: 2,
    });
  });

  it('a watcher decides between orders that clients alone cannot', () => {
    const operations = [write('a', 1, 10, 'x'), write('b', 1, 10, 'y'), read('c', 11, 12, 'x')];
    const lines = operations.flatMap((operation): readonly HistoryEvent[] => {
      const { process, number, key, kind, value, invokedMs, returnedMs, result } = operation;
      return [
        { type: 'invoke', process, number, key, kind, value, atMs: invokedMs },
        { type: 'return', process, number, ...result, atMs: returnedMs },
      ];
    });
    assert.equal(checkHistory(lines).verdict, 'ok');
    assert.equal(
      checkHistory([
        ...lines,
        ...watched('w', 0, [
          [1, 'k', 'y'],
          [2, 'k', 'x'],
        ]),
      ]).verdict,
      'ok',
    );
    const otherwise = checkHistory([...lines, ...watched('w', 0, [X1, Y2])]);
    assert.equal(otherwise.verdict, 'illegal');
    assert.match(otherwise.problems[0] ?? '', /read -> ok "x"/);
  });
});
