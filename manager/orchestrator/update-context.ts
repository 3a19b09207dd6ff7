/** Where a service stands between its revisions, read from the service alone. */
import { type Service, UpdateState } from '#gen/swarm/v1/objects.ts';
import { type UpdateRules, updateRules } from './service-settings.ts';

export interface UpdateContext {
  /** The revision that tasks should be of. */
  readonly target: number;
  /**
   * - `due`: the service has moved to a revision for which no update has begun
   * - `active`: slots are being moved to the target
   * - `paused`: the target is suspect; nothing is moved
   * - `idle`: no update, or it is over
   */
  readonly phase: 'due' | 'active' | 'paused' | 'idle';
  /** The target is a return to an earlier spec: it is trusted. */
  readonly rollback: boolean;
  /** Names the update; 0 without one. */
  readonly startedAtMs: number;
  /** Of the update, or of the rollback. */
  readonly rules: UpdateRules;
  /** Slots are moved to the target by the update only: a task that is restarted for another reason keeps its revision. */
  readonly keepRevision: boolean;
}

export function updateContext(service: Service): UpdateContext {
  const status = service.updateStatus;
  const state = status?.state ?? UpdateState.UNSPECIFIED;
  const rollback =
    state === UpdateState.ROLLBACK_STARTED ||
    state === UpdateState.ROLLBACK_PAUSED ||
    state === UpdateState.ROLLBACK_COMPLETED;
  // The first revision needs no update, so a service without a status is at it.
  const phase = (status?.revision ?? 1) === service.revision ? phaseOf(state) : 'due';
  return {
    target: service.revision,
    phase,
    rollback,
    startedAtMs: status?.startedAtMs ?? 0,
    rules: updateRules(rollback ? service.spec?.rollback : service.spec?.update),
    keepRevision: phase === 'due' || phase === 'paused' || (phase === 'active' && !rollback),
  };
}

function phaseOf(state: UpdateState): UpdateContext['phase'] {
  switch (state) {
    case UpdateState.UPDATING:
    case UpdateState.ROLLBACK_STARTED:
      return 'active';
    case UpdateState.PAUSED:
    case UpdateState.ROLLBACK_PAUSED:
      return 'paused';
    case UpdateState.COMPLETED:
    case UpdateState.ROLLBACK_COMPLETED:
    case UpdateState.UNSPECIFIED:
      return 'idle';
  }
}

/** Whether the two differ in nothing that slots are judged by; a change of scale alone does not. */
export function sameForSlots(a: Service, b: Service): boolean {
  return (
    a.revision === b.revision &&
    a.pendingDelete === b.pendingDelete &&
    a.updateStatus?.state === b.updateStatus?.state &&
    a.updateStatus?.startedAtMs === b.updateStatus?.startedAtMs &&
    a.updateStatus?.revision === b.updateStatus?.revision &&
    sameRules(updateRules(a.spec?.update), updateRules(b.spec?.update)) &&
    sameRules(updateRules(a.spec?.rollback), updateRules(b.spec?.rollback))
  );
}

function sameRules(a: UpdateRules, b: UpdateRules): boolean {
  return a.delayMs === b.delayMs && a.monitorMs === b.monitorMs && a.startFirst === b.startFirst;
}
