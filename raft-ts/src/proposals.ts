/** What a leader is asked to put into the log. */
import { decodeConfChange } from './conf-change-codec.ts';
import type { Core } from './core.ts';
import type { Refusal } from './errors.ts';
import { hex } from './logger.ts';
import { acceptConfChange } from './membership.ts';
import { appendEntries, broadcastAppend } from './replication.ts';
import { type Entry, NO_DATA, NONE } from './types.ts';

type Proposed = Pick<Entry, 'type' | 'data'>;

/** A leader takes proposals, or refuses all of them. A configuration change that may not be made becomes empty. */
export function proposeAsLeader(core: Core, proposed: readonly Proposed[]): Refusal | undefined {
  if (proposed.length === 0) return 'proposalDropped';
  // Removed while leading: nothing new may start here.
  if (core.tracker.get(core.id) === undefined) return 'proposalDropped';
  if (core.leadTransferee !== NONE) {
    core.logger.debug(
      `${core.name} [term ${core.term}] transfer leadership to ${hex(core.leadTransferee)} is in progress; dropping proposal`,
    );
    return 'proposalDropped';
  }
  const accepted: Proposed[] = [];
  for (const [at, entry] of proposed.entries()) {
    if (entry.type === 'EntryNormal') {
      accepted.push(entry);
      continue;
    }
    const change = decodeConfChange(entry);
    if (change === undefined) return 'proposalDropped';
    const taken = acceptConfChange(core, change, core.log.lastIndex() + at + 1);
    accepted.push(taken ? entry : { type: 'EntryNormal', data: NO_DATA });
  }
  if (!appendEntries(core, accepted)) return 'proposalDropped';
  broadcastAppend(core);
  return undefined;
}
