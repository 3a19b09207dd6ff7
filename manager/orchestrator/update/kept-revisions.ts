/** Which revisions are worth keeping, and to which one a service goes back. */
import { LIMITS } from '#common/limits.ts';
import { type Revision, RevisionOutcome } from '#gen/swarm/v1/objects.ts';

/**
 * The revision to return to from the given one: the last before it that was found healthy, or at least was neither
 * found failing nor given up. `revisions` are sorted by number.
 */
export function returnPoint(revisions: readonly Revision[], from: number): Revision | undefined {
  const earlier = revisions.filter(({ number, spec }) => number < from && spec !== undefined);
  return (
    earlier.findLast(({ outcome }) => outcome === RevisionOutcome.HEALTHY) ??
    earlier.findLast(({ outcome }) => outcome !== RevisionOutcome.FAILED && outcome !== RevisionOutcome.ABORTED)
  );
}

/**
 * What goes when one more revision comes: the oldest beyond the number kept, but none that tasks run, that was healthy
 * last, or that a rollback would lead to. `revisions` are sorted by number.
 */
export function superfluousRevisions(revisions: readonly Revision[], inUse: ReadonlySet<number>): readonly Revision[] {
  const excess = revisions.length + 1 - LIMITS.REVISIONS_KEPT;
  if (excess <= 0) return [];
  const newest = revisions.at(-1)?.number ?? 0;
  const kept = new Set([...inUse, newest]);
  // The one that comes may fail, and so may the newest.
  for (const from of [newest, newest + 1]) kept.add(returnPoint(revisions, from)?.number ?? newest);
  return revisions.filter(({ number }) => !kept.has(number)).slice(0, excess);
}
