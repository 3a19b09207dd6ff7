import { RaftError } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import { incomplete } from './recovery.ts';

/** What stopped the log, as an error that says what to do. */
export function engineError(thrown: unknown, directory: string): SwarmError {
  // The node contradicts itself, or the leader knows of entries that this member acknowledged and does not have.
  if (thrown instanceof RaftError)
    return incomplete(directory, `the log contradicts the other managers' (${thrown.message})`);
  return SwarmError.from(thrown);
}
