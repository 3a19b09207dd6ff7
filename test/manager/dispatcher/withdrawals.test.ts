/** Goal: a task that is to stop waits for every node that may send it connections, and for no other, and not for ever. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Withdrawals } from '#manager/dispatcher/withdrawals.ts';

const ids = (withdrawals: readonly { readonly taskId: string }[]): readonly string[] =>
  withdrawals.map(({ taskId }) => taskId);

describe('dispatcher: withdrawals', () => {
  it('waits for all nodes, each at the commit or a later one', () => {
    const withdrawals = new Withdrawals();
    assert.equal(withdrawals.hold({ taskId: 't', nodeId: 'a' }, 7, ['a', 'b'], 1000), true);
    assert.deepEqual(withdrawals.confirmed('a', 6), []);
    assert.deepEqual(withdrawals.confirmed('a', 7), []);
    assert.deepEqual(withdrawals.confirmed('a', 8), []);
    assert.equal(withdrawals.isHeld('t'), true);
    assert.deepEqual(ids(withdrawals.confirmed('b', 9)), ['t']);
    assert.equal(withdrawals.isHeld('t'), false);
    assert.equal(withdrawals.nextDeadlineMs, undefined);
  });

  it('does not wait where there is nobody to wait for', () => {
    const withdrawals = new Withdrawals();
    assert.equal(withdrawals.hold({ taskId: 't', nodeId: 'a' }, 7, [], 1000), false);
    assert.equal(withdrawals.isHeld('t'), false);
  });

  it('a node that is gone is not waited for, nor is one after the deadline, which is named', () => {
    const withdrawals = new Withdrawals();
    withdrawals.hold({ taskId: 't', nodeId: 'a' }, 7, ['a', 'b'], 1000);
    withdrawals.hold({ taskId: 'u', nodeId: 'a' }, 8, ['b', 'c'], 1200);
    withdrawals.confirmed('a', 9);
    assert.deepEqual(ids(withdrawals.gone('b')), ['t']);
    assert.equal(withdrawals.nextDeadlineMs, 1200);
    assert.deepEqual(withdrawals.expire(1199), []);
    assert.deepEqual(
      withdrawals.expire(1200).map(({ withdrawal, nodes }) => [withdrawal.taskId, nodes]),
      [['u', ['c']]],
    );
    assert.equal(withdrawals.size, 0);
  });

  it('in any order of events, a task is released once, and not before all its nodes have confirmed or are gone', () => {
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('hold' as const),
        task: fc.integer({ min: 0, max: 4 }),
        nodes: fc.subarray(['a', 'b', 'c']),
      }),
      fc.record({
        kind: fc.constant('confirm' as const),
        node: fc.constantFrom('a', 'b', 'c'),
        back: fc.integer({ min: 0, max: 3 }),
      }),
      fc.record({ kind: fc.constant('gone' as const), node: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ kind: fc.constant('forget' as const), task: fc.integer({ min: 0, max: 4 }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const withdrawals = new Withdrawals();
        const model = new Map<string, { version: number; nodes: Set<string> }>();
        let version = 0;
        for (const one of events) {
          version++;
          let released: readonly string[] = [];
          const settle = (nodeId: string, upTo: number): readonly string[] => {
            const done: string[] = [];
            for (const [taskId, waiting] of model) {
              if (waiting.version > upTo || !waiting.nodes.delete(nodeId) || waiting.nodes.size > 0) continue;
              model.delete(taskId);
              done.push(taskId);
            }
            return done;
          };
          switch (one.kind) {
            case 'hold': {
              const taskId = `t${one.task}`;
              withdrawals.hold({ taskId, nodeId: 'a' }, version, one.nodes, version);
              if (!model.has(taskId) && one.nodes.length > 0) model.set(taskId, { version, nodes: new Set(one.nodes) });
              break;
            }
            case 'confirm':
              released = ids(withdrawals.confirmed(one.node, version - one.back));
              assert.deepEqual([...released].sort(), [...settle(one.node, version - one.back)].sort());
              break;
            case 'gone':
              released = ids(withdrawals.gone(one.node));
              assert.deepEqual([...released].sort(), [...settle(one.node, Number.POSITIVE_INFINITY)].sort());
              break;
            case 'forget':
              withdrawals.forget(`t${one.task}`);
              model.delete(`t${one.task}`);
              break;
          }
          assert.equal(withdrawals.size, model.size);
          for (let task = 0; task < 5; task++) assert.equal(withdrawals.isHeld(`t${task}`), model.has(`t${task}`));
        }
      }),
    );
  });
});
