/** Rubbish for every field of a message, found by looking at the contract: a field that is added is covered by itself. */
import protobuf from 'protobufjs';
import type { AnyMessage } from '#test/proto/support/generated.ts';
import { isUnion } from '#test/proto/support/reflection.ts';

export interface Rubbish {
  /** `task.container.devices[].path_on_host`, in the words of the contract; with `.*` for a message of which nothing is set. */
  readonly path: string;
  readonly value: unknown;
  /** The base with the value at the path. */
  readonly message: AnyMessage;
}

const TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\nb',
  '\u001b[2J\u202e',
  '../../etc/passwd',
  '/..',
  '/',
  '-rf',
  '__proto__',
  '$(reboot)',
  '{{',
  '{{.Nope}}',
  '{{template "x"}}',
  '{{range $i, $e := .Service.Labels}}{{end}}',
  'a=b=c,,:',
  '99999999999999999999',
  'ÄÖ\u{1f4a5}'.repeat(80),
  'x'.repeat(150_000),
];
const INTEGERS: readonly number[] = [1, 2, 3, 7, 2 ** 16, 2 ** 31 - 1];
const SIGNED: readonly number[] = [...INTEGERS, -1, -(2 ** 31)];

const SCALARS: Readonly<Record<string, readonly unknown[]>> = {
  string: TEXTS,
  bool: [true],
  bytes: [new Uint8Array(), new Uint8Array(1_100_000)],
  double: [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308, 0.5],
  int32: SIGNED,
  int64: [...SIGNED, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  uint32: [...INTEGERS, 2 ** 32 - 1],
  uint64: [...INTEGERS, Number.MAX_SAFE_INTEGER],
};

function scalarsOf(field: protobuf.Field): readonly unknown[] {
  // A number of a later release, and what a broken client may send.
  if (field.resolvedType instanceof protobuf.Enum) return [...Object.values(field.resolvedType.values), 99, -1];
  const values = SCALARS[field.type];
  if (values === undefined) throw new Error(`there is no rubbish for ${field.type}`);
  return values;
}

/** A message with nothing set, as the generated code makes it. */
function emptyOf(type: protobuf.Type): AnyMessage {
  const message: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    if (isUnion(field.partOf)) message[field.partOf.name] = undefined;
    else if (field instanceof protobuf.MapField) message[field.name] = {};
    else if (field.repeated) message[field.name] = [];
    else if (field.resolvedType instanceof protobuf.Type || field.options?.['proto3_optional'] === true)
      message[field.name] = undefined;
    else message[field.name] = zeroOf(field);
  }
  return message;
}

function zeroOf(field: protobuf.Field): unknown {
  if (field.type === 'string') return '';
  if (field.type === 'bool') return false;
  return field.type === 'bytes' ? new Uint8Array() : 0;
}

/** A key that is an own property, whatever its name. */
function mapOf(entries: readonly (readonly [string, unknown])[]): unknown {
  const map = {};
  for (const [key, value] of entries)
    Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
  return map;
}

function maps(field: protobuf.Field): readonly unknown[] {
  const values = field.resolvedType instanceof protobuf.Type ? [emptyOf(field.resolvedType)] : scalarsOf(field);
  const [first] = values;
  return [
    ...TEXTS.map((key) => mapOf([[key, first]])),
    ...values.map((value) => mapOf([['key', value]])),
    mapOf(Array.from({ length: 1000 }, (_, index) => [`key${index}`, first] as const)),
  ];
}

function lists(values: readonly unknown[]): readonly unknown[] {
  const [first] = values;
  return [
    ...values.map((value) => [value]),
    [first, first, first],
    Array.from({ length: 3000 }, () => values.at(4) ?? first),
  ];
}

/** In the spelling of the contract. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function* ofField(field: protobuf.Field, present: unknown, path: string): Generator<Omit<Rubbish, 'message'>> {
  const type = field.resolvedType;
  if (field instanceof protobuf.MapField) {
    for (const value of maps(field)) yield { path, value };
    return;
  }
  if (!(type instanceof protobuf.Type)) {
    for (const value of field.repeated ? lists(scalarsOf(field)) : scalarsOf(field)) yield { path, value };
    return;
  }
  if (!field.repeated) {
    yield { path: `${path}.*`, value: emptyOf(type) };
    for (const inner of rubbishOf(type, (present ?? emptyOf(type)) as AnyMessage, `${path}.`))
      yield { path: inner.path, value: inner.message };
    return;
  }
  for (const value of lists([emptyOf(type)])) yield { path: `${path}.*`, value };
  const [first = emptyOf(type)] = (present ?? []) as readonly AnyMessage[];
  for (const inner of rubbishOf(type, first, `${path}[].`)) yield { path: inner.path, value: [inner.message] };
}

/** Every field of the type and of all messages in it, one at a time; the rest is as in `base`. */
export function* rubbishOf(type: protobuf.Type, base: AnyMessage, prefix = ''): Generator<Rubbish> {
  for (const field of type.fieldsArray) {
    const path = `${prefix}${snake(field.name)}`;
    if (isUnion(field.partOf)) {
      const union = field.partOf.name;
      const chosen = base[union] as { readonly kind: string; readonly value: unknown } | undefined;
      const present = chosen?.kind === field.name ? chosen.value : undefined;
      for (const { path: inner, value } of ofField(field, present, path))
        yield { path: inner, value, message: { ...base, [union]: { kind: field.name, value } } };
      continue;
    }
    for (const { path: inner, value } of ofField(field, base[field.name], path))
      yield { path: inner, value, message: { ...base, [field.name]: value } };
  }
}
