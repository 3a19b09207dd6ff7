import {
  type AnyConfChange,
  type ConfState,
  confChange,
  type Entry,
  encodeConfChange,
  LEAVE_JOINT,
  MemoryStorage,
  type Message,
  NO_DATA,
  RawNode,
} from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { type RaftIdentity, RaftMember, RaftMemberChange } from '#gen/swarm/v1/raft.ts';
import { type DataKeys, type Disk, nodeDisk, SnapshotFiles } from '#manager/log/index.ts';
import { DEFAULT_RAFT_CONFIG } from './config.ts';
import { foreign, wiped } from './founding.ts';
import { MembersBook } from './members-book.ts';
import { removedError } from './peers.ts';
import { type Recovered, recoverLog } from './recovery.ts';
import { readSnapshot } from './snapshots.ts';
import { entryRecord, hardStateRecord, identityRecord, markRecord, type SnapshotHeader } from './wal-records.ts';

export interface ForceNewClusterOptions {
  readonly directory: string;
  readonly keys: DataKeys;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly disk?: Disk;
  readonly nodeId: string;
  readonly address: string;
  readonly featureLevel: number;
  /**
   * Awaited once nothing but the disk can refuse any more, before the first byte is written: from then on the log may be
   * this member's alone. Also where it is already.
   */
  readonly committing?: () => Promise<void>;
}

/**
 * Makes this member the only one of a log whose other members are lost for good, before the log is started. Everything
 * that this member holds is kept, also what it does not know to be committed: the lost members may have acknowledged it.
 * The ids of the others are refused for ever. Does nothing when it was done before.
 */
export async function forceNewCluster(options: ForceNewClusterOptions): Promise<void> {
  const { directory, keys, logger, nodeId } = options;
  const disk = options.disk ?? nodeDisk;
  await disk.makeDirectory(directory);
  const lock = await disk.lock(directory);
  try {
    const files = new SnapshotFiles({ disk, directory, keys, syncBytes: DEFAULT_RAFT_CONFIG.snapshotSyncBytes });
    const recovered: Recovered = await recoverLog({
      disk,
      directory,
      keys,
      logger,
      snapshots: files,
      config: DEFAULT_RAFT_CONFIG,
      clock: options.clock ?? systemClock,
      preamble: () => [
        ...(recovered.identity === undefined ? [] : [identityRecord(recovered.identity)]),
        markRecord(recovered.snapshot),
        hardStateRecord(recovered.hardState),
      ],
    });
    try {
      const { identity, snapshot } = recovered;
      if (identity === undefined || snapshot.index === 0) throw wiped(directory);
      if (identity.nodeId !== nodeId) throw foreign(directory, nodeId, identity.nodeId);
      const header = await readSnapshot(files.read(snapshot, recovered.wal.logId), () => Promise.resolve());
      await takeOver(options, recovered, identity, header);
    } finally {
      await recovered.wal.close();
    }
  } finally {
    await lock.release();
  }
}

async function takeOver(
  { address, featureLevel, logger, committing }: ForceNewClusterOptions,
  { wal, snapshot, entries, hardState }: Recovered,
  { raftId, nodeId }: RaftIdentity,
  header: SnapshotHeader,
): Promise<void> {
  const term = hardState.term + 1;
  const self = RaftMember.create({ raftId, nodeId, address, featureLevel });
  const all = [...entries];
  for (;;) {
    const book = bookAfter(raftId, header, snapshot, term, all);
    if (book.wasRemoved(raftId)) throw removedError(address);
    const change = nextChange(book, self);
    if (change === undefined) break;
    const index = snapshot.index + all.length + 1;
    all.push({ type: 'EntryConfChangeV2', index, term, data: encodeConfChange(change) });
  }
  await committing?.();
  const added = all.slice(entries.length);
  if (added.length === 0) return;
  const commit = snapshot.index + all.length;
  await wal.append([...added.map(entryRecord), hardStateRecord({ term, vote: raftId, commit })]);
  logger.warn('this manager is now the only one of its swarm', { changes: added.length, kept: commit - added.length });
}

/** The members once all of the entries are applied, as a node would apply them. */
function bookAfter(
  raftId: number,
  header: SnapshotHeader,
  snapshot: { readonly index: number; readonly term: number },
  term: number,
  entries: readonly Entry[],
): MembersBook {
  const book = new MembersBook();
  book.replace(header);
  const storage = new MemoryStorage();
  storage.applySnapshot({ ...snapshot, confState: header.confState, data: NO_DATA });
  storage.append(entries);
  storage.setHardState({ term, vote: 0, commit: snapshot.index + entries.length });
  const node = new RawNode({
    id: raftId,
    storage,
    random: () => 0,
    electionTick: 10,
    heartbeatTick: 1,
    applied: snapshot.index,
    asyncStorageWrites: true,
  });
  while (node.hasReady())
    for (const message of node.ready().messages)
      if (message.type === 'MsgStorageApply') applyChanges(node, book, message);
  return book;
}

function applyChanges(node: RawNode, book: MembersBook, message: Message): void {
  for (const entry of message.entries) if (entry.type !== 'EntryNormal') book.apply(entry, node.applyConfChange(entry));
  for (const response of message.responses) node.step(response);
}

/** What is still to be changed until the member is alone; one voter at a time. */
function nextChange(book: MembersBook, self: RaftMember): AnyConfChange | undefined {
  const { confState } = book;
  if (confState.votersOutgoing.length > 0) return LEAVE_JOINT;
  const context = RaftMemberChange.encode({ members: [self] });
  if (!confState.voters.includes(self.raftId))
    return confChange([{ type: 'ConfChangeAddNode', nodeId: self.raftId }], { context });
  const other = others(confState, self.raftId)[0];
  if (other !== undefined) return confChange([{ type: 'ConfChangeRemoveNode', nodeId: other }]);
  const known = book.member(self.raftId);
  if (known?.address === self.address && known.featureLevel === self.featureLevel) return undefined;
  return confChange([{ type: 'ConfChangeUpdateNode', nodeId: self.raftId }], { context });
}

function others({ voters, learners }: ConfState, raftId: number): readonly number[] {
  return [...voters, ...learners].filter((id) => id !== raftId);
}
