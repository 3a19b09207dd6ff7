import { formatDuration } from '../duration.ts';
import { byBytes } from './encode-json.ts';
import { type GoValue, type StructData, typeName } from './go-types.ts';
import { dataOf, goValue, indirect, isNil } from './go-value.ts';

/** The value as Go's `%v` prints it: `map[a:b]`, `[1 2]`, `{x y}`, `<nil>`. With `names`, as `%+v`: `{Name:x}`. */
export function printValue(value: GoValue, names = false): string {
  const { type } = value;
  switch (type.kind) {
    case 'any':
      return isNil(value) ? '<nil>' : printValue(goValue(value.data), names);
    case 'pointer':
      return isNil(value) ? '<nil>' : printPointer({ type: type.to, data: value.data }, names);
    case 'list': {
      const items = (value.data ?? []) as readonly unknown[];
      return `[${items.map((data) => printValue({ type: type.element, data }, names)).join(' ')}]`;
    }
    case 'map': {
      const entries = (value.data ?? {}) as StructData;
      const parts = Object.keys(entries)
        .toSorted(byBytes)
        .map((key) => `${key}:${printValue({ type: type.element, data: entries[key] }, names)}`);
      return `map[${parts.join(' ')}]`;
    }
    case 'struct': {
      const data = dataOf(value) as StructData;
      if (type.text !== undefined) return type.text(data);
      const parts = type.fields
        .filter((field) => field.type.kind !== 'function' && !field.isOwn)
        .map((field) => {
          const inner = field.embedded ? (data[field.name] ?? data) : data[field.name];
          const text = printValue({ type: field.type, data: inner }, names);
          return names ? `${field.name}:${text}` : text;
        });
      return `{${parts.join(' ')}}`;
    }
    case 'duration':
      return formatDuration(dataOf(value) as number);
    case 'time':
      return printTime(value.data as number | undefined);
    case 'bytes':
      return `[${[...((value.data ?? []) as Uint8Array)].join(' ')}]`;
    case 'float':
      return printFloat(dataOf(value) as number);
    case 'function':
      return '<func>';
    case 'string':
    case 'bool':
    case 'int':
    case 'uint':
      return String(dataOf(value));
  }
}

/** Go prints what a pointer to a struct points to with a mark; to anything else, itself. */
function printPointer(target: GoValue, names: boolean): string {
  const mark = ['struct', 'map', 'list'].includes(indirect(target).type.kind) ? '&' : '';
  return mark + printValue(target, names);
}

/** `2026-11-18 05:12:28.778 +0000 UTC`. */
export function printTime(ms: number | undefined): string {
  if (ms === undefined) return '0001-01-01 00:00:00 +0000 UTC';
  const [date = '', time = ''] = new Date(ms)
    .toISOString()
    .replace(/\.?0*Z$/, '')
    .split('T');
  return `${date} ${time} +0000 UTC`;
}

/** Shortest text that reads back as the same number; exponents from 1e21 and below 1e-4. */
export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-4 && size < 1e21)) return Number.isInteger(value) ? value.toFixed(0) : String(value);
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  const power = Math.abs(Number(exponent));
  return `${mantissa}e${Number(exponent) < 0 ? '-' : '+'}${power < 10 ? `0${power}` : power}`;
}

/** Go's `%q`: quoted, with escapes for what cannot be printed. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Go's. */
const WIDTH_MAX = 1_000_000;

/** What `print` and `println` put between two operands, and `printf` into its text. */
export function printf(format: string, values: readonly GoValue[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?([a-zA-Z%])/g,
    (whole, flags, width, precision, verb) => {
      if (verb === '%') return '%';
      const star = (): number => Number(dataOf(indirect(values[next++] ?? goValue(0))));
      const wide = width === '*' ? star() : width === undefined ? undefined : Number(width);
      if (wide !== undefined && Math.abs(wide) > WIDTH_MAX) return '%!(BADWIDTH)';
      const dot = whole.includes('.');
      const precise = precision === '*' ? star() : precision === undefined ? (dot ? 0 : undefined) : Number(precision);
      const value = values[next++];
      if (value === undefined) return `%!${verb}(MISSING)`;
      return pad(formatVerb(verb, flags, precise, value), flags, wide, verb);
    },
  );
  const extra = values.slice(next);
  if (extra.length === 0) return text;
  return `${text}%!(EXTRA ${extra.map((value) => `${typeName(indirect(value).type)}=${printValue(value)}`).join(', ')})`;
}

function pad(text: string, flags: string, width: number | undefined, verb: string): string {
  const missing = (width ?? 0) - Array.from(text).length;
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  if (!flags.includes('0') || verb === 's' || verb === 'q' || verb === 'v') return ' '.repeat(missing) + text;
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}

function formatVerb(verb: string, flags: string, precision: number | undefined, value: GoValue): string {
  const target = indirect(value);
  const bad = (): string => `%!${verb}(${typeName(target.type)}=${printValue(target)})`;
  const data = dataOf(target);
  switch (verb) {
    case 'v':
      return flags.includes('#') && typeof data === 'string' ? quote(data) : printValue(value, flags.includes('+'));
    case 'T':
      return isNil(value) && value.type.kind === 'any' ? '<nil>' : typeName(value.type);
    case 's':
      if (typeof data === 'number' && target.type.kind !== 'duration') return bad();
      return cut(typeof data === 'boolean' ? bad() : printValue(target), precision);
    case 'q':
      if (typeof data === 'number') return `'${String.fromCodePoint(data)}'`;
      return typeof data === 'string' ? quote(cut(data, precision)) : bad();
    case 't':
      return typeof data === 'boolean' ? String(data) : bad();
  }
  if (verb === 'x' || verb === 'X') {
    if (typeof data === 'string') return inCase(Buffer.from(data).toString('hex'), verb);
  }
  if (typeof data !== 'number') return bad();
  return formatNumber(verb, flags, precision, data, target.type.kind === 'float') ?? bad();
}

function formatNumber(
  verb: string,
  flags: string,
  precision: number | undefined,
  data: number,
  isFloat: boolean,
): string | undefined {
  const sign = data >= 0 && flags.includes('+') ? '+' : '';
  if (verb === 'e' || verb === 'f' || verb === 'F' || verb === 'g') {
    if (!isFloat) return undefined;
    if (verb === 'g')
      return (
        sign + (precision === undefined ? printFloat(data) : String(Number(data.toPrecision(Math.max(1, precision)))))
      );
    if (verb !== 'e') return sign + data.toFixed(precision ?? 6);
    return sign + data.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2');
  }
  if (isFloat) return undefined;
  const radix = { d: 10, x: 16, X: 16, o: 8, b: 2 }[verb];
  if (verb === 'c') return String.fromCodePoint(data);
  if (radix === undefined) return undefined;
  return sign + inCase(data.toString(radix), verb);
}

function inCase(text: string, verb: string): string {
  return verb === 'X' ? text.toUpperCase() : text;
}

function cut(text: string, precision: number | undefined): string {
  return precision === undefined ? text : Array.from(text).slice(0, precision).join('');
}
