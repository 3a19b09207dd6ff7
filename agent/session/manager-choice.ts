/** Which manager to try next. Knows who led last, and who did not answer. */
import type { SessionConfig } from './config.ts';

/** How a conversation with a manager ended. */
export type ConversationEnd =
  /** It was the leader until the connection or the session broke. */
  | 'lost'
  /** It could not be reached, or did not welcome this agent. */
  | 'refused'
  /** It said that it does not lead. */
  | 'not-leader'
  /** Its host does not answer at all. */
  | 'unreachable'
  /** Nothing was heard any more: its machine, or the way to it, is gone. */
  | 'silent';

export class ManagerChoice {
  readonly #redirectsMax: number;
  /** Who led when last heard of. */
  #leader: string | undefined;
  /** The conversation with the leader broke, and nobody was tried since. */
  #wasLost = false;
  /** The next try is the leader that was named, without a pause. */
  #redirect = false;
  #redirectsInARow = 0;
  /** Tried after all others: an attempt there costs a timeout. */
  readonly #silent = new Set<string>();
  #round: string[] = [];
  /** Attempts that had their full time, one after the other. */
  #silentInARow = 0;
  /** The attempt of the moment goes back to a leader whose session has just broken. */
  #isReturn = false;

  constructor(redirectsMax: number) {
    this.#redirectsMax = redirectsMax;
  }

  /** Whether the next try is to be made at once. */
  get redirected(): boolean {
    return this.#redirect;
  }

  /** Whether the next try goes back to a leader whose session has just broken: if it is there it answers at once. */
  get returns(): boolean {
    return this.#wasLost && !this.#redirect && this.#leader !== undefined;
  }

  /**
   * So long the next manager has to welcome this agent. Where one after the other does not in time, all are busy with
   * agents that look for the new leader: to give up early would waste the work that they have had already.
   */
  welcomeMs(config: Pick<SessionConfig, 'welcomeTimeoutMs' | 'welcomeTimeoutMaxMs' | 'returnTimeoutMs'>): number {
    if (this.returns) return config.returnTimeoutMs;
    return Math.min(config.welcomeTimeoutMaxMs, config.welcomeTimeoutMs * 2 ** this.#silentInARow);
  }

  /** The last leader first, then those known (best first), each once before any is tried again. */
  next(known: readonly string[]): string | undefined {
    this.#isReturn = this.returns;
    this.#wasLost = false;
    if (this.#redirect) {
      this.#redirect = false;
      return this.#leader;
    }
    if (this.#round.length === 0) {
      const all = new Set(this.#leader === undefined ? known : [this.#leader, ...known]);
      for (const address of this.#silent) if (all.delete(address)) all.add(address);
      this.#round = [...all];
    }
    return this.#round.shift();
  }

  /** The manager welcomed this agent: it leads. */
  established(address: string): void {
    this.#leader = address;
    this.#redirect = false;
    this.#redirectsInARow = 0;
    this.#silentInARow = 0;
    this.#silent.clear();
    this.#round = [];
  }

  /** Somebody who does not lead has named who does. Managers that name each other are not followed for ever. */
  named(leader: string): void {
    this.#leader = leader;
    if (this.#redirectsInARow >= this.#redirectsMax) return;
    this.#redirectsInARow++;
    this.#redirect = true;
  }

  ended(address: string, how: ConversationEnd): void {
    if (how !== 'lost' && this.#leader === address) this.#leader = undefined;
    this.#wasLost = how === 'lost';
    if (how === 'silent' || how === 'unreachable') this.#silent.add(address);
    else this.#silent.delete(address);
    // A host that is not there says nothing of how busy the others are.
    if (how === 'silent' && !this.#isReturn) this.#silentInARow++;
    else if (how !== 'silent' && how !== 'unreachable') this.#silentInARow = 0;
    if (how !== 'not-leader') this.#redirectsInARow = 0;
  }
}
