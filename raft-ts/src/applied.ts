/** What the application reports back: entries stored, snapshots stored, entries applied. */
import type { Core } from './core.ts';
import { hex } from './logger.ts';
import type { Message } from './message.ts';
import { proposeAsLeader } from './proposals.ts';
import { entriesSize, payloadSize } from './sizes.ts';
import { describeConfiguration } from './tracker.ts';
import { NO_DATA, type Snapshot } from './types.ts';

function appliedTo(core: Core, index: number, bytes: number): void {
  core.log.appliedTo(Math.max(index, core.log.applied), bytes);
  const { configuration } = core.tracker;
  const leaving = configuration.autoLeave && core.log.applied >= core.pendingConfIndex && core.state === 'StateLeader';
  if (!leaving) return;
  // An empty change leaves the joint configuration. Refused only during a transfer; then the next applied entry, or
  // the next leader, tries again.
  const refusal = proposeAsLeader(core, [{ type: 'EntryConfChangeV2', data: NO_DATA }]);
  const what = `initiating automatic transition out of joint configuration ${describeConfiguration(configuration)}`;
  if (refusal === undefined) core.logger.info(what);
  else core.logger.debug(`not ${what}: raft proposal dropped`);
}

function snapshotStored(core: Core, snapshot: Snapshot): void {
  core.log.unstable.stableSnapshotTo(snapshot.index);
  appliedTo(core, snapshot.index, 0);
}

/** MsgStorageAppendResp of the current term: everything up to (logTerm, index) is stored. */
export function handleAppendStored(core: Core, response: Message): void {
  if (response.index !== 0) core.log.unstable.stableTo({ term: response.logTerm, index: response.index });
  if (response.snapshot !== undefined) snapshotStored(core, response.snapshot);
}

/**
 * The same of an earlier term. The entries may have been replaced since by others with the same index and term that
 * are still being written, so nothing is concluded about them; a snapshot is committed state and stays valid.
 */
export function handleOldAppendStored(core: Core, response: Message): void {
  if (response.index !== 0)
    core.logger.info(
      `${hex(core.id)} [term: ${core.term}] ignored entry appends from a ${response.type} message with lower term [term: ${response.term}]`,
    );
  if (response.snapshot !== undefined) snapshotStored(core, response.snapshot);
}

/** MsgStorageApplyResp: these entries are applied. */
export function handleApplied(core: Core, response: Message): void {
  const last = response.entries.at(-1);
  if (last === undefined) return;
  appliedTo(core, last.index, entriesSize(response.entries));
  core.uncommittedBytes = Math.max(0, core.uncommittedBytes - payloadSize(response.entries));
}
