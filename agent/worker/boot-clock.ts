import { readFile } from 'node:fs/promises';
import { uptime } from 'node:os';

/** Time since the host was started, also while it slept: it goes on when this process ends, and nobody sets it. */
export interface BootClock {
  /** Another one after every start of the host. */
  readonly bootId: string;
  nowMs(): number;
}

/** Milliseconds since the host was started, those included in which it slept. */
export function bootTimeMs(): number {
  return uptime() * 1000;
}

export async function readBootClock(): Promise<BootClock> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
  return { bootId, nowMs: bootTimeMs };
}
