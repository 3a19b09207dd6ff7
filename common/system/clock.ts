import { performance } from 'node:perf_hooks';
import type { CancelTimer, Clock } from '../clock.ts';

/** The machine's clock. Timers longer than 2^31-1 ms are cut to that. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs: number, fire: () => void): CancelTimer {
    const timer = setTimeout(fire, Math.min(delayMs, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};
