import { encodeJson } from './encode-json.ts';
import { type GoType, type GoValue, type StructData, typeName } from './go-types.ts';
import { boolValue, dataOf, goValue, indirect, intValue, isTrue, NO_VALUE, stringValue } from './go-value.ts';
import { printf, printValue, quote } from './print-value.ts';

/** What a parameter accepts: `string` and `int` are checked before the call, as Go does. */
export type ParameterKind = 'any' | 'string' | 'int' | 'strings';

export interface TemplateFunction {
  readonly parameters: readonly ParameterKind[];
  /** Kind of any number of further arguments. */
  readonly rest?: ParameterKind;
  /** Throws an Error whose message completes "error calling NAME: ...". */
  readonly call: (...values: readonly GoValue[]) => GoValue;
}

export type Functions = Readonly<Record<string, TemplateFunction>>;

const text = (value: GoValue): string => String(dataOf(indirect(value)));
const number = (value: GoValue): number => Number(dataOf(indirect(value)));

/** Functions of every Go template. `and` and `or` stop at the first value that decides; the evaluator sees to that. */
export const BUILTIN_FUNCTIONS: Functions = {
  and: {
    parameters: ['any'],
    rest: 'any',
    call: (...values) => values.find((value) => !isTrue(value)) ?? last(values),
  },
  or: { parameters: ['any'], rest: 'any', call: (...values) => values.find(isTrue) ?? last(values) },
  not: { parameters: ['any'], call: (value) => boolValue(!isTrue(value)) },
  len: { parameters: ['any'], call: (value) => intValue(lengthOf(value)) },
  index: { parameters: ['any'], rest: 'any', call: (value, ...keys) => keys.reduce(indexInto, value) },
  slice: {
    parameters: ['any'],
    rest: 'any',
    call: (value, ...bounds) => sliceOf(value, bounds.map(number)),
  },
  call: { parameters: ['any'], rest: 'any', call: callFunction },
  print: { parameters: [], rest: 'any', call: (...values) => stringValue(print(values)) },
  println: { parameters: [], rest: 'any', call: (...values) => stringValue(`${values.map(printOperand).join(' ')}\n`) },
  printf: {
    parameters: ['string'],
    rest: 'any',
    call: (format, ...values) => stringValue(printf(text(format), values)),
  },
  html: { parameters: [], rest: 'any', call: (...values) => stringValue(escapeHtml(print(values))) },
  js: { parameters: [], rest: 'any', call: (...values) => stringValue(quote(print(values)).slice(1, -1)) },
  urlquery: {
    parameters: [],
    rest: 'any',
    call: (...values) => stringValue(encodeURIComponent(print(values)).replaceAll('%20', '+')),
  },
  eq: { parameters: ['any'], rest: 'any', call: equalsAny },
  ne: { parameters: ['any', 'any'], call: (a, b) => boolValue(!equals(a, b)) },
  lt: { parameters: ['any', 'any'], call: (a, b) => boolValue(compare(a, b) < 0) },
  le: { parameters: ['any', 'any'], call: (a, b) => boolValue(compare(a, b) <= 0) },
  gt: { parameters: ['any', 'any'], call: (a, b) => boolValue(compare(a, b) > 0) },
  ge: { parameters: ['any', 'any'], call: (a, b) => boolValue(compare(a, b) >= 0) },
};

/** Functions that Docker adds. */
export const DOCKER_FUNCTIONS: Functions = {
  json: { parameters: ['any'], call: (value) => stringValue(encodeValue(value)) },
  split: {
    parameters: ['string', 'string'],
    call: (value, separator) => goValue(text(value).split(text(separator))),
  },
  join: {
    parameters: ['strings', 'string'],
    call: (list, separator) => stringValue(((dataOf(indirect(list)) ?? []) as readonly string[]).join(text(separator))),
  },
  title: {
    parameters: ['string'],
    call: (value) => stringValue(text(value).replace(/(?<![\p{L}\p{N}_'])\p{L}/gu, (first) => first.toUpperCase())),
  },
  lower: { parameters: ['string'], call: (value) => stringValue(text(value).toLowerCase()) },
  upper: { parameters: ['string'], call: (value) => stringValue(text(value).toUpperCase()) },
  pad: {
    parameters: ['string', 'int', 'int'],
    call: (value, before, after) => {
      const source = text(value);
      if (source === '') return stringValue('');
      return stringValue(' '.repeat(number(before)) + source + ' '.repeat(number(after)));
    },
  },
  truncate: {
    parameters: ['string', 'int'],
    call: (value, length) => stringValue(Array.from(text(value)).slice(0, number(length)).join('')),
  },
};

/** In the header of a table, functions that change a text leave the column's name alone; `pad` keeps the alignment. */
export const HEADER_FUNCTIONS: Functions = {
  ...BUILTIN_FUNCTIONS,
  ...DOCKER_FUNCTIONS,
  json: { parameters: ['any'], call: same },
  split: { parameters: ['any', 'any'], call: same },
  join: { parameters: ['any', 'any'], call: same },
  title: { parameters: ['any'], call: same },
  lower: { parameters: ['any'], call: same },
  upper: { parameters: ['any'], call: same },
  truncate: { parameters: ['any', 'any'], call: same },
};

export const FUNCTIONS: Functions = { ...BUILTIN_FUNCTIONS, ...DOCKER_FUNCTIONS };

function same(value: GoValue | undefined): GoValue {
  return value as GoValue;
}

function last(values: readonly GoValue[]): GoValue {
  return values.at(-1) as GoValue;
}

/** JSON as Docker's `json` function writes it: `<`, `>` and `&` as they are. */
function encodeValue(value: GoValue): string {
  const target = indirect(value);
  return encodeJson(target.type, target.data, { escapeHtml: false });
}

function lengthOf(value: GoValue): number {
  const target = indirect(value);
  const { kind } = target.type;
  const data = dataOf(target);
  if (kind === 'string') return Buffer.byteLength(data as string);
  if (kind === 'list' || kind === 'bytes') return ((data ?? []) as readonly unknown[]).length;
  if (kind === 'map') return Object.keys(data ?? {}).length;
  if (data === undefined || data === null) throw new Error('len of nil pointer');
  throw new Error(`len of type ${typeName(target.type)}`);
}

function indexInto(value: GoValue, key: GoValue): GoValue {
  const target = indirect(value);
  const { type } = target;
  const index = indirect(key);
  if (type.kind === 'map') {
    if (index.type.kind !== 'string') throw new Error(`value has type ${typeName(index.type)}; should be string`);
    const entries = (target.data ?? {}) as StructData;
    const name = dataOf(index) as string;
    if (Object.hasOwn(entries, name)) return { type: type.element, data: entries[name] };
    return type.element.kind === 'any' ? NO_VALUE : { type: type.element, data: undefined };
  }
  const at = dataOf(index);
  if (type.kind === 'list') {
    const items = (target.data ?? []) as readonly unknown[];
    return { type: type.element, data: items[checkedIndex(index, at, items.length)] };
  }
  if (type.kind === 'string') {
    const bytes = Buffer.from(dataOf(target) as string);
    return intValue(bytes[checkedIndex(index, at, bytes.length)] as number);
  }
  if (target.data === undefined || target.data === null) throw new Error('index of untyped nil');
  throw new Error(`can't index item of type ${typeName(type)}`);
}

function checkedIndex(index: GoValue, at: unknown, length: number): number {
  if (typeof at !== 'number') throw new Error(`cannot index slice/array with type ${typeName(index.type)}`);
  if (at < 0 || at >= length) throw new Error(`index out of range: ${at}`);
  return at;
}

function sliceOf(value: GoValue, bounds: readonly number[]): GoValue {
  const target = indirect(value);
  if (target.type.kind !== 'list' && target.type.kind !== 'string')
    throw new Error(`can't slice item of type ${typeName(target.type)}`);
  if (bounds.length > 3) throw new Error(`too many slice indexes: ${bounds.length}`);
  const isText = target.type.kind === 'string';
  const source = isText ? Buffer.from(dataOf(target) as string) : ((target.data ?? []) as readonly unknown[]);
  const [start = 0, end = source.length] = bounds;
  for (const bound of bounds) if (bound < 0 || bound > source.length) throw new Error(`index out of range: ${bound}`);
  if (start > end) throw new Error(`invalid slice index: ${start} > ${end}`);
  if (isText) return stringValue((source as Buffer).subarray(start, end).toString());
  return { type: target.type, data: source.slice(start, end) };
}

function callFunction(callee: GoValue | undefined, ...values: readonly GoValue[]): GoValue {
  const target = callee as GoValue;
  if (target.type.kind !== 'function') throw new Error(`non-function of type ${typeName(target.type)}`);
  return target.type.call(...values);
}

function printOperand(value: GoValue): string {
  return value.data === undefined && value.type.kind === 'any' ? '<no value>' : printValue(value);
}

/** Operands side by side, with a blank between two that are both not text. */
function print(values: readonly GoValue[]): string {
  let out = '';
  for (const [i, value] of values.entries()) {
    const before = values[i - 1];
    const apart =
      before !== undefined && indirect(before).type.kind !== 'string' && indirect(value).type.kind !== 'string';
    out += (apart ? ' ' : '') + printOperand(value);
  }
  return out;
}

const HTML: Readonly<Record<string, string>> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\0': '\ufffd',
};

function escapeHtml(source: string): string {
  return source.replace(/["'&<>\0]/g, (character) => HTML[character] ?? character);
}

/** Kinds that can be compared, and with which others. */
const COMPARABLE: { readonly [Kind in GoType['kind']]?: 'bool' | 'string' | 'int' | 'float' } = {
  bool: 'bool',
  string: 'string',
  int: 'int',
  uint: 'int',
  duration: 'int',
  float: 'float',
};

function equals(left: GoValue, right: GoValue): boolean {
  const a = indirect(left);
  const b = indirect(right);
  const kinds = [COMPARABLE[a.type.kind], COMPARABLE[b.type.kind]];
  if (kinds[0] === undefined || kinds[1] === undefined) {
    const aNil = a.data === undefined || a.data === null;
    const bNil = b.data === undefined || b.data === null;
    if (aNil || bNil) return aNil && bNil;
    throw new Error(
      kinds[0] === undefined && kinds[1] === undefined ? 'non-comparable types' : 'incompatible types for comparison',
    );
  }
  if (kinds[0] !== kinds[1]) throw new Error('incompatible types for comparison');
  return dataOf(a) === dataOf(b);
}

function equalsAny(first: GoValue | undefined, ...others: readonly GoValue[]): GoValue {
  if (others.length === 0) throw new Error('missing argument for comparison');
  return boolValue(others.some((other) => equals(first as GoValue, other)));
}

function compare(left: GoValue, right: GoValue): number {
  const a = indirect(left);
  const b = indirect(right);
  const kind = COMPARABLE[a.type.kind];
  if (kind === undefined || COMPARABLE[b.type.kind] === undefined) throw new Error('invalid type for comparison');
  if (kind !== COMPARABLE[b.type.kind]) throw new Error('incompatible types for comparison');
  if (kind === 'bool') throw new Error('invalid type for comparison');
  const x = dataOf(a) as string | number;
  const y = dataOf(b) as string | number;
  return x < y ? -1 : x > y ? 1 : 0;
}
