/**
 * Puts the host's tables right at once when another program has changed the ruleset, instead of at the next comparison.
 * Our own transactions do not count, and neither do those that come while one comparison is due.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { NetworkWatch } from '../kernel/netlink-events.ts';
import { type RulesetChange, watchRuleset } from '../kernel/nftables-events.ts';

export interface RulesetGuardOptions {
  /** Compares and repairs; what was repaired, in words. */
  readonly compare: () => Promise<readonly string[]>;
  /** Wait after a change: programs that load a ruleset do so in several transactions. */
  readonly settleMs: number;
  /** Least time between two comparisons: a program that changes its own tables all the time costs no more than this. */
  readonly spacingMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export const DEFAULT_RULESET_GUARD = {
  // Shorter than it takes a client to try again; longer than a script needs between two commands of nft.
  settleMs: 50,
  // A comparison takes some milliseconds: at most a hundredth of one processor.
  spacingMs: 1000,
} as const;

export class RulesetGuard {
  readonly #options: RulesetGuardOptions;
  readonly #watch: NetworkWatch | undefined;
  #cancel: CancelTimer | undefined;
  #comparing: Promise<void> | undefined;
  /** A change came while a comparison was under way, which may have missed it. */
  #again = false;
  #lastMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: RulesetGuardOptions) {
    this.#options = options;
    try {
      this.#watch = watchRuleset(undefined, (changes) => this.tell(changes));
    } catch (error) {
      // The comparison that comes anyway finds it all, only later.
      options.logger.warn('changes of the ruleset are not heard of', { error: SwarmError.from(error).message });
    }
  }

  /** Takes note of changes; as the kernel tells of them. */
  tell(changes: readonly RulesetChange[]): void {
    if (changes.some((change) => !change.own)) this.#schedule();
  }

  /** Waits for a comparison that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    this.#watch?.close();
    await this.#comparing;
  }

  #schedule(): void {
    if (this.#closed || this.#cancel !== undefined) return;
    if (this.#comparing !== undefined) {
      this.#again = true;
      return;
    }
    const { clock, settleMs, spacingMs } = this.#options;
    const dueMs = Math.max(settleMs, this.#lastMs + spacingMs - clock.monotonic());
    this.#cancel = clock.setTimer(dueMs, () => {
      this.#cancel = undefined;
      this.#lastMs = clock.monotonic();
      this.#comparing = this.#compare().finally(() => {
        this.#comparing = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.#schedule();
      });
    });
  }

  async #compare(): Promise<void> {
    const { compare, logger } = this.#options;
    try {
      const repaired = await compare();
      if (repaired.length > 0) logger.warn('another program changed the ruleset: repaired', { repaired });
    } catch (error) {
      logger.warn('the ruleset could not be looked at', { error: SwarmError.from(error).message });
    }
  }
}
