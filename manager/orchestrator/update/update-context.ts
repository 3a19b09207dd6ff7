/** Where a service stands between its revisions, read from the service alone. */
import { type Service, type TaskRollout, UpdateState } from '#gen/swarm/v1/objects.ts';
import { type UpdateRules, updateRules } from '../service-settings.ts';

export interface UpdateContext {
  /** The revision that tasks should be of. */
  readonly target: number;
  /**
   * - `due`: the service has moved to a revision for which no update has begun
   * - `active`: slots are being moved to the target
   * - `paused`: the target is suspect, or somebody wants to look at it; nothing is moved
   * - `idle`: no update, or it is over
   */
  readonly phase: 'due' | 'active' | 'paused' | 'idle';
  /** The target is a return to an earlier spec: it is trusted. */
  readonly rollback: boolean;
  /** Names the update; 0 without one. */
  readonly startedAtMs: number;
  /** Failures of another attempt do not count. */
  readonly attempt: number;
  /** From here on its progress deadline runs. */
  readonly progressAtMs: number;
  /** Of the update, or of the rollback. */
  readonly rules: UpdateRules;
  /** Slots are moved to the target by the update only: a task that is restarted for another reason keeps its revision. */
  readonly keepRevision: boolean;
  /** Only canaries are moved; with order start-first they run beside the tasks that they are to replace. */
  readonly tryingCanaries: boolean;
  /** Slots that are new get a task of the revision to return to: the target has yet to prove itself. */
  readonly fillsWithEarlier: boolean;
}

export function updateContext(service: Service): UpdateContext {
  const status = service.updateStatus;
  const state = status?.state ?? UpdateState.UNSPECIFIED;
  // The first revision needs no update, so a service without a status is at it.
  const phase = (status?.revision ?? 1) === service.revision ? phaseOf(state) : 'due';
  const rollback = phase !== 'due' && isRollback(state);
  const rules = updateRules(service.spec, rollback ? 'rollback' : 'update');
  const begun = phase === 'active' || phase === 'paused';
  const tryingCanaries = begun && rules.canaries > 0 && status?.promoted !== true;
  return {
    target: service.revision,
    phase,
    rollback,
    startedAtMs: status?.startedAtMs ?? 0,
    attempt: status?.attempt ?? 0,
    progressAtMs: status?.progressAtMs ?? 0,
    rules,
    keepRevision: phase === 'due' || phase === 'paused' || (phase === 'active' && !rollback),
    tryingCanaries,
    fillsWithEarlier: !rollback && (phase === 'paused' || tryingCanaries),
  };
}

export function isRollback(state: UpdateState): boolean {
  return (
    state === UpdateState.ROLLBACK_STARTED ||
    state === UpdateState.ROLLBACK_PAUSED ||
    state === UpdateState.ROLLBACK_COMPLETED
  );
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

/** Whether this update moved the slot to the target. */
export function isBroughtBy(rollout: TaskRollout | undefined, update: UpdateContext): boolean {
  return rollout !== undefined && rollout.updateStartedAtMs === update.startedAtMs;
}

/** The failure of the slot that this attempt of the update counts; empty when there is none. */
export function countedFailure(rollout: TaskRollout | undefined, update: UpdateContext): string {
  if (rollout === undefined || !isBroughtBy(rollout, update)) return '';
  return rollout.attempt === update.attempt ? rollout.failedTask : '';
}

/** Whether the two differ in nothing that slots are judged by; a change of scale alone does not. */
export function sameForSlots(a: Service, b: Service): boolean {
  if (a.revision !== b.revision || a.pendingDelete !== b.pendingDelete) return false;
  if ((a.waitsFor === '') !== (b.waitsFor === '')) return false;
  const [before, after] = [updateContext(a), updateContext(b)];
  return (
    before.phase === after.phase &&
    before.rollback === after.rollback &&
    before.startedAtMs === after.startedAtMs &&
    before.attempt === after.attempt &&
    before.tryingCanaries === after.tryingCanaries &&
    sameRules(before.rules, after.rules)
  );
}

function sameRules(a: UpdateRules, b: UpdateRules): boolean {
  return a.delayMs === b.delayMs && a.monitorMs === b.monitorMs && a.startFirst === b.startFirst;
}
