/**
 * Moves a service from revision to revision: begins updates, keeps as many slots in motion as its rules allow, and ends
 * them: completed, paused or rolled back. All that it knows is in the service, its revisions and its tasks, so that a
 * new leader goes on where the old one was.
 */
import { formatDuration } from '#common/duration.ts';
import {
  type Revision,
  RevisionOutcome,
  type Service,
  UpdatePauseReason,
  UpdateState,
  UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { RevisionBook } from '../revision-book.ts';
import { replicasOf } from '../service-settings.ts';
import type { ServiceState, SlotState } from '../service-state.ts';
import { giveUpOn } from './give-up.ts';
import { returnService, specReturnedTo } from './return-service.ts';
import { type Blame, blameFailure, blameStall } from './update-blame.ts';

/** What the planner asks of the loop that it works for. */
export interface UpdateDesk {
  readonly nowMs: number;
  readonly view: StoreView;
  readonly book: RevisionBook;
  /** Groups of changes that this slice still takes. */
  readonly room: number;
  newId(): string;
  moveSlot(slot: SlotState): void;
  changeSlot(slot: SlotState, changes: readonly Change[]): void;
  changeService(state: ServiceState, changes: readonly Change[]): void;
}

/** Gives the time at which the service is to be looked at again though nothing happens. */
export function planUpdate(state: ServiceState, desk: UpdateDesk): number | undefined {
  switch (state.update.phase) {
    case 'due':
      if (state.service.waitsFor === '') begin(state, desk);
      return undefined;
    case 'active':
      return progress(state, desk);
    case 'idle':
      noteHealth(state, desk);
      return undefined;
    case 'paused':
      return undefined;
  }
}

function begin(state: ServiceState, desk: UpdateDesk): void {
  const updateStatus = UpdateStatus.create({
    state: UpdateState.UPDATING,
    startedAtMs: desk.nowMs,
    message: 'update in progress',
    revision: state.service.revision,
    progressAtMs: desk.nowMs,
  });
  desk.changeService(state, [updateService({ ...state.service, updateStatus })]);
}

function progress(state: ServiceState, desk: UpdateDesk): number | undefined {
  const { counts, update } = state;
  if (!isTolerated(state) && fail(state, desk, UpdatePauseReason.FAILURE, blameFailure(state))) return undefined;
  const stallsAtMs = stallTime(state);
  if (stallsAtMs !== undefined && stallsAtMs <= desk.nowMs) {
    stall(state, desk);
    return undefined;
  }
  if (update.tryingCanaries && counts.moved >= Math.min(update.rules.canaries, counts.occupied)) {
    if (counts.moved > 0) {
      if (counts.watched === 0) judgeCanaries(state, desk);
      return stallsAtMs;
    }
  }
  if (state.outdated.size > 0) moveSlots(state, desk);
  else if (counts.watched === 0) complete(state, desk);
  return stallsAtMs;
}

/** As many as may be in motion; first the canaries, and before the rest the first ones have to prove themselves. */
function moveSlots(state: ServiceState, desk: UpdateDesk): void {
  const { counts, update, outdated } = state;
  const { parallelism, canaries } = update.rules;
  const movedMax = Math.min(
    update.tryingCanaries ? canaries : Number.POSITIVE_INFINITY,
    hasBegunWell(state, desk.book) ? Number.POSITIVE_INFINITY : parallelism,
  );
  const passed: SlotState[] = [];
  for (let begun = 0; counts.busy + begun < parallelism && counts.moved + begun < movedMax && desk.room > 0; ) {
    const slot = outdated.pop();
    if (slot === undefined) break;
    passed.push(slot);
    if (slot.changing) continue;
    desk.moveSlot(slot);
    begun++;
  }
  // They stay outdated until the store says otherwise.
  for (const slot of passed) outdated.push(slot);
}

/**
 * Whether the slots that were moved first are known to be well, so that others may follow while some are watched: what
 * fails soon after its start then fails in them alone.
 */
function hasBegunWell({ id, counts, update }: ServiceState, book: RevisionBook): boolean {
  const { failureAction, parallelism } = update.rules;
  if (counts.watched === 0 || failureAction === 'continue') return true;
  if (update.rollback && book.isKnownHealthy(id, update.target)) return true;
  return counts.proven + counts.failed >= parallelism;
}

/** When the update counts as stalled: no task of it has become healthy for too long, though one should. */
function stallTime(state: ServiceState): number | undefined {
  const { update, waiting } = state;
  if (waiting.size === 0 || update.rules.progressDeadlineMs === Number.POSITIVE_INFINITY) return undefined;
  let sinceMs = Number.POSITIVE_INFINITY;
  for (const { summary } of waiting) sinceMs = Math.min(sinceMs, summary.waitsSinceMs);
  return Math.max(sinceMs, update.progressAtMs, state.lastHealthyAtMs) + update.rules.progressDeadlineMs;
}

function stall(state: ServiceState, desk: UpdateDesk): void {
  const { rules } = state.update;
  const cause = `because no task became healthy within ${formatDuration(rules.progressDeadlineMs * 1e6)}: `;
  const blame = blameStall(state);
  if (fail(state, desk, UpdatePauseReason.STALLED, { ...blame, text: cause + blame.text })) return;
  // Failures are to be passed over, and so are the slots that wait in vain.
  for (const slot of state.waiting) if (!slot.changing && desk.room > 0) desk.changeSlot(slot, giveUpOn(slot));
}

/** Every canary was watched to its end. */
function judgeCanaries(state: ServiceState, desk: UpdateDesk): void {
  const { service, counts, update } = state;
  const status = statusOf(service);
  const canaries = `${counts.moved} of ${counts.occupied} ${counts.occupied === 1 ? 'task' : 'tasks'}`;
  const updateStatus: UpdateStatus =
    update.rules.autoPromote && counts.failed === 0
      ? { ...status, promoted: true, message: `canaries are well (${canaries}); update in progress` }
      : {
          ...status,
          state: UpdateState.PAUSED,
          pauseReason: UpdatePauseReason.CANARY,
          message: `canaries run (${canaries}); waiting to be promoted or aborted`,
        };
  desk.changeService(state, [updateService({ ...service, updateStatus })]);
}

function complete(state: ServiceState, desk: UpdateDesk): void {
  const { service, update } = state;
  const status = statusOf(service);
  const updateStatus: UpdateStatus = {
    ...status,
    state: update.rollback ? UpdateState.ROLLBACK_COMPLETED : UpdateState.COMPLETED,
    completedAtMs: desk.nowMs,
    // Why it was rolled back is of interest afterwards too.
    message: update.rollback ? `rollback completed: ${status.message}` : 'update completed',
  };
  const changes: Change[] = [updateService({ ...service, updateStatus })];
  const outcome = isTolerated(state) ? RevisionOutcome.HEALTHY : RevisionOutcome.FAILED;
  // Where nothing runs, nothing was proven.
  if (outcome === RevisionOutcome.FAILED || state.counts.steady > 0)
    pushOutcome(changes, desk.book.get(service.id, service.revision), outcome);
  desk.changeService(state, changes);
}

function isTolerated({ counts, update }: ServiceState): boolean {
  return counts.failed === 0 || counts.failed / Math.max(counts.occupied, 1) <= update.rules.failureRatioMax;
}

/** Acts on an update that has failed. False when the rules say to go on. */
function fail(state: ServiceState, desk: UpdateDesk, pauseReason: UpdatePauseReason, blame: Blame): boolean {
  const { service, update } = state;
  const action = update.rollback && update.rules.failureAction === 'rollback' ? 'pause' : update.rules.failureAction;
  if (action === 'continue') return false;
  const { task: failedTask, log: failedTaskLog } = blame;
  const target = action === 'rollback' ? desk.book.returnPoint(service.id, service.revision) : undefined;
  const changes: Change[] = [];
  if (target?.spec !== undefined && service.spec !== undefined) {
    const spec = specReturnedTo(service.spec, target.spec);
    const message = `update rolled back to revision ${target.number} ${blame.text}`;
    const next = { id: desk.newId(), spec, createdBy: 'rollback', afterFailure: true };
    const from = { service, message, nowMs: desk.nowMs, failedTask, failedTaskLog };
    changes.push(...returnService(desk.view, next, from));
  } else {
    const kind = update.rollback ? 'rollback' : 'update';
    const note = action === 'rollback' ? '; there is no earlier revision to roll back to' : '';
    const updateStatus: UpdateStatus = {
      ...statusOf(service),
      state: update.rollback ? UpdateState.ROLLBACK_PAUSED : UpdateState.PAUSED,
      message: `${kind} paused ${blame.text}${note}`,
      pauseReason,
      failedTask,
      failedTaskLog,
    };
    changes.push(updateService({ ...service, updateStatus }));
    pushOutcome(changes, desk.book.get(service.id, service.revision), RevisionOutcome.FAILED);
  }
  desk.changeService(state, changes);
  return true;
}

/** Without an update: a revision whose tasks all run and have kept running is healthy. */
function noteHealth(state: ServiceState, desk: UpdateDesk): void {
  const { counts, service } = state;
  const revision = desk.book.get(service.id, service.revision);
  if (revision === undefined || revision.outcome === RevisionOutcome.HEALTHY) return;
  if (revision.outcome === RevisionOutcome.FAILED) return;
  const wanted = Math.max(counts.occupied, replicasOf(service.spec), 1);
  if (counts.steady < wanted || state.outdated.size > 0) return;
  const changes: Change[] = [];
  pushOutcome(changes, revision, RevisionOutcome.HEALTHY);
  desk.changeService(state, changes);
}

function pushOutcome(changes: Change[], revision: Revision | undefined, outcome: RevisionOutcome): void {
  if (revision === undefined || revision.outcome === outcome) return;
  changes.push({ kind: 'update', table: 'revision', object: { ...revision, outcome } });
}

function updateService(service: Service): Change {
  return { kind: 'update', table: 'service', object: service };
}

function statusOf(service: Service): UpdateStatus {
  return service.updateStatus ?? UpdateStatus.create({ revision: service.revision });
}
