import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { Pending, PendingChain, type PendingOutcome } from '#manager/replicated-store/pending-chain.ts';
import type { Prepared, StoreState } from '#manager/store/index.ts';
import { build, create, EMPTY, task } from '#test/manager/store/support.ts';

function prepared(base: StoreState, id: string): Prepared {
  const built = build(base, [create('task', task(id))]);
  assert.ok(!(built instanceof Error));
  return built;
}

/** A chain of three, and how each of them ended. */
function chainOfThree(): { chain: PendingChain; pending: Pending[]; outcomes: (PendingOutcome | undefined)[] } {
  const chain = new PendingChain(EMPTY);
  const outcomes: (PendingOutcome | undefined)[] = [undefined, undefined, undefined];
  const pending = outcomes.map((_, index) => {
    const one = new Pending(prepared(chain.head, `t${index}`));
    chain.push(one);
    void one.outcome.then((outcome) => {
      outcomes[index] = outcome;
    });
    return one;
  });
  return { chain, pending, outcomes };
}

const COMMITTED = { kind: 'committed' } as const;
const BASE_LOST = { kind: 'base-lost' } as const;

describe('manager/replicated-store: PendingChain', () => {
  it('settles one after the other as they are committed', async () => {
    const { chain, pending, outcomes } = chainOfThree();
    assert.equal(chain.head, pending[2]?.prepared.next);
    chain.commit(pending[0]?.prepared.next as StoreState);
    await Promise.resolve();
    assert.deepEqual(outcomes, [COMMITTED, undefined, undefined]);
    assert.equal(chain.head, pending[2]?.prepared.next);
    assert.equal(chain.length, 2);
  });

  it('gives all of them up when something else is committed, and builds on that', async () => {
    const { chain, outcomes } = chainOfThree();
    const other = prepared(EMPTY, 'other').next;
    chain.commit(other);
    await Promise.resolve();
    assert.deepEqual(outcomes, [BASE_LOST, BASE_LOST, BASE_LOST]);
    assert.equal(chain.head, other);
  });

  it('cuts off what was built upon one that is lost, and builds on what is before it', async () => {
    const { chain, pending, outcomes } = chainOfThree();
    const error = new SwarmError({ code: 'exhausted', reason: 'too-many', message: 'full' });
    chain.breakAt(pending[1] as Pending, { kind: 'failed', error }, BASE_LOST);
    await Promise.resolve();
    assert.deepEqual(outcomes, [undefined, { kind: 'failed', error }, BASE_LOST]);
    assert.equal(chain.head, pending[0]?.prepared.next);
    chain.breakAt(pending[2] as Pending, BASE_LOST, BASE_LOST);
    assert.equal(chain.length, 1);
  });

  it('takes only what is built upon its head', () => {
    const { chain } = chainOfThree();
    assert.throws(() => chain.push(new Pending(prepared(EMPTY, 'x'))), /built upon the head/);
  });
});
