import type { Clock } from '#common/clock.ts';

export interface PollTimes {
  /** Waits between two looks: the first, doubled up to the largest. */
  readonly first: number;
  readonly largest: number;
}

/** Looks again and again until `isDone`, or for `maxMs`. Says whether it was. Rejects when the signal aborts. */
export async function pollUntil(
  isDone: () => Promise<boolean>,
  clock: Clock,
  pollMs: PollTimes,
  maxMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = clock.monotonic() + maxMs;
  for (let waitMs = pollMs.first; ; waitMs = Math.min(waitMs * 2, pollMs.largest)) {
    signal.throwIfAborted();
    if (await isDone()) return true;
    const leftMs = deadline - clock.monotonic();
    if (leftMs <= 0) return false;
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
