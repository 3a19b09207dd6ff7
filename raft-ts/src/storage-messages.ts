/** Asynchronous storage writes: a Ready's work as messages to the two local threads. */
import type { Core } from './core.ts';
import { type Message, message } from './message.ts';
import type { Ready } from './ready.ts';
import { APPEND_THREAD, APPLY_THREAD, type Entry, type Snapshot } from './types.ts';

type Work = Pick<Ready, 'hardState' | 'entries' | 'snapshot'>;

/** Whether something is to be stored, or some message waits for earlier writes. */
export function needsAppendMessage(core: Core, work: Work): boolean {
  return (
    work.entries.length > 0 ||
    work.hardState !== undefined ||
    work.snapshot !== undefined ||
    core.messagesAfterAppend.length > 0
  );
}

/** Whether the core has to hear that the work is stored. */
export function needsAppendResponse(core: Core, work: Work): boolean {
  return core.log.unstable.entries.length > 0 || work.snapshot !== undefined;
}

/**
 * Store this; then deliver the responses. The node's own acknowledgement comes before the report that the entries are
 * stored, while their terms can still be looked up in memory.
 */
export function appendMessage(core: Core, work: Work): Message {
  const { hardState, entries, snapshot } = work;
  const responses = needsAppendResponse(core, work)
    ? [...core.messagesAfterAppend, appendResponse(core, snapshot)]
    : core.messagesAfterAppend;
  // Without a change of the hard state its fields stay zero, which says that there is none to store.
  return message({
    type: 'MsgStorageAppend',
    to: APPEND_THREAD,
    from: core.id,
    term: hardState?.term ?? 0,
    vote: hardState?.vote ?? 0,
    commit: hardState?.commit ?? 0,
    entries,
    snapshot,
    responses,
  });
}

/**
 * Says that everything handed out so far is stored, named by the last entry of the log.
 *
 * The entry alone would not be proof. Entries A may be handed out, replaced by B, and replaced by A again; when the
 * first write of A is reported, the write of B is still to come and will overwrite it in the storage for a moment. So
 * the report carries the term at which it was made and is void at any other: every replacement comes with a later
 * term. And since a void report must not leave entries unstable for ever, one is attached to every write while there
 * are unstable entries, not only to those that contain some: each new term brings such a write.
 */
export function appendResponse(core: Core, snapshot: Snapshot | undefined): Message {
  const unstable = core.log.unstable.entries.length > 0;
  const last = unstable ? core.log.lastEntryId() : { term: 0, index: 0 };
  return message({
    type: 'MsgStorageAppendResp',
    to: core.id,
    from: APPEND_THREAD,
    term: core.term,
    logTerm: last.term,
    index: last.index,
    snapshot,
  });
}

/** Apply this; then deliver the response. Belongs to no term: what is committed stays so. */
export function applyMessage(core: Core, entries: readonly Entry[]): Message {
  return message({
    type: 'MsgStorageApply',
    to: APPLY_THREAD,
    from: core.id,
    entries,
    responses: [applyResponse(core, entries)],
  });
}

export function applyResponse(core: Core, entries: readonly Entry[]): Message {
  return message({ type: 'MsgStorageApplyResp', to: core.id, from: APPLY_THREAD, entries });
}
