/** What a transaction writes about itself: its events, and the oldest ones out of the table when it is full. */
import { assert } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import type { Change, CommitEvents, Recorder, StoreState } from '#manager/store/index.ts';
import { eventPlace } from './event-id.ts';
import { eventsOf } from './events-of.ts';

/** @param kept how many events the table holds at most */
export function eventRecorder(kept: number = LIMITS.EVENTS_KEPT): Recorder {
  return (commit, author, before) => recorded(commit, author, before, kept);
}

function recorded(commit: CommitEvents, author: string, before: StoreState, kept: number): readonly Change[] {
  const last = before.lastId('event');
  const previousVersion = last === undefined ? 0 : eventPlace(last).version;
  const events = eventsOf({ commit, author, before, previousVersion });
  // Asked last: nearly every transaction is of tasks alone.
  if (events.length === 0 || levelAfter(commit, before) < IDENTITY_LEVEL) return [];
  assert(events.length <= kept, 'one transaction does not fill the table');
  const excess = before.count('event') + events.length - kept;
  const oldest = excess <= 0 ? [] : before.byIdPrefix('event', '', excess);
  return [
    ...oldest.map((object): Change => ({ kind: 'remove', table: 'event', object })),
    ...events.map((object): Change => ({ kind: 'create', table: 'event', object })),
  ];
}

/** What managers of the cluster understand once the transaction is applied: it may be the one that raises it. */
function levelAfter(commit: CommitEvents, before: StoreState): number {
  const change = commit.events.find(({ table }) => table === 'cluster');
  if (change?.table === 'cluster' && change.kind !== 'remove') return change.object.featureLevel;
  return before.cluster()?.featureLevel ?? 0;
}
