/**
 * Durations as users write them (Go's notation, which Docker's flags take): "1h30m", "1.5s", "100ms". Values are
 * nanoseconds in a number: exact up to 104 days, off by less than a microsecond beyond.
 */

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Largest duration that Go can hold (int64 nanoseconds). */
const MAX_NS = 2 ** 63;

export const NANOS_PER_MS = 1e6;

export type ParsedDuration =
  | { readonly ok: true; readonly ns: number }
  | { readonly ok: false; readonly error: string };

/** Reads a duration. The error is worded as Go words it, for it is what Docker's users know. */
export function parseDuration(text: string): ParsedDuration {
  const invalid = (): ParsedDuration => ({ ok: false, error: `time: invalid duration ${JSON.stringify(text)}` });
  let rest = text;
  let sign = 1;
  if (rest.startsWith('-') || rest.startsWith('+')) {
    if (rest.startsWith('-')) sign = -1;
    rest = rest.slice(1);
  }
  if (rest === '0') return { ok: true, ns: 0 };
  if (rest === '') return invalid();
  let ns = 0;
  while (rest !== '') {
    const number = /^(?:\d+(?:\.\d*)?|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) return invalid();
    rest = rest.slice(number.length);
    const unit = /^[^0-9.]+/.exec(rest)?.[0];
    if (unit === undefined) return { ok: false, error: `time: missing unit in duration ${JSON.stringify(text)}` };
    const scale = UNIT_NS[unit];
    if (scale === undefined)
      return { ok: false, error: `time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}` };
    rest = rest.slice(unit.length);
    ns += Number(number) * scale;
    if (ns >= MAX_NS) return invalid();
  }
  return { ok: true, ns: sign * Math.round(ns) };
}

/** The duration as Go prints it: "2h0m0s", "1.5s", "100ms", "0s". */
export function formatDuration(ns: number): string {
  if (ns === 0) return '0s';
  const sign = ns < 0 ? '-' : '';
  const size = Math.abs(ns);
  if (size < 1e3) return `${sign}${size}ns`;
  if (size < 1e6) return `${sign}${trimmed(size, 1e3, 3)}µs`;
  if (size < 1e9) return `${sign}${trimmed(size, 1e6, 6)}ms`;
  const totalSeconds = Math.floor(size / 1e9);
  const seconds = `${trimmed((totalSeconds % 60) * 1e9 + (size % 1e9), 1e9, 9)}s`;
  const minutes = Math.floor(totalSeconds / 60);
  if (minutes === 0) return sign + seconds;
  if (minutes < 60) return `${sign}${minutes}m${seconds}`;
  return `${sign}${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}

/** value / scale with at most `digits` decimals and no zeros at the end. */
function trimmed(value: number, scale: number, digits: number): string {
  const whole = Math.floor(value / scale);
  const fraction = Math.round(value - whole * scale);
  if (fraction === 0) return String(whole);
  return `${whole}.${String(fraction).padStart(digits, '0').replace(/0+$/, '')}`;
}

/** How long, in words, as Docker says it: "Less than a second", "About a minute", "3 hours". */
export function humanDuration(ns: number): string {
  const seconds = Math.trunc(ns / 1e9);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(ns / 3600e9 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(hours / 24 / 365)} years`;
}
