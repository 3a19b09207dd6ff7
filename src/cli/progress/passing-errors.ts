/** What may pass by itself: who asks again, for how long and after what, differs. */
import type { SwarmError } from '#common/errors.ts';

/** The call had no effect, or nobody knows: another manager takes it, or this one does in a moment. */
const CHANGE_OF_MANAGERS = ['not-leader', 'leadership-lost', 'timeout', 'connection-failed', 'shutting-down'] as const;

const WHILE_MANAGERS_CHANGE: ReadonlySet<string> = new Set(CHANGE_OF_MANAGERS);
const WHILE_WAITING: ReadonlySet<string> = new Set([...CHANGE_OF_MANAGERS, 'no-quorum']);
const WHILE_FOLLOWING: ReadonlySet<string> = new Set(['unavailable', 'deadline', 'cancelled', 'exhausted']);

/** Whether the same call may be made again at once. That there is no quorum is told instead: it may last. */
export function mayBeMadeAgain({ reason }: SwarmError): boolean {
  return WHILE_MANAGERS_CHANGE.has(reason);
}

/** Whether asking again soon may help who waits for managers to do something. The daemon that is asked is there. */
export function mayPass({ reason }: SwarmError): boolean {
  return WHILE_WAITING.has(reason);
}

/** Whether who has begun to follow something may go on later: also once the daemon is back, or the reader begins again. */
export function mayBeFollowedOn({ code }: SwarmError): boolean {
  return WHILE_FOLLOWING.has(code);
}
