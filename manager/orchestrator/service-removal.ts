import type { Service } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup } from '#manager/store/index.ts';
import type { RevisionBook } from './revision-book.ts';

/** Revisions removed together with their service at most; more go before it. */
const REVISIONS_PER_GROUP = 100;

/** The next step in removing a service that has no task left. */
export function removeService(service: Service, book: RevisionBook): ChangeGroup {
  const revisions = book.ofService(service.id);
  const removed = revisions
    .slice(0, REVISIONS_PER_GROUP)
    .map((revision) => ({ kind: 'remove', table: 'revision', object: revision }) as const);
  if (revisions.length > REVISIONS_PER_GROUP) return removed;
  return [...removed, { kind: 'remove', table: 'service', object: service }];
}
