import { assert, type SwarmError } from '#common/errors.ts';
import type { Prepared, StoreState } from '#manager/store/index.ts';

/** How a proposal ended: made, not made because one before it was lost, or failed with an error. */
export type PendingOutcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'base-lost' }
  | { readonly kind: 'failed'; readonly error: SwarmError };

/** A transaction on its way, and the promise of how it ends. */
export class Pending {
  readonly prepared: Prepared;
  readonly outcome: Promise<PendingOutcome>;
  #resolve: (outcome: PendingOutcome) => void = () => {};

  constructor(prepared: Prepared) {
    this.prepared = prepared;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Only the first outcome counts. */
  settle(outcome: PendingOutcome): void {
    this.#resolve(outcome);
  }
}

/**
 * Transactions on their way through the log, each built upon the one before. The last one's state is the head: what
 * will hold once all of them are applied, and what the next transaction is judged by. So conflicts are found when a
 * change is proposed, and many transactions share one flush.
 *
 * Invariant: the first is built upon the transaction that was committed last, every other upon its predecessor.
 */
export class PendingChain {
  #committed: StoreState;
  #pending: Pending[] = [];

  constructor(committed: StoreState) {
    this.#committed = committed;
  }

  get committed(): StoreState {
    return this.#committed;
  }

  get head(): StoreState {
    return this.tail?.prepared.next ?? this.#committed;
  }

  /** The last one on its way. */
  get tail(): Pending | undefined {
    return this.#pending.at(-1);
  }

  get length(): number {
    return this.#pending.length;
  }

  push(pending: Pending): void {
    assert(pending.prepared.base === this.head, 'a transaction is built upon the head');
    this.#pending.push(pending);
  }

  /**
   * The log has applied the state. When it is the first pending one's, that is done; any other loses them all. What
   * counts is the transaction: its state may have been made anew, where the log did not know its own proposal again.
   */
  commit(state: StoreState): void {
    this.#committed = state;
    const first = this.#pending[0];
    if (first === undefined) return;
    if (first.prepared.next.transactionId !== state.transactionId) {
      this.breakAll({ kind: 'base-lost' });
      return;
    }
    this.#pending.shift();
    first.settle({ kind: 'committed' });
  }

  /**
   * The transaction will not come into effect, so neither will those behind it, which are settled with `behind`.
   * Nothing happens if it is not here any more.
   */
  breakAt(pending: Pending, outcome: PendingOutcome, behind: PendingOutcome): void {
    const position = this.#pending.indexOf(pending);
    if (position < 0) return;
    for (const lost of this.#pending.splice(position)) lost.settle(lost === pending ? outcome : behind);
  }

  /** Everything on its way is given up. */
  breakAll(outcome: PendingOutcome): void {
    for (const pending of this.#pending.splice(0)) pending.settle(outcome);
  }
}
