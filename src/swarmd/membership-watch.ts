/** Tells when nodes and clients may have lost their place in the swarm: streams outlive what they were opened with. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { removedNodeIds } from '#manager/membership/index.ts';
import type { StoreEvent } from '#manager/store/index.ts';
import type { ManagerRole } from './manager-role.ts';

/** Changes within this time are told together. Who was removed may go on for so long. */
const GATHER_MS = 200;

const NOBODY: ReadonlySet<string> = new Set();

/** Ids of nodes and of clients. */
type Review = (isConcerned: (id: string) => boolean) => void;

/**
 * Has the nodes and clients reviewed that were demoted, removed or revoked since, and all of them now, when the state is
 * replaced and when this manager begins to lead: what is open may be older than what is known. Returns how to end it.
 */
export function watchMemberships(role: Pick<ManagerRole, 'store' | 'log'>, clock: Clock, review: Review): () => void {
  let ids = new Set<string>();
  let all = false;
  let cancel: CancelTimer | undefined;
  const soon = (): void => {
    cancel ??= clock.setTimer(GATHER_MS, () => {
      const concerned = ids;
      const everybody = all;
      cancel = undefined;
      ids = new Set();
      all = false;
      review((id) => everybody || concerned.has(id));
    });
  };
  const allSoon = (): void => {
    all = true;
    soon();
  };
  const unsubscribe = [
    role.store.onCommit(({ events }) => {
      for (const event of events) {
        for (const id of losers(event)) ids.add(id);
        all ||= isOfOtherRoot(event);
      }
      if (all || ids.size > 0) soon();
    }),
    role.store.onReplaced(allSoon),
    role.log.onLeadership(({ state }) => {
      if (state === 'leader') allSoon();
    }),
  ];
  allSoon();
  return () => {
    cancel?.();
    for (const stop of unsubscribe) stop();
  };
}

/** Whether certificates that were good before are not any more, whoever has them. */
function isOfOtherRoot(event: StoreEvent): boolean {
  if (event.table !== 'cluster') return false;
  const before = event.old?.rootCa;
  const after = event.object.rootCa;
  return before !== after && before?.digest !== after?.digest;
}

/** Nodes and clients that the event takes something from. Called for every event. */
function losers(event: StoreEvent): readonly string[] {
  if (event.table === 'node') {
    if (event.kind === 'remove') return [event.object.id];
    const isDemoted = event.old?.role === NodeRole.MANAGER && event.object.role !== NodeRole.MANAGER;
    const isAnother = (event.old?.certificatesFromMs ?? 0) !== event.object.certificatesFromMs;
    return isDemoted || isAnother ? [event.object.id] : [];
  }
  if (event.table === 'client') return event.kind === 'create' ? [] : [event.object.id];
  if (event.table !== 'cluster' || event.old?.removedNodes === event.object.removedNodes) return [];
  const before = event.old === undefined ? NOBODY : removedNodeIds(event.old);
  return [...removedNodeIds(event.object)].filter((nodeId) => !before.has(nodeId));
}
