/**
 * Moves a service from revision to revision: begins updates, keeps as many slots in motion as its rules allow, and ends
 * them: completed, paused or rolled back. All that it knows is in the service, its revisions and its tasks, so that a
 * new leader goes on where the old one was.
 */
import { type Revision, RevisionOutcome, type Service, UpdateState, UpdateStatus } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Change } from '#manager/store/index.ts';
import { describeEnd } from './restart-policy.ts';
import type { RevisionBook } from './revision-book.ts';
import { replicasOf } from './service-settings.ts';
import { compareKeys, type ServiceState, type SlotState } from './service-state.ts';

/** What the planner asks of the loop that it works for. */
export interface UpdateDesk {
  readonly nowMs: number;
  readonly book: RevisionBook;
  /** Groups of changes that this slice still takes. */
  readonly room: number;
  newId(): string;
  moveSlot(slot: SlotState): void;
  changeService(state: ServiceState, changes: readonly Change[]): void;
}

export function planUpdate(state: ServiceState, desk: UpdateDesk): void {
  switch (state.update.phase) {
    case 'due':
      begin(state, desk);
      break;
    case 'active':
      progress(state, desk);
      break;
    case 'idle':
      noteHealth(state, desk);
      break;
    case 'paused':
      break;
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

function progress(state: ServiceState, desk: UpdateDesk): void {
  const { counts, update, outdated } = state;
  const total = Math.max(counts.occupied, 1);
  if (counts.failed > 0 && counts.failed / total > update.rules.failureRatioMax && fail(state, desk)) return;
  if (outdated.size === 0) {
    if (counts.watched === 0) complete(state, desk);
    return;
  }
  const passed: SlotState[] = [];
  for (let moving = counts.busy; moving < update.rules.parallelism && desk.room > 0; ) {
    const slot = outdated.pop();
    if (slot === undefined) break;
    passed.push(slot);
    if (slot.changing) continue;
    desk.moveSlot(slot);
    moving++;
  }
  // They stay outdated until the store says otherwise.
  for (const slot of passed) outdated.push(slot);
}

function complete(state: ServiceState, desk: UpdateDesk): void {
  const { service, update } = state;
  const updateStatus: UpdateStatus = {
    ...statusOf(service),
    state: update.rollback ? UpdateState.ROLLBACK_COMPLETED : UpdateState.COMPLETED,
    completedAtMs: desk.nowMs,
    message: update.rollback ? 'rollback completed' : 'update completed',
  };
  const changes: Change[] = [updateService({ ...service, updateStatus })];
  const tolerated = state.counts.failed / Math.max(state.counts.occupied, 1) <= update.rules.failureRatioMax;
  const outcome = tolerated ? RevisionOutcome.HEALTHY : RevisionOutcome.FAILED;
  // Where nothing runs, nothing was proven.
  if (!tolerated || state.counts.steady > 0) pushOutcome(changes, desk.book.get(service.id, service.revision), outcome);
  desk.changeService(state, changes);
}

/** Acts on too many failures. False when the rules say to go on. */
function fail(state: ServiceState, desk: UpdateDesk): boolean {
  const { service, update } = state;
  const action = update.rollback && update.rules.failureAction === 'rollback' ? 'pause' : update.rules.failureAction;
  if (action === 'continue') return false;
  const cause = `due to failure or early termination of task ${describeFailure(state)}`;
  const target = action === 'rollback' ? rollbackTarget(service, desk.book) : undefined;
  const changes: Change[] = [];
  if (target?.spec !== undefined) {
    rollBack(changes, service, target.spec, target.number, cause, desk);
  } else {
    const kind = update.rollback ? 'rollback' : 'update';
    const note = action === 'rollback' ? '; there is no earlier revision to roll back to' : '';
    const updateStatus: UpdateStatus = {
      ...statusOf(service),
      state: update.rollback ? UpdateState.ROLLBACK_PAUSED : UpdateState.PAUSED,
      message: `${kind} paused ${cause}${note}`,
    };
    changes.push(updateService({ ...service, updateStatus }));
  }
  pushOutcome(changes, desk.book.get(service.id, service.revision), RevisionOutcome.FAILED);
  desk.changeService(state, changes);
  return true;
}

/** A rollback is a revision of its own, with the spec of the old one but for what is no part of revisions. */
function rollBack(
  changes: Change[],
  service: Service,
  earlier: ServiceSpec,
  earlierNumber: number,
  cause: string,
  desk: UpdateDesk,
): void {
  const { mode, labels, update, rollback } = service.spec ?? earlier;
  const spec: ServiceSpec = { ...earlier, mode, labels, update, rollback };
  const number = service.revision + 1;
  const updateStatus = UpdateStatus.create({
    state: UpdateState.ROLLBACK_STARTED,
    startedAtMs: desk.nowMs,
    message: `update rolled back to revision ${earlierNumber} ${cause}`,
    revision: number,
    progressAtMs: desk.nowMs,
  });
  changes.push(updateService({ ...service, spec, revision: number, updateStatus }));
  const revision: Revision = {
    id: desk.newId(),
    version: 0,
    createdAtMs: 0,
    updatedAtMs: 0,
    serviceId: service.id,
    number,
    spec,
    createdBy: 'rollback',
    outcome: RevisionOutcome.UNKNOWN,
  };
  changes.push({ kind: 'create', table: 'revision', object: revision });
}

/** The last revision before this one that was found healthy, or at least not found failing. */
function rollbackTarget(service: Service, book: RevisionBook): Revision | undefined {
  const earlier = book.ofService(service.id).filter((revision) => revision.number < service.revision);
  return (
    earlier.findLast((revision) => revision.outcome === RevisionOutcome.HEALTHY) ??
    earlier.findLast((revision) => revision.outcome !== RevisionOutcome.FAILED)
  );
}

/** The failed task of the first slot that has one, and why it failed while it is still known. */
function describeFailure(state: ServiceState): string {
  let first: SlotState | undefined;
  for (const slot of state.slots.values()) {
    if (slot.summary.failedTask === '' || slot.summary.suspended) continue;
    if (first === undefined || compareKeys(slot.key, first.key) < 0) first = slot;
  }
  if (first === undefined) return '';
  const id = first.summary.failedTask;
  const task = first.tasks.find((one) => one.id === id);
  return task === undefined ? id : `${id}: ${describeEnd(task)}`;
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
