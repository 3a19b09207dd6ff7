/** Values of the form key=value: labels, environment, options, filters. */
import { FlagValueError } from '../cli-errors.ts';

export interface KeyValue {
  readonly key: string;
  /** Undefined when there was no `=`. */
  readonly value: string | undefined;
}

export function keyValue(text: string): KeyValue {
  const at = text.indexOf('=');
  return at < 0 ? { key: text, value: undefined } : { key: text.slice(0, at), value: text.slice(at + 1) };
}

export function label(text: string): KeyValue {
  const pair = keyValue(text);
  if (pair.key.trim() === '') throw new FlagValueError(`invalid label '${text}': empty name`);
  if (/\s/.test(pair.key)) throw new FlagValueError(`label '${pair.key}' contains whitespaces`);
  return pair;
}

/** An option of a driver, a sysctl: `key=value`, the value may be missing. */
export function option(text: string): KeyValue {
  const pair = keyValue(text);
  if (pair.key === '') throw new FlagValueError(`invalid environment variable: ${text}`);
  return pair;
}

/** `NAME=value`, or `NAME` alone for the value that the caller's own environment has. */
export function environmentEntry(text: string): string {
  if (keyValue(text).key === '') throw new FlagValueError(`invalid environment variable: ${text}`);
  return text;
}

/** Fills in entries without a value from the caller's environment; those it has not are left as they are. */
export function withCallersValue(entry: string, variables: Readonly<Record<string, string | undefined>>): string {
  if (entry.includes('=')) return entry;
  const value = variables[entry];
  return value === undefined ? entry : `${entry}=${value}`;
}

/** Entries of an environment file: NAME=value lines, comments, NAME alone. Throws a FlagValueError. */
export function environmentFile(
  content: string,
  variables: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const entries: string[] = [];
  for (const raw of content.replace(/^\ufeff/, '').split('\n')) {
    const line = raw.replace(/\r$/, '').trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const { key, value } = keyValue(line);
    if (key === '') throw new FlagValueError(`no variable name on line '${line}'`);
    if (/\s/.test(key)) throw new FlagValueError(`variable '${key}' contains whitespaces`);
    if (value !== undefined) entries.push(line);
    else if (variables[key] !== undefined) entries.push(`${key}=${variables[key]}`);
  }
  return entries;
}

/** Later entries of the same name replace earlier ones. */
export function withoutOverridden(entries: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const entry of entries) {
    const prefix = `${keyValue(entry).key}=`;
    const at = kept.findIndex((other) => other.startsWith(prefix) && other !== entry);
    if (at >= 0) kept.splice(at, 1);
    kept.push(entry);
  }
  return kept;
}

export function toRecord(pairs: readonly KeyValue[]): Readonly<Record<string, string>> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value ?? '']));
}

/** `--filter name=value`. */
export function filter(text: string): KeyValue {
  const { key, value } = keyValue(text);
  if (value === undefined) throw new FlagValueError('bad format of filter (expected name=value)');
  return { key: key.trim().toLowerCase(), value: value.trim() };
}
