/**
 * Go's types, as far as Docker's API needs them. Docker's JSON and the values that `--format` templates walk over are
 * both defined by Go structs: their field order, which empty fields JSON leaves out, how a missing pointer differs from
 * a zero value, and the type names in template errors. Describing the types once gives all of these.
 */

export type GoType =
  | ScalarType
  | { readonly kind: 'list'; readonly element: GoType }
  | { readonly kind: 'map'; readonly element: GoType }
  | { readonly kind: 'pointer'; readonly to: GoType }
  | { readonly kind: 'function'; readonly call: (...args: readonly GoValue[]) => GoValue }
  | StructType;

/** `time` holds milliseconds since the epoch, `duration` nanoseconds, `bytes` a Uint8Array, `any` whatever JSON can. */
export interface ScalarType {
  readonly kind: 'string' | 'bool' | 'int' | 'uint' | 'float' | 'duration' | 'time' | 'bytes' | 'any';
  /** Name in messages, where it is not the plain one (`swarm.TaskState`). */
  readonly name?: string;
}

export interface StructType {
  readonly kind: 'struct';
  /** `swarm.ServiceSpec`. */
  readonly name: string;
  readonly fields: readonly GoField[];
  /** Writes its own JSON, which Go escapes for HTML even where the encoder was told not to. */
  readonly marshalsItself?: boolean;
  /** How it prints itself, where Go's type does. */
  readonly text?: (data: StructData) => string;
}

export interface GoField {
  readonly name: string;
  /** Key in JSON; the field's name when absent. */
  readonly json?: string;
  readonly omitEmpty: boolean;
  /** Fields of an embedded struct belong to the outer one, in JSON and in templates. */
  readonly embedded: boolean;
  /** Not Docker's: JSON and templates have it, the text of the whole struct has not. */
  readonly isOwn: boolean;
  readonly type: GoType;
}

/** A value with its type, as Go's reflection sees it. Struct data is a record by field name; absent means zero. */
export interface GoValue {
  readonly type: GoType;
  readonly data: unknown;
}

export type StructData = Readonly<Record<string, unknown>>;

export const STRING: GoType = { kind: 'string' };
export const BOOL: GoType = { kind: 'bool' };
export const INT: GoType = { kind: 'int' };
export const UINT: GoType = { kind: 'uint' };
export const FLOAT: GoType = { kind: 'float' };
export const DURATION: GoType = { kind: 'duration' };
export const TIME: GoType = { kind: 'time' };
export const BYTES: GoType = { kind: 'bytes' };
export const ANY: GoType = { kind: 'any' };
export const STRINGS: GoType = { kind: 'list', element: STRING };
export const STRING_MAP: GoType = { kind: 'map', element: STRING };

/** A string type with a name of its own: `swarm.TaskState`. */
export function named(name: string): GoType {
  return { kind: 'string', name };
}

export function list(element: GoType): GoType {
  return { kind: 'list', element };
}

export function mapOf(element: GoType): GoType {
  return { kind: 'map', element };
}

export function pointer(to: GoType): GoType {
  return { kind: 'pointer', to };
}

/**
 * A struct type. A field is declared by its name with, in this order, an optional `=key` for another key in JSON and an
 * optional `?` for "left out of JSON when empty": `'ID'`, `'Labels?'`, `'Id=ID'`. A name beginning with `...` embeds.
 */
export function struct(name: string, fields: Readonly<Record<string, GoType>>): StructType {
  return {
    kind: 'struct',
    name,
    fields: Object.entries(fields).map(([declaration, type]) => {
      const omitEmpty = declaration.endsWith('?');
      const embedded = declaration.startsWith('...');
      const isOwn = declaration.startsWith('+');
      const bare = declaration.slice(embedded ? 3 : isOwn ? 1 : 0, omitEmpty ? -1 : undefined);
      const [field = '', json] = bare.split('=');
      return { name: field, omitEmpty, embedded, isOwn, type, ...(json === undefined ? {} : { json }) };
    }),
  };
}

/** The type's name in Go's messages: `string`, `[]string`, `map[string]string`, `*swarm.UpdateStatus`. */
export function typeName(type: GoType): string {
  if (type.kind === 'list') return `[]${typeName(type.element)}`;
  if (type.kind === 'map') return `map[string]${typeName(type.element)}`;
  if (type.kind === 'pointer') return `*${typeName(type.to)}`;
  if (type.kind === 'struct') return type.name;
  if (type.kind === 'function') return 'func';
  return type.name ?? SCALAR_NAMES[type.kind];
}

const SCALAR_NAMES: { readonly [Kind in ScalarType['kind']]: string } = {
  string: 'string',
  bool: 'bool',
  int: 'int',
  uint: 'uint64',
  float: 'float64',
  duration: 'time.Duration',
  time: 'time.Time',
  bytes: '[]uint8',
  any: 'interface {}',
};

/** Whether the value is what `omitEmpty` leaves out: zero, empty or nil. Structs and times never are. */
export function isEmpty(type: GoType, data: unknown): boolean {
  if (type.kind === 'struct' || type.kind === 'time') return false;
  if (data === undefined || data === null) return true;
  if (type.kind === 'list' || type.kind === 'bytes') return (data as ArrayLike<unknown>).length === 0;
  if (type.kind === 'map') return Object.keys(data).length === 0;
  if (type.kind === 'pointer' || type.kind === 'any' || type.kind === 'function') return false;
  return data === '' || data === false || data === 0;
}
