/** Values of flags that are one number, size or time. The errors are Docker's. */
import { NANOS_PER_MS, parseDuration } from '#common/duration.ts';
import { parseSize } from '#common/size.ts';
import { FlagValueError } from '../cli-errors.ts';

/** Milliseconds of a duration such as `1m30s`. Nothing here counts in less than a millisecond. */
export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new FlagValueError(parsed.error, 'write a duration such as 500ms, 10s or 1h30m');
  if (parsed.ns % NANOS_PER_MS !== 0)
    throw new FlagValueError(`duration ${text} is too precise`, 'use a whole number of milliseconds');
  return parsed.ns / NANOS_PER_MS;
}

/** The same, of which there has to be some. */
export function positiveMs(text: string): number {
  const ms = durationMs(text);
  if (ms <= 0) throw new FlagValueError(`duration ${text} is not positive`, 'write a duration such as 30s or 10m');
  return ms;
}

/** Bytes of a size such as `64m`. */
export function sizeBytes(text: string): number {
  const parsed = parseSize(text);
  if (!parsed.ok) throw new FlagValueError(parsed.error, 'write a size such as 512k, 64m or 2g');
  return parsed.bytes;
}

/** Billionths of a core of a decimal such as `0.5` (also `1/2`). */
export function cpuNanos(text: string): number {
  const match = /^([+-]?\d*\.?\d*(?:[eE][+-]?\d+)?)(?:\/(\d+))?$/.exec(text);
  const value = match === null || !/\d/.test(match[1] ?? '') ? Number.NaN : Number(match[1]) / Number(match[2] ?? 1);
  if (!Number.isFinite(value)) throw new FlagValueError(`failed to parse ${text} as a rational number`);
  const nanos = value * 1e9;
  const whole = Math.round(nanos);
  if (Math.abs(nanos - whole) > 1e-3 || !Number.isSafeInteger(whole)) throw new FlagValueError('value is too precise');
  return whole;
}

/** A whole number that is not negative; also 0x10 and 0b1. */
export function unsigned(text: string): number {
  return whole(text, 'ParseUint', /^(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|\d+)$/);
}

/** A whole number that has room in 32 bits. */
export function unsigned32(text: string): number {
  const value = unsigned(text);
  if (value > 0xffff_ffff)
    throw new FlagValueError(`strconv.ParseUint: parsing ${JSON.stringify(text)}: value out of range`);
  return value;
}

export function integer(text: string): number {
  return whole(text, 'ParseInt', /^[+-]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|\d+)$/);
}

function whole(text: string, parser: string, form: RegExp): number {
  const bare = text.replace(/^[+-]/, '');
  const magnitude = /^0[0-7]+$/.test(bare) ? Number.parseInt(bare, 8) : Number(bare);
  const fail = (why: string): never => {
    throw new FlagValueError(`strconv.${parser}: parsing ${JSON.stringify(text)}: ${why}`);
  };
  if (!form.test(text) || Number.isNaN(magnitude)) return fail('invalid syntax');
  if (!Number.isSafeInteger(magnitude)) return fail('value out of range');
  return text.startsWith('-') && magnitude !== 0 ? -magnitude : magnitude;
}

export function fraction(text: string): number {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text))
    throw new FlagValueError(`strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** A parser for flags that take one of a few words. */
export function oneOf<T>(words: Readonly<Record<string, T>>, complaint: (text: string) => string): (text: string) => T {
  return (text) => {
    if (!Object.hasOwn(words, text))
      throw new FlagValueError(complaint(text), `use ${listOfWords(Object.keys(words))}`);
    return words[text] as T;
  };
}

function listOfWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
