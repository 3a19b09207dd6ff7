/**
 * Golden messages: what a release wrote, kept for all later ones to read. One message of every type, filled in every
 * field, encoded by protobufjs so that a mistake of our encoder cannot hide here.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { AnyMessage } from './generated.ts';
import { isUnion, toReflected } from './reflection.ts';

const DIRECTORY = join(import.meta.dirname, '../../golden/contract');

export interface GoldenMessage {
  readonly typeName: string;
  readonly bytes: Uint8Array;
  readonly value: AnyMessage;
}

interface StoredMessage {
  /** base64 */
  readonly bytes: string;
  /** Bytes in it are `{ "$bytes": base64 }`. */
  readonly value: unknown;
}

export function releases(): readonly string[] {
  return readdirSync(DIRECTORY, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

export function readGolden(release: string): readonly GoldenMessage[] {
  const text = readFileSync(join(DIRECTORY, release, 'messages.json'), 'utf8');
  const stored = JSON.parse(text, (_key, value: unknown) => {
    const bytes = typeof value === 'object' && value !== null ? (value as AnyMessage)['$bytes'] : undefined;
    return typeof bytes === 'string' ? new Uint8Array(Buffer.from(bytes, 'base64')) : value;
  }) as Readonly<Record<string, StoredMessage>>;
  return Object.entries(stored).map(([typeName, { bytes, value }]) => ({
    typeName,
    bytes: new Uint8Array(Buffer.from(bytes, 'base64')),
    value: value as AnyMessage,
  }));
}

export function writeGolden(release: string, root: protobuf.Root, typeNames: readonly string[]): void {
  const stored: Record<string, StoredMessage> = {};
  for (const typeName of typeNames) {
    const type = root.lookupType(typeName);
    const value = filledMessage(type, 3);
    const bytes = Buffer.from(type.encode(toReflected(type, value)).finish()).toString('base64');
    stored[typeName] = { bytes, value };
  }
  mkdirSync(join(DIRECTORY, release), { recursive: true });
  const text = JSON.stringify(stored, (_key, value: unknown) =>
    value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString('base64') } : value,
  );
  writeFileSync(join(DIRECTORY, release, 'messages.json'), `${text.replaceAll('},"swarm.v1.', '},\n"swarm.v1.')}\n`);
}

/** A value for every field, another for each: what is read into the wrong field shows. */
function filledMessage(type: protobuf.Type, depth: number): AnyMessage {
  const message: Record<string, unknown> = {};
  for (const field of type.fieldsArray.toSorted((left, right) => left.id - right.id)) {
    const isMessage = field.resolvedType instanceof protobuf.Type;
    const isTooDeep = isMessage && depth <= 0;
    if (isUnion(field.partOf)) {
      // The last case wins, as it would on the wire.
      message[field.partOf.name] = isTooDeep ? undefined : { kind: field.name, value: filledValue(field, depth) };
    } else if (field instanceof protobuf.MapField) {
      const key = field.keyType === 'string' ? (index: number) => `key ${index}` : String;
      message[field.name] = isTooDeep
        ? {}
        : Object.fromEntries([1, 2].map((index) => [key(index), filledValue(field, depth)]));
    } else if (field.repeated) {
      message[field.name] = isTooDeep ? [] : [filledValue(field, depth)];
    } else {
      message[field.name] = isTooDeep ? undefined : filledValue(field, depth);
    }
  }
  return message;
}

function filledValue(field: protobuf.Field, depth: number): unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Type) return filledMessage(type, depth - 1);
  if (type instanceof protobuf.Enum) return Object.values(type.values).at(-1);
  switch (field.type) {
    case 'string':
      return `${field.name} ünïcode`;
    case 'bytes':
      return new Uint8Array([0, 255, field.id]);
    case 'bool':
      return true;
    case 'int64':
    case 'uint64':
      return 2 ** 40 + field.id;
    case 'double':
    case 'float':
      return field.id + 0.5;
    default:
      return 100_000 + field.id;
  }
}
