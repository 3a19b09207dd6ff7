import { type ConfState, confState, type Entry, type HardState } from 'raft-ts';
import { assert, SwarmError } from '#common/errors.ts';
import { RaftIdentity, RaftSnapshotHeader } from '#gen/swarm/v1/raft.ts';
import { type LogPosition, RECORD_TYPES, type WalRecord } from '#manager/log/index.ts';

/** The records of the write-ahead log that Raft needs, and the header that begins its snapshots. */

const NOTHING = new Uint8Array(0);
const VOTE_BYTES = 8;

/** Version of `RaftSnapshotHeader`. */
const HEADER_FORMAT = 1;

export function identityRecord(identity: RaftIdentity): WalRecord {
  return { type: RECORD_TYPES.identity, index: 0, term: 0, body: RaftIdentity.encode(identity) };
}

export function entryRecord({ type, index, term, data }: Entry): WalRecord {
  if (type === 'EntryNormal') return { type: RECORD_TYPES.entry, index, term, body: data };
  // The old form of a change has no record: nobody proposes it.
  assert(type === 'EntryConfChangeV2', `an entry of type ${type} is never made`);
  return { type: RECORD_TYPES.configurationChange, index, term, body: data };
}

export function entryOf({ type, index, term, body }: WalRecord): Entry {
  return { type: type === RECORD_TYPES.entry ? 'EntryNormal' : 'EntryConfChangeV2', index, term, data: body };
}

export function hardStateRecord({ term, vote, commit }: HardState): WalRecord {
  const body = new Uint8Array(VOTE_BYTES);
  new DataView(body.buffer).setBigUint64(0, BigInt(vote), true);
  return { type: RECORD_TYPES.hardState, index: commit, term, body };
}

export function hardStateOf({ index, term, body }: WalRecord): HardState {
  const vote = new DataView(body.buffer, body.byteOffset, body.byteLength).getBigUint64(0, true);
  return { term, vote: Number(vote), commit: index };
}

export function markRecord({ index, term }: LogPosition): WalRecord {
  return { type: RECORD_TYPES.snapshotMark, index, term, body: NOTHING };
}

export function restoredRecord({ index, term }: LogPosition): WalRecord {
  return { type: RECORD_TYPES.restored, index, term, body: NOTHING };
}

/** What a snapshot says besides the state machine's part. */
export type SnapshotHeader = RaftSnapshotHeader & { readonly confState: ConfState };

export function encodeSnapshotHeader(header: Omit<RaftSnapshotHeader, 'format'>): Uint8Array {
  return RaftSnapshotHeader.encode(RaftSnapshotHeader.create({ ...header, format: HEADER_FORMAT }));
}

/** Throws `feature-level` for a header of a newer release, `bad-message` for something else. */
export function decodeSnapshotHeader(bytes: Uint8Array): SnapshotHeader {
  const header = RaftSnapshotHeader.decode(bytes);
  if (header.format !== HEADER_FORMAT)
    throw new SwarmError({
      code: 'precondition',
      reason: 'feature-level',
      message: `the snapshot's header has format ${header.format}, this release reads format ${HEADER_FORMAT}`,
      hint: 'run the release that wrote it, or a newer one',
    });
  return { ...header, confState: confState(header.confState ?? {}) };
}
