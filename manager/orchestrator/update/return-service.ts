/** What is written to go back to an earlier revision. */
import { type Service, UpdateState, UpdateStatus } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { reviseService } from '../revise-service.ts';

/** The earlier spec with what is no part of revisions as it is now: the scale, labels, and how updates are made. */
export function specReturnedTo(present: ServiceSpec, earlier: ServiceSpec): ServiceSpec {
  const { mode, labels, update, rollback } = present;
  return { ...earlier, mode, labels, update, rollback };
}

export interface Return {
  readonly service: Service;
  /** The whole spec to return to. */
  readonly spec: ServiceSpec;
  readonly message: string;
  readonly author: string;
  readonly revisionId: string;
  readonly nowMs: number;
  /** Carried on from the update that failed, if one did. */
  readonly failedTask?: string;
  readonly failedTaskLog?: readonly string[];
}

/** A return is a revision of its own, whose update is a rollback from its beginning. */
export function returnService(view: StoreView, from: Return): readonly Change[] {
  const { service: before, spec, nowMs, revisionId: id, author: createdBy } = from;
  const updateStatus = UpdateStatus.create({
    state: UpdateState.ROLLBACK_STARTED,
    // It names the rollback: never that of the update before it.
    startedAtMs: Math.max(nowMs, (before.updateStatus?.startedAtMs ?? 0) + 1),
    message: from.message,
    revision: before.revision + 1,
    progressAtMs: nowMs,
    failedTask: from.failedTask ?? '',
    failedTaskLog: from.failedTaskLog ?? [],
  });
  const { service, changes } = reviseService(view, before, { id, spec, createdBy });
  return changes.map((change) =>
    change.table === 'service' ? { ...change, object: { ...service, updateStatus } } : change,
  );
}
