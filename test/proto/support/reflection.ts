/** The contract as protobufjs sees it: the oracle, and the source of random messages. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import type { AnyMessage } from './generated.ts';

const ROOT = join(import.meta.dirname, '../../..');

export function loadProtos(directory: string, files: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(directory, target);
  root.loadSync([...files]);
  root.resolveAll();
  return root;
}

export function loadContract(): protobuf.Root {
  const files = readdirSync(join(ROOT, 'proto/swarm/v1')).filter((file) => file.endsWith('.proto'));
  return loadProtos(
    join(ROOT, 'proto'),
    files.map((file) => `swarm/v1/${file}`),
  );
}

export function loadFixture(fixture: 'release' | 'newer'): protobuf.Root {
  return loadProtos(join(ROOT, 'test/proto/fixtures', fixture), ['kitchen.proto']);
}

const INT32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const UINT32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const INT64 = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 }));
const UINT64 = fc.oneof(fc.maxSafeNat(), fc.nat(300));
const TEXT = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ maxLength: 20 }));

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  double: fc.double(),
  float: fc.float(),
  int32: INT32,
  uint32: UINT32,
  sint32: INT32,
  fixed32: UINT32,
  sfixed32: INT32,
  int64: INT64,
  uint64: UINT64,
  sint64: INT64,
  fixed64: UINT64,
  sfixed64: INT64,
  bool: fc.boolean(),
  string: TEXT,
  bytes: fc.uint8Array({ maxLength: 40 }),
};

function valueOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  const type = field.resolvedType;
  if (type instanceof protobuf.Type) return messageOf(type, depth - 1);
  if (type instanceof protobuf.Enum) return fc.constantFrom(...Object.values(type.values));
  const scalar = SCALARS[field.type];
  if (scalar === undefined) throw new Error(`no arbitrary for ${field.type}`);
  return scalar;
}

export function isUnion(oneof: protobuf.OneOf | null | undefined): oneof is protobuf.OneOf {
  return oneof !== null && oneof !== undefined && oneof.fieldsArray[0]?.options?.['proto3_optional'] !== true;
}

function fieldOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  const isMessage = field.resolvedType instanceof protobuf.Type;
  const deepEnough = isMessage && depth <= 0;
  if (field instanceof protobuf.MapField) {
    if (deepEnough) return fc.constant({});
    const key =
      field.keyType === 'string'
        ? fc.oneof(TEXT, fc.constantFrom('__proto__', 'constructor', '', '7'))
        : (SCALARS[field.keyType] as fc.Arbitrary<unknown>).map(String);
    return fc.array(fc.tuple(key, valueOf(field, depth)), { maxLength: 4 }).map((entries) => {
      const map = {};
      for (const [name, value] of entries)
        Object.defineProperty(map, name, { value, enumerable: true, configurable: true, writable: true });
      return map;
    });
  }
  if (field.repeated) return deepEnough ? fc.constant([]) : fc.array(valueOf(field, depth), { maxLength: 3 });
  if (isMessage) return deepEnough ? fc.constant(undefined) : fc.option(valueOf(field, depth), { nil: undefined });
  if (field.options?.['proto3_optional'] === true) return fc.option(valueOf(field, depth), { nil: undefined });
  const value = valueOf(field, depth);
  if (field.resolvedType instanceof protobuf.Enum) return value;
  return fc.oneof({ weight: 3, arbitrary: value }, { weight: 1, arbitrary: fc.constant(zeroOf(field)) });
}

function zeroOf(field: protobuf.Field): unknown {
  if (field.type === 'bytes') return new Uint8Array();
  if (field.type === 'string') return '';
  return field.type === 'bool' ? false : 0;
}

/** Messages of the type, in the shape that the generated code gives them. */
export function messageOf(type: protobuf.Type, depth = 3): fc.Arbitrary<AnyMessage> {
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of type.fieldsArray.toSorted((left, right) => left.id - right.id)) {
    if (!isUnion(field.partOf)) {
      members[field.name] = fieldOf(field, depth);
      continue;
    }
    const cases = field.partOf.fieldsArray
      .filter((other) => depth > 0 || !(other.resolvedType instanceof protobuf.Type))
      .map((other) => valueOf(other, depth).map((value) => ({ kind: other.name, value })));
    members[field.partOf.name] = fc.oneof(fc.constant(undefined), ...cases);
  }
  return fc.record(members).map((message) => ({ ...message }));
}

function valueToReflected(field: protobuf.Field, value: unknown): unknown {
  return field.resolvedType instanceof protobuf.Type ? toReflected(field.resolvedType, value as AnyMessage) : value;
}

/** The message as protobufjs' encoder takes it, with map entries in the order in which we write them. */
export function toReflected(type: protobuf.Type, message: AnyMessage): Record<string, unknown> {
  const reflected: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    if (isUnion(field.partOf)) {
      const choice = message[field.partOf.name] as { readonly kind: string; readonly value: unknown } | undefined;
      if (choice?.kind === field.name) reflected[field.name] = valueToReflected(field, choice.value);
      continue;
    }
    const value = message[field.name];
    if (value === undefined || isDefault(field, value)) continue;
    if (field instanceof protobuf.MapField) {
      const map = {};
      const keys = Object.keys(value as object);
      if (field.keyType === 'string') keys.sort();
      else keys.sort((left, right) => Number(left) - Number(right));
      for (const key of keys)
        Object.defineProperty(map, key, {
          value: valueToReflected(field, (value as AnyMessage)[key]),
          enumerable: true,
        });
      reflected[field.name] = map;
    } else if (field.repeated) {
      reflected[field.name] = (value as readonly unknown[]).map((item) => valueToReflected(field, item));
    } else {
      reflected[field.name] = valueToReflected(field, value);
    }
  }
  return reflected;
}

/** proto3 leaves defaults out; protobufjs writes every property it is given. */
function isDefault(field: protobuf.Field, value: unknown): boolean {
  if (field.options?.['proto3_optional'] === true || field.repeated || field instanceof protobuf.MapField) return false;
  if (value instanceof Uint8Array) return value.length === 0;
  return Object.is(value, 0) || value === '' || value === false;
}
