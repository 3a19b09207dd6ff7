import { humanDuration, NANOS_PER_MS } from '#common/duration.ts';

/** `in 11 months`, `expired 2 days ago`. */
export function expiryText(notAfterMs: number, nowMs: number): string {
  const duration = humanDuration(Math.abs(notAfterMs - nowMs) * NANOS_PER_MS);
  return notAfterMs < nowMs ? `expired ${duration.toLowerCase()} ago` : `in ${duration.toLowerCase()}`;
}
