/**
 * Sessions that are to be told everything that their nodes have to know. After a change of leader all nodes come at once:
 * they are told in slices, the first at once, and what is the same for several is made once.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { DispatcherSession } from './dispatcher-session.ts';
import { SharedMessages } from './shared-messages.ts';

export interface SessionBeginsOptions {
  readonly begin: (session: DispatcherSession, shared: SharedMessages) => void;
  readonly clock: Clock;
  readonly sliceMs: number;
}

export class SessionBegins {
  readonly #options: SessionBeginsOptions;
  readonly #waiting = new Set<DispatcherSession>();
  #timer: CancelTimer | undefined;
  /** When the slice is over that began in this turn of the loop. */
  #sliceEndsMs = -Infinity;

  constructor(options: SessionBeginsOptions) {
    this.#options = options;
  }

  push(session: DispatcherSession): void {
    this.#waiting.add(session);
    if (this.#timer !== undefined) return;
    const { clock, sliceMs } = this.#options;
    this.#sliceEndsMs = clock.monotonic() + sliceMs;
    this.#slice();
  }

  clear(): void {
    this.#timer?.();
    this.#timer = undefined;
    this.#waiting.clear();
  }

  /** At least one, so that it gets on. Whoever comes before the next slice waits for it. */
  #slice(): void {
    const { begin, clock, sliceMs } = this.#options;
    const shared = new SharedMessages();
    for (const session of this.#waiting) {
      this.#waiting.delete(session);
      begin(session, shared);
      if (clock.monotonic() >= this.#sliceEndsMs) break;
    }
    this.#timer = clock.setTimer(0, () => {
      this.#timer = undefined;
      if (this.#waiting.size === 0) return;
      this.#sliceEndsMs = clock.monotonic() + sliceMs;
      this.#slice();
    });
  }
}
