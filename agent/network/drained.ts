import type { Clock } from '#common/clock.ts';

export interface DrainOptions {
  readonly openConnections: () => Promise<number>;
  readonly clock: Clock;
  /** Waits between two looks: the first, doubled up to the largest. */
  readonly pollMs: { readonly first: number; readonly largest: number };
}

/** Resolves when no connection is left, or after `maxMs`. Rejects when the signal aborts. */
export async function drained(options: DrainOptions, maxMs: number, signal: AbortSignal): Promise<void> {
  const { openConnections, clock, pollMs } = options;
  const deadline = clock.monotonic() + maxMs;
  for (let waitMs = pollMs.first; ; waitMs = Math.min(waitMs * 2, pollMs.largest)) {
    signal.throwIfAborted();
    if ((await openConnections()) === 0) return;
    const leftMs = deadline - clock.monotonic();
    if (leftMs <= 0) return;
    await pause(clock, Math.min(waitMs, leftMs), signal);
  }
}

function pause(clock: Clock, waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.setTimer(waitMs, done);
    signal.addEventListener('abort', done);
  });
}
