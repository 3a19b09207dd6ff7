import { type Claim, claimKey } from './claims.ts';
import type { Ledger } from './ledger.ts';

interface Proposal {
  /** By key. Taken in the ledger beyond what the store says. */
  readonly claims: Map<string, Claim>;
  object: unknown;
}

/**
 * What was asked for and has not come back as an event. Whether a write was made may remain unknown for a while: until
 * something is heard of the object, all that it may have got stays taken, and it is promised the same again.
 */
export class Proposals {
  readonly #ledger: Ledger;
  readonly #proposals = new Map<string, Proposal>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  clear(): void {
    this.#proposals.clear();
  }

  has(key: string): boolean {
    return this.#proposals.has(key);
  }

  /** The object as it was last asked for. */
  object<T>(key: string): T | undefined {
    return this.#proposals.get(key)?.object as T | undefined;
  }

  /** The object is asked to hold these instead of what it holds in the store. */
  propose(key: string, object: unknown, now: readonly Claim[], then: readonly Claim[]): void {
    const proposal = this.#proposals.get(key) ?? { claims: new Map<string, Claim>(), object };
    this.#proposals.set(key, proposal);
    proposal.object = object;
    const held = new Set(now.map(claimKey));
    for (const claim of then) {
      const name = claimKey(claim);
      if (held.has(name) || proposal.claims.has(name)) continue;
      proposal.claims.set(name, claim);
      this.#ledger.take(claim);
    }
  }

  /** The store has spoken: the object held the ones and holds the others, and nothing else. */
  settle(key: string, before: readonly Claim[], after: readonly Claim[]): void {
    const held = new Map<string, Claim>(this.#proposals.get(key)?.claims);
    this.#proposals.delete(key);
    for (const claim of before) held.set(claimKey(claim), claim);
    for (const claim of after) if (!held.delete(claimKey(claim))) this.#ledger.take(claim);
    for (const claim of held.values()) this.#ledger.give(claim);
  }
}
