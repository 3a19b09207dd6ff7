import { ANY, BOOL, FLOAT, type GoType, type GoValue, INT, STRING, type StructType } from './go-types.ts';

/** What a map answers for a key that it has not; printed as `<no value>`. */
export const NO_VALUE: GoValue = { type: ANY, data: undefined };

export const NIL: GoValue = { type: ANY, data: null };

export function stringValue(text: string): GoValue {
  return { type: STRING, data: text };
}

export function intValue(value: number): GoValue {
  return { type: INT, data: value };
}

export function boolValue(value: boolean): GoValue {
  return { type: BOOL, data: value };
}

/** A plain value with the type that Go would give it. */
export function goValue(data: unknown): GoValue {
  if (typeof data === 'string') return { type: STRING, data };
  if (typeof data === 'boolean') return { type: BOOL, data };
  if (typeof data === 'number') return { type: Number.isInteger(data) ? INT : FLOAT, data };
  if (data === undefined || data === null) return { type: ANY, data };
  return { type: { kind: Array.isArray(data) ? 'list' : 'map', element: ANY }, data };
}

/** The value behind pointers and `any`; a nil pointer stays what it is. */
export function indirect(value: GoValue): GoValue {
  let current = value;
  for (;;) {
    if (current.type.kind === 'any' && current.data !== undefined && current.data !== null)
      return goValue(current.data);
    if (current.type.kind !== 'pointer' || isNil(current)) return current;
    current = { type: current.type.to, data: current.data };
  }
}

export function isNil(value: GoValue): boolean {
  return value.data === undefined || value.data === null;
}

/** Zero values; kinds without one here are nil. */
const ZERO: { readonly [Kind in GoType['kind']]?: unknown } = {
  string: '',
  bool: false,
  int: 0,
  uint: 0,
  float: 0,
  duration: 0,
  struct: Object.freeze({}),
};

/** Data of a value, with the zero value of its type in place of an absent one. */
export function dataOf(value: GoValue): unknown {
  return value.data ?? ZERO[value.type.kind];
}

/** The field of a struct, also of the structs it embeds. */
export function structField(
  type: StructType,
  data: Readonly<Record<string, unknown>>,
  name: string,
): GoValue | undefined {
  for (const field of type.fields) {
    if (field.embedded && field.type.kind === 'struct') {
      const inner = (data[field.name] ?? data) as Readonly<Record<string, unknown>>;
      if (field.name === name) return { type: field.type, data: inner };
      const found = structField(field.type, inner, name);
      if (found !== undefined) return found;
    } else if (field.name === name) return { type: field.type, data: data[name] };
  }
  return undefined;
}

/** Whether `if` takes the value for true: not zero, not empty, not nil; a struct always is. */
export function isTrue(value: GoValue): boolean {
  if (value.type.kind === 'struct' || value.type.kind === 'function' || value.type.kind === 'time') return true;
  if (value.type.kind === 'pointer') return !isNil(value);
  const data = dataOf(indirect(value));
  if (data === undefined || data === null) return false;
  if (typeof data === 'object') return Array.isArray(data) ? data.length > 0 : Object.keys(data).length > 0;
  return data !== '' && data !== 0 && data !== false;
}
