import { SwarmError } from '#common/errors.ts';
import { SnapshotChunk, type SnapshotHeader, type SnapshotRecord } from '#gen/swarm/v1/store.ts';
import { concatenated } from './bytes.ts';
import { Editor } from './editor.ts';
import { damagedSnapshot, newerContent } from './refusals.ts';
import { StoreState } from './state.ts';
import type { StoredObject, TableName } from './stored-objects.ts';
import { objectOfTable, TABLE_NAMES } from './tables.ts';

export const SNAPSHOT_FORMAT = 1;

/**
 * The state as a stream of chunks, each a `SnapshotChunk` of about `chunkBytes`. Lazy: a chunk is made when it is asked
 * for, from a state that cannot change meanwhile.
 */
export function* saveSnapshot(state: StoreState, chunkBytes: number): Generator<Uint8Array, void> {
  // The wire format joins lists by concatenation, so records are encoded one by one and their bytes are counted.
  const { version, transactionId } = state;
  let parts = [encode({ kind: 'header', value: { format: SNAPSHOT_FORMAT, version, transactionId } })];
  let bytes = 0;
  for (const table of TABLE_NAMES)
    for (const value of state.all(table)) {
      if (bytes >= chunkBytes) {
        yield concatenated(parts);
        parts = [];
        bytes = 0;
      }
      const part = encode({ kind: 'object', value: { object: objectOfTable(table, value) } });
      parts.push(part);
      bytes += part.length;
    }
  yield concatenated(parts);
}

function encode(record: NonNullable<SnapshotRecord['record']>): Uint8Array {
  return SnapshotChunk.encode({ records: [{ record }] });
}

/** Builds a state from the chunks of a snapshot, given one by one in their order. */
export class SnapshotRestorer {
  readonly #editor = new Editor(StoreState.empty());
  #header: SnapshotHeader | undefined;

  /** Throws a SwarmError when the chunk is no part of a snapshot, or of one that a newer release made. */
  feed(chunk: Uint8Array): void {
    for (const { record } of decode(chunk)) {
      if (record === undefined) throw newerContent('a kind of record');
      if (record.kind === 'header') this.#begin(record.value);
      else this.#take(record.value.object);
    }
  }

  finish(): StoreState {
    if (this.#header === undefined) throw damagedSnapshot('it is empty');
    return this.#editor.finish(this.#header.version, this.#header.transactionId);
  }

  #begin(header: SnapshotHeader): void {
    if (this.#header !== undefined) throw damagedSnapshot('it has two headers');
    if (header.format !== SNAPSHOT_FORMAT) throw newerContent(`a snapshot of format ${header.format}`);
    this.#header = header;
  }

  #take(choice: { readonly kind: TableName; readonly value: StoredObject } | undefined): void {
    if (this.#header === undefined) throw damagedSnapshot('it does not begin with a header');
    if (choice === undefined) throw newerContent('a kind of object');
    this.#editor.put(choice.kind, choice.value);
  }
}

function decode(chunk: Uint8Array): readonly SnapshotRecord[] {
  try {
    return SnapshotChunk.decode(chunk).records;
  } catch (thrown) {
    throw damagedSnapshot(SwarmError.from(thrown).message);
  }
}
