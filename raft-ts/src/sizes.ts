import type { Entry } from './types.ts';

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** An entry's bytes on the wire (its protobuf encoding): what limits of messages and of applying count. */
export function entrySize(entry: Entry): number {
  const data = entry.data.length === 0 ? 0 : 1 + varintSize(entry.data.length) + entry.data.length;
  return 2 + 1 + varintSize(entry.term) + 1 + varintSize(entry.index) + data;
}

export function entriesSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += entrySize(entry);
  return size;
}

/** The application's bytes alone: what the limits of the uncommitted tail and of in-flight bytes count. */
export function payloadSize(entries: readonly Pick<Entry, 'data'>[]): number {
  let size = 0;
  for (const entry of entries) size += entry.data.length;
  return size;
}

/** The longest prefix within `maxBytes`, but always the first entry: one that is too large must still move. */
export function limitSize(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  if (entries.length <= 1 || maxBytes === Infinity) return entries;
  let size = 0;
  for (let count = 0; count < entries.length; count++) {
    const entry = entries[count];
    if (entry === undefined) break;
    size += entrySize(entry);
    if (size > maxBytes && count > 0) return entries.slice(0, count);
  }
  return entries;
}
