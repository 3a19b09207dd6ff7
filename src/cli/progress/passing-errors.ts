import type { SwarmError } from '#common/errors.ts';

/** What may pass by itself while managers come and go. */
const PASSING: ReadonlySet<string> = new Set([
  'no-quorum',
  'not-leader',
  'leadership-lost',
  'timeout',
  'connection-failed',
  'shutting-down',
]);

/** Whether asking again soon may help. */
export function mayPass({ reason }: SwarmError): boolean {
  return PASSING.has(reason);
}
