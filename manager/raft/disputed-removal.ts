import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';

/**
 * A peer says that this member was removed, while this one hears a leader and does not believe it. In one swarm that passes
 * within a moment: the removal is on its way. Where it lasts there are two swarms of the same nodes.
 */
export class DisputedRemoval {
  readonly #clock: Clock;
  readonly #lastsMs: number;
  /** By raft id of who says so, monotonic. */
  readonly #claims = new Map<number, { readonly sinceMs: number; readonly lastMs: number }>();

  /** Who goes on saying it after `lastsMs` means it; who has not said it for four times that does not any more. */
  constructor(clock: Clock, lastsMs: number) {
    this.#clock = clock;
    this.#lastsMs = lastsMs;
  }

  /** True when it has become clear with this claim that there is a dispute. */
  claimed(raftId: number): boolean {
    const wasClear = this.by.length > 0;
    const nowMs = this.#clock.monotonic();
    const before = this.#claims.get(raftId);
    const goesOn = before !== undefined && nowMs - before.lastMs < 4 * this.#lastsMs;
    this.#claims.set(raftId, { sinceMs: goesOn ? before.sinceMs : nowMs, lastMs: nowMs });
    return !wasClear && this.by.length > 0;
  }

  /** Raft ids of those who go on saying so. */
  get by(): readonly number[] {
    const nowMs = this.#clock.monotonic();
    return [...this.#claims].flatMap(([raftId, { sinceMs, lastMs }]) =>
      lastMs - sinceMs >= this.#lastsMs && nowMs - lastMs < 4 * this.#lastsMs ? [raftId] : [],
    );
  }
}

/** What the user is told of it. */
export function twoSwarms(addresses: readonly string[]): SwarmError {
  const who = addresses.length === 1 ? `the manager ${addresses[0]} says` : `the managers ${addresses.join(', ')} say`;
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `${who} that this manager was removed, while it has a leader and goes on: there are two swarms of the same nodes, one of them made by force`,
    hint: 'choose one: on the managers of the other run `swarm leave --force`, and join them again',
  });
}
