/** A wire with a loose contact. */
import { setTimeout as wait } from 'node:timers/promises';

export interface FlapTimes {
  readonly downMs: number;
  readonly upMs: number;
}

export interface Flapping {
  /** How often it was cut so far. */
  readonly cuts: number;
  /** Ends with the wire mended. Rejects with what went wrong meanwhile. */
  stop(): Promise<void>;
}

export function startFlapping(
  { downMs, upMs }: FlapTimes,
  wire: { cut(): Promise<void>; heal(): Promise<void> },
): Flapping {
  const stopped = new AbortController();
  let cuts = 0;
  const pause = (ms: number): Promise<void> => wait(ms, undefined, { signal: stopped.signal }).catch(() => {});
  const run = async (): Promise<void> => {
    try {
      while (!stopped.signal.aborted) {
        await wire.cut();
        cuts++;
        await pause(downMs);
        await wire.heal();
        await pause(upMs);
      }
    } finally {
      await wire.heal();
    }
  };
  const ended = run();
  // Told by stop(), whenever that comes.
  ended.catch(() => {});
  return {
    get cuts() {
      return cuts;
    },
    stop: () => {
      stopped.abort();
      return ended;
    },
  };
}
