/**
 * The data-driven file format: cases of a command with arguments, input lines, `----`, and the expected output up to
 * a blank line. Output that itself has blank lines stands between two doubled `----`.
 */

export interface Argument {
  readonly key: string;
  /** Empty for a bare word. */
  readonly values: readonly string[];
}

export interface DataCase {
  readonly command: string;
  readonly args: readonly Argument[];
  /** The lines between the command and `----`, without the final newline. */
  readonly input: string;
  readonly expected: string;
  /** Of the command, from 1. */
  readonly line: number;
  /** Of the first line of the expected output. */
  readonly outputLine: number;
}

/** A file that cannot be read as cases, or a case that cannot be run. */
export class FormatError extends Error {}

const SEPARATOR = '----';

/** Reads all cases. Throws a FormatError that names the line. */
export function parseDataFile(text: string): readonly DataCase[] {
  const lines = text.replace(/\r\n/g, '\n').replace(/\n$/, '').split('\n');
  const cases: DataCase[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '' || line.trimStart().startsWith('#')) {
      at++;
      continue;
    }
    const started = at;
    let directive = line.trim();
    while (directive.endsWith('\\')) directive = `${directive.slice(0, -1)} ${(lines[++at] ?? '').trim()}`;
    at++;
    const input: string[] = [];
    while (at < lines.length && lines[at] !== SEPARATOR) input.push(lines[at++] ?? '');
    if (at >= lines.length) throw new FormatError(`line ${started + 1}: no ${SEPARATOR} after the command`);
    const outputLine = at + 2;
    const expected = readExpected(lines, at + 1);
    at = expected.next;
    const { command, args } = parseDirective(directive, started + 1);
    cases.push({
      command,
      args,
      input: input.join('\n').trim(),
      expected: expected.text,
      line: started + 1,
      outputLine,
    });
  }
  return cases;
}

function readExpected(lines: readonly string[], from: number): { readonly text: string; readonly next: number } {
  const expected: string[] = [];
  let at = from;
  if (lines[at] === SEPARATOR) {
    for (at++; at < lines.length; at++) {
      if (lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR) return { text: joined(expected), next: at + 2 };
      expected.push(lines[at] ?? '');
    }
    throw new FormatError(`line ${from + 1}: output opened with a doubled ${SEPARATOR} is not closed`);
  }
  while (at < lines.length && (lines[at] ?? '').trim() !== '') expected.push(lines[at++] ?? '');
  return { text: joined(expected), next: at };
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** `cmd bare key=value list=(a, b)` */
export function parseDirective(
  text: string,
  line: number,
): { readonly command: string; readonly args: readonly Argument[] } {
  const words = text.match(/[^\s(]+=\([^)]*\)|\S+/g) ?? [];
  const [command, ...rest] = words;
  if (command === undefined) throw new FormatError(`line ${line}: no command`);
  const args = rest.map((word): Argument => {
    const equals = word.indexOf('=');
    if (equals < 0) return { key: word, values: [] };
    const value = word.slice(equals + 1);
    const list = value.startsWith('(') && value.endsWith(')');
    const inner = list ? value.slice(1, -1) : value;
    const values = inner === '' && list ? [] : list ? inner.split(',').map((one) => one.trim()) : [value];
    return { key: word.slice(0, equals), values };
  });
  return { command, args };
}

/** The values of an argument; none if it was not given. */
export function valuesOf(one: DataCase, key: string): readonly string[] {
  return one.args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
}

/** Reads an unsigned whole number. */
export function toNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new FormatError(`not a number: ${text}`);
  return value;
}

/** Reads a truth value as Go does. */
export function toBoolean(text: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw new FormatError(`not a truth value: ${text}`);
}
