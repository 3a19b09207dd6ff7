/** --log-driver and --log-opt. Pure. */
import { invalidField, SwarmError } from '#common/errors.ts';

export interface LogSettings {
  /** "none" keeps nothing. */
  readonly driver: 'file' | 'none';
  /** A file that is larger is rotated. */
  readonly maxBytes: number;
  /** Files kept, the current one included. */
  readonly maxFiles: number;
}

/** Unlike Docker's: a log without a limit is what fills a node's disk. 10 MB is a day of a chatty service. */
const DEFAULTS: LogSettings = { driver: 'file', maxBytes: 10_000_000, maxFiles: 3 };
/** Smaller ones would be rotated at every look; more files than this make a directory hard to read. */
const MAX_BYTES_LEAST = 4096;
const MAX_FILES_MOST = 1000;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

function parseSize(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)\s*([kmgt]?)b?$/i.exec(text.trim());
  const bytes = Math.floor(Number(match?.[1]) * (UNITS[(match?.[2] ?? '').toLowerCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes < MAX_BYTES_LEAST)
    throw invalidField(
      'logDriver.options.max-size',
      `max-size: ${JSON.stringify(text)} is not a size of at least ${MAX_BYTES_LEAST} bytes`,
      'write a number with a unit, such as 10m',
    );
  return bytes;
}

function parseCount(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_FILES_MOST)
    throw invalidField(
      'logDriver.options.max-file',
      `max-file: ${JSON.stringify(text)} is not a number from 1 to ${MAX_FILES_MOST}`,
    );
  return count;
}

/** Throws `not-supported` for drivers that do not exist here, `bad-field` for unknown options and bad values. */
export function parseLogOptions(name: string, options: Readonly<Record<string, string>>): LogSettings {
  if (name === 'none') return { ...DEFAULTS, driver: 'none' };
  if (name !== '' && name !== 'json-file' && name !== 'local')
    throw new SwarmError({
      code: 'unimplemented',
      reason: 'not-supported',
      field: 'logDriver.name',
      message: `there is no log driver ${JSON.stringify(name)}`,
      hint: 'use json-file, which keeps rotated files on the node, or none',
    });
  let settings = DEFAULTS;
  for (const [key, text] of Object.entries(options)) {
    if (key === 'max-size') settings = { ...settings, maxBytes: parseSize(text) };
    else if (key === 'max-file') settings = { ...settings, maxFiles: parseCount(text) };
    else
      throw invalidField(
        `logDriver.options.${key}`,
        `there is no log option ${JSON.stringify(key)}`,
        'use max-size and max-file',
      );
  }
  return settings;
}
