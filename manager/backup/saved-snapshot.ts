/** One file that holds the declared state of a cluster: how its bytes are made, and how they are read back. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import { SnapshotContents, type SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import { openChunks, sealChunks } from '#manager/log/index.ts';
import { SnapshotRestorer, type StoreState } from '#manager/store/index.ts';
import { damagedSave, encodeSavedHeader, newerSave, readSavedHeader } from './saved-header.ts';
import { StreamReader } from './stream-reader.ts';

const CONTENTS_FORMAT = 1;

export interface SnapshotToSave {
  readonly description: SnapshotDescription;
  /** Who held the log. */
  readonly members: readonly RaftMember[];
  /** The state, as the store makes chunks of it. */
  readonly chunks: Iterable<Uint8Array>;
}

/** How long work may hold the event loop. */
export interface Pace {
  readonly clock: Clock;
  readonly sliceMs: number;
}

/** The bytes of the file, made as they are pulled. */
export function sealSnapshot(
  snapshot: SnapshotToSave,
  key: Uint8Array,
  pace: Pace,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const { bytes, seal } = encodeSavedHeader(snapshot.description, key);
  return sealChunks(bytes, seal, paced(withContents(snapshot), pace), signal);
}

function* withContents({ members, chunks }: SnapshotToSave): Generator<Uint8Array> {
  yield SnapshotContents.encode({ format: CONTENTS_FORMAT, members });
  yield* chunks;
}

async function* paced(chunks: Iterable<Uint8Array>, { clock, sliceMs }: Pace): AsyncGenerator<Uint8Array> {
  let sliceStartMs = clock.monotonic();
  for (const chunk of chunks) {
    yield chunk;
    if (clock.monotonic() - sliceStartMs < sliceMs) continue;
    await nextTurn();
    sliceStartMs = clock.monotonic();
  }
}

export interface SavedSnapshot {
  readonly description: SnapshotDescription;
  /** Names the key that opens it. */
  readonly keyName: string;
  readonly members: readonly RaftMember[];
  readonly cluster: Cluster;
  readonly state: StoreState;
  /** Of the whole file. */
  readonly bytes: number;
}

/** What the file says about itself; nothing but its head is read. Whether the rest is whole only its key can tell. */
export async function describeSnapshot(
  source: AsyncIterable<Uint8Array>,
  file: string,
): Promise<{ readonly description: SnapshotDescription; readonly keyName: string }> {
  const reader = new StreamReader(source);
  try {
    const { description, keyName } = await readSavedHeader(reader, file);
    return { description, keyName };
  } finally {
    await reader.close();
  }
}

/**
 * Reads and verifies all of the file. Errors name the file: `corrupt-state` where it is damaged or cut, `bad-field` where
 * it is something else, `feature-level` where a newer release wrote it, `wrong-key`.
 */
export async function openSnapshot(
  source: AsyncIterable<Uint8Array>,
  key: Uint8Array,
  file: string,
  pace: Pace,
): Promise<SavedSnapshot> {
  const reader = new StreamReader(source);
  try {
    return await readAll(reader, key, file, pace);
  } finally {
    await reader.close();
  }
}

async function readAll(reader: StreamReader, key: Uint8Array, file: string, pace: Pace): Promise<SavedSnapshot> {
  const header = await readSavedHeader(reader, file);
  const chunks = openChunks(reader, header.bytes, header.seal(key), (offset, what) => damagedSave(file, offset, what));
  const restorer = new SnapshotRestorer();
  let contents: SnapshotContents | undefined;
  let sliceStartMs = pace.clock.monotonic();
  let next = await chunks.next();
  for (; next.done !== true; next = await chunks.next()) {
    if (contents === undefined) contents = decodeContents(next.value, file, header.bytes);
    else restorer.feed(next.value);
    if (pace.clock.monotonic() - sliceStartMs < pace.sliceMs) continue;
    await nextTurn();
    sliceStartMs = pace.clock.monotonic();
  }
  const bytes = next.value;
  if (contents === undefined) throw damagedSave(file, header.bytes, 'it is empty');
  if ((await reader.at(bytes, 1)).length > 0) throw damagedSave(file, bytes, 'something follows its end');
  const state = restorer.finish();
  const cluster = state.cluster();
  if (cluster === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: `the saved snapshot ${file} holds no cluster`,
      hint: 'use another one',
    });
  return { description: header.description, keyName: header.keyName, members: contents.members, cluster, state, bytes };
}

function decodeContents(chunk: Uint8Array, file: string, offset: number): SnapshotContents {
  let contents: SnapshotContents;
  try {
    contents = SnapshotContents.decode(chunk);
  } catch {
    throw damagedSave(file, offset, 'its contents cannot be read');
  }
  if (contents.format !== CONTENTS_FORMAT) throw newerSave(file, contents.format);
  return contents;
}
