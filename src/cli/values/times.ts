import { NANOS_PER_MS, parseDuration } from '#common/duration.ts';
import { FlagValueError } from '../cli-errors.ts';

/** A moment in Docker's forms, as nanoseconds since the epoch: `42m` ago, a date, a date with a time, Unix seconds. */
export function momentNs(text: string, nowMs: number): number {
  const duration = parseDuration(text);
  if (duration.ok) return nowMs * NANOS_PER_MS - duration.ns;
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.round(Number(text) * 1e9);
  if (/^\d{4}-\d{2}-\d{2}(?:T\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text)) {
    const full = text.replace(/T(\d{2})(?=$|Z|[+-])/, 'T$1:00');
    const ms = Date.parse(full.includes('T') ? full : `${full}T00:00:00`);
    if (!Number.isNaN(ms)) return ms * NANOS_PER_MS;
  }
  throw new FlagValueError(
    `failed to parse value as time or duration: ${JSON.stringify(text)}`,
    'write 42m, or 2006-01-02T15:04:05Z',
  );
}
