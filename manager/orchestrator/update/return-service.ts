/** What is written to go back to an earlier revision. */
import { type Service, UpdateState, UpdateStatus } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { type NewRevision, reviseService } from '../revise-service.ts';

/** The earlier spec with what is no part of revisions as it is now: the scale, labels, and how updates are made. */
export function specReturnedTo(present: ServiceSpec, earlier: ServiceSpec): ServiceSpec {
  const { mode, labels, update, rollback } = present;
  return { ...earlier, mode, labels, update, rollback };
}

export interface Return {
  /** As it is before. */
  readonly service: Service;
  readonly message: string;
  readonly nowMs: number;
  /** Carried on from the update that failed, if one did. */
  readonly failedTask?: string;
  readonly failedTaskLog?: readonly string[];
}

/** Makes of a new revision a rollback: the changes are those that make the revision, of `reviseService`. */
export function asReturn(
  changes: readonly Change[],
  { service, message, nowMs, ...failed }: Return,
): readonly Change[] {
  const updateStatus = UpdateStatus.create({
    ...failed,
    state: UpdateState.ROLLBACK_STARTED,
    // It names the rollback: never that of the update before it.
    startedAtMs: Math.max(nowMs, (service.updateStatus?.startedAtMs ?? 0) + 1),
    message,
    revision: service.revision + 1,
    progressAtMs: nowMs,
  });
  return changes.map((change) =>
    change.kind === 'update' && change.table === 'service' && change.object.id === service.id
      ? { ...change, object: { ...change.object, updateStatus } }
      : change,
  );
}

/** A return is a revision of its own, whose update is a rollback from its beginning. */
export function returnService(view: StoreView, next: NewRevision, from: Return): readonly Change[] {
  return asReturn(reviseService(view, from.service, next).changes, from);
}
