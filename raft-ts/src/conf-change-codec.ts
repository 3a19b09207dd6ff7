/**
 * Configuration changes as bytes: the protobuf encoding of etcd's `ConfChange` and `ConfChangeV2`, so that a log says
 * the same to both. Empty bytes are the empty `ConfChangeV2`, which leaves a joint configuration.
 */
import type { AnyConfChange, ConfChangeSingle, ConfChangeTransition, ConfChangeType } from './conf-change.ts';
import { type Entry, NO_DATA } from './types.ts';

const TYPES: readonly ConfChangeType[] = [
  'ConfChangeAddNode',
  'ConfChangeRemoveNode',
  'ConfChangeUpdateNode',
  'ConfChangeAddLearnerNode',
];

const TRANSITIONS: readonly ConfChangeTransition[] = [
  'ConfChangeTransitionAuto',
  'ConfChangeTransitionJointImplicit',
  'ConfChangeTransitionJointExplicit',
];

const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

function putVarint(into: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    into.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  into.push(rest);
}

function putNumber(into: number[], field: number, value: number): void {
  into.push(field * 8 + WIRE_VARINT);
  putVarint(into, value);
}

function putBytes(into: number[], field: number, bytes: ArrayLike<number>): void {
  into.push(field * 8 + WIRE_BYTES);
  putVarint(into, bytes.length);
  for (let i = 0; i < bytes.length; i++) into.push(bytes[i] ?? 0);
}

export function encodeConfChange(change: AnyConfChange): Uint8Array {
  const bytes: number[] = [];
  if (change.version === 1) {
    putNumber(bytes, 2, TYPES.indexOf(change.type));
    putNumber(bytes, 3, change.nodeId);
    if (change.context.length > 0) putBytes(bytes, 4, change.context);
    return Uint8Array.from(bytes);
  }
  putNumber(bytes, 1, TRANSITIONS.indexOf(change.transition));
  for (const one of change.changes) {
    const inner: number[] = [];
    putNumber(inner, 1, TYPES.indexOf(one.type));
    putNumber(inner, 2, one.nodeId);
    putBytes(bytes, 2, inner);
  }
  if (change.context.length > 0) putBytes(bytes, 3, change.context);
  return Uint8Array.from(bytes);
}

interface Field {
  readonly number: number;
  readonly value: number;
  readonly bytes: Uint8Array | undefined;
}

/** The fields of a message, or undefined if the bytes are not one. */
function fieldsOf(bytes: Uint8Array): readonly Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  let sound = true;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || scale > Number.MAX_SAFE_INTEGER) {
        sound = false;
        return 0;
      }
      value += (byte % 0x80) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    if (!Number.isSafeInteger(value)) sound = false;
    return value;
  };
  while (at < bytes.length && sound) {
    const key = varint();
    const value = varint();
    if (key % 8 === WIRE_VARINT) fields.push({ number: Math.floor(key / 8), value, bytes: undefined });
    else if (key % 8 === WIRE_BYTES && value <= bytes.length - at) {
      fields.push({ number: Math.floor(key / 8), value: 0, bytes: bytes.subarray(at, at + value) });
      at += value;
    } else sound = false;
  }
  return sound ? fields : undefined;
}

function decodeSingle(bytes: Uint8Array): ConfChangeSingle | undefined {
  const fields = fieldsOf(bytes);
  if (fields === undefined) return undefined;
  let type: ConfChangeType | undefined = 'ConfChangeAddNode';
  let nodeId = 0;
  for (const field of fields) {
    if (field.number === 1) type = TYPES[field.value];
    if (field.number === 2) nodeId = field.value;
  }
  return type === undefined ? undefined : { type, nodeId };
}

function decodeV1(fields: readonly Field[]): AnyConfChange | undefined {
  let type: ConfChangeType | undefined = 'ConfChangeAddNode';
  let nodeId = 0;
  let context = NO_DATA;
  for (const field of fields) {
    if (field.number === 2) type = TYPES[field.value];
    if (field.number === 3) nodeId = field.value;
    if (field.number === 4) context = field.bytes ?? NO_DATA;
  }
  return type === undefined ? undefined : { version: 1, type, nodeId, context };
}

function decodeV2(fields: readonly Field[]): AnyConfChange | undefined {
  let transition: ConfChangeTransition | undefined = 'ConfChangeTransitionAuto';
  let context = NO_DATA;
  const changes: ConfChangeSingle[] = [];
  for (const field of fields) {
    if (field.number === 1) transition = TRANSITIONS[field.value];
    if (field.number === 2) {
      const single = decodeSingle(field.bytes ?? NO_DATA);
      if (single === undefined) return undefined;
      changes.push(single);
    }
    if (field.number === 3) context = field.bytes ?? NO_DATA;
  }
  return transition === undefined ? undefined : { version: 2, transition, changes, context };
}

/** The change an entry carries; undefined if it carries none, or none that can be read. */
export function decodeConfChange(entry: Pick<Entry, 'type' | 'data'>): AnyConfChange | undefined {
  if (entry.type === 'EntryNormal') return undefined;
  const fields = fieldsOf(entry.data);
  if (fields === undefined) return undefined;
  return entry.type === 'EntryConfChange' ? decodeV1(fields) : decodeV2(fields);
}
