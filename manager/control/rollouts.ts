/** Steering of updates: what an operator may do to one, and what is written for it. */
import { SwarmError } from '#common/errors.ts';
import type { Random } from '#common/random.ts';
import {
  type Revision,
  RevisionOutcome,
  type Service,
  UpdatePauseReason,
  UpdateState,
  UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
import { asReturn, returnPoint, specReturnedTo, updateContext } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { findService } from './references.ts';
import { sameRevision, updateService } from './services.ts';

/** What a decision needs besides the request. */
export interface RolloutHelp {
  readonly author: string;
  readonly random: Random;
  readonly nowMs: number;
}

/** Nothing more is moved. One that is paused already stays as it is. */
export function pauseRollout(view: StoreView, reference: string, { nowMs }: RolloutHelp): Decision<Service> {
  const service = updatable(view, reference);
  const update = updateContext(service);
  if (update.phase === 'paused') return { result: service, changes: [] };
  if (update.phase === 'idle') throw noUpdate(service, 'pause');
  const before = service.updateStatus;
  const status =
    update.phase === 'due' || before === undefined
      ? UpdateStatus.create({ startedAtMs: nowMs, revision: service.revision, progressAtMs: nowMs })
      : before;
  return withStatus(service, {
    ...status,
    state: update.rollback ? UpdateState.ROLLBACK_PAUSED : UpdateState.PAUSED,
    pauseReason: UpdatePauseReason.USER,
    message: `${update.rollback ? 'rollback' : 'update'} paused on request`,
  });
}

/** Goes on, as if what failed had not: its slots are tried again. */
export function resumeRollout(view: StoreView, reference: string, { nowMs }: RolloutHelp): Decision<Service> {
  const service = updatable(view, reference);
  const update = updateContext(service);
  const status = service.updateStatus;
  if (update.phase === 'active' || update.phase === 'due') return { result: service, changes: [] };
  if (update.phase === 'idle' || status === undefined) throw noUpdate(service, 'resume');
  if (status.pauseReason === UpdatePauseReason.CANARY)
    throw new SwarmError({
      code: 'precondition',
      reason: 'needs-choice',
      message: `the update of service ${nameOf(service)} waits for a word on its canaries`,
      hint: `let the rest follow: swarm service rollout promote ${nameOf(service)}; or go back: swarm service rollout abort ${nameOf(service)}`,
    });
  return withStatus(service, {
    ...status,
    state: update.rollback ? UpdateState.ROLLBACK_STARTED : UpdateState.UPDATING,
    pauseReason: UpdatePauseReason.UNSPECIFIED,
    message: `${update.rollback ? 'rollback' : 'update'} resumed`,
    failedTask: '',
    failedTaskLog: [],
    progressAtMs: nowMs,
    attempt: status.attempt + 1,
  });
}

/** The canaries are well: the rest follows. */
export function promoteRollout(view: StoreView, reference: string): Decision<Service> {
  const service = updatable(view, reference);
  const update = updateContext(service);
  const status = service.updateStatus;
  if (status !== undefined && status.promoted && (update.phase === 'active' || update.phase === 'paused'))
    return { result: service, changes: [] };
  if (!update.tryingCanaries || status === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'no-update',
      message: `no update of service ${nameOf(service)} has canaries that could be promoted`,
      hint: `see where it stands: swarm service rollout status ${nameOf(service)}`,
    });
  if (status.pauseReason !== UpdatePauseReason.CANARY)
    throw new SwarmError({
      code: 'precondition',
      reason: 'needs-choice',
      message: `the canaries of service ${nameOf(service)} have not been watched to the end: ${status.message}`,
      hint:
        update.phase === 'paused'
          ? `go on with them: swarm service rollout resume ${nameOf(service)}`
          : 'wait until the update says that it waits to be promoted',
    });
  return withStatus(service, {
    ...status,
    state: UpdateState.UPDATING,
    pauseReason: UpdatePauseReason.UNSPECIFIED,
    message: 'canaries promoted; update in progress',
    promoted: true,
  });
}

/** Ends the update and goes back to the revision that was well before it. */
export function abortRollout(view: StoreView, reference: string, help: RolloutHelp): Decision<Service> {
  const service = updatable(view, reference);
  const update = updateContext(service);
  if (update.phase === 'idle') throw noUpdate(service, 'abort');
  if (update.rollback)
    throw new SwarmError({
      code: 'precondition',
      reason: 'needs-choice',
      message: `service ${nameOf(service)} is being rolled back, and there is nothing to go back to from that`,
      hint: `pause it (swarm service rollout pause ${nameOf(service)}), or update the service to what it should be`,
    });
  const target = returnPoint(revisionsOf(view, service), service.revision);
  if (target === undefined) throw noTarget(service);
  return goBack(view, service, target, `update aborted; rolling back to revision ${target.number}`, help);
}

/** `number` 0: the last revision before the present one that did not fail and says something else. */
export function rollbackService(
  view: StoreView,
  reference: string,
  number: number,
  help: RolloutHelp,
): Decision<Service> & { readonly warnings: readonly string[] } {
  const service = steerable(view, reference);
  const revisions = revisionsOf(view, service);
  const target = number === 0 ? formerRevision(service, revisions) : revisionNumbered(service, revisions, number);
  const message = `rolling back to revision ${target.number} on request`;
  const decision = goBack(view, service, target, message, help);
  const failed = target.outcome === RevisionOutcome.FAILED;
  return { ...decision, warnings: failed ? [`revision ${target.number} failed when it was rolled out`] : [] };
}

function formerRevision(service: Service, revisions: readonly Revision[]): Revision {
  const found = revisions.findLast(
    ({ number, outcome, spec }) =>
      number < service.revision &&
      outcome !== RevisionOutcome.FAILED &&
      outcome !== RevisionOutcome.ABORTED &&
      spec !== undefined &&
      service.spec !== undefined &&
      !sameRevision(service.spec, specReturnedTo(service.spec, spec)),
  );
  if (found === undefined) throw noTarget(service);
  return found;
}

function revisionNumbered(service: Service, revisions: readonly Revision[], wanted: number): Revision {
  const found = revisions.find(({ number }) => number === wanted);
  if (found !== undefined) return found;
  throw new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    field: 'to',
    message: `service ${nameOf(service)} has no revision ${wanted}: kept are ${revisions.map(({ number }) => number).join(', ')}`,
    hint: `see \`swarm service history ${nameOf(service)}\``,
  });
}

/** Through the same checks as any update: what the revision refers to may be gone. */
function goBack(
  view: StoreView,
  service: Service,
  target: Revision,
  message: string,
  { author, random, nowMs }: RolloutHelp,
): Decision<Service> {
  if (service.spec === undefined || target.spec === undefined) throw noTarget(service);
  const spec = specReturnedTo(service.spec, target.spec);
  const request = { id: service.id, version: service.version, spec };
  const { result, changes } = updateService(view, request, author, random);
  if (result.revision === service.revision)
    throw new SwarmError({
      code: 'precondition',
      reason: 'no-update',
      field: 'to',
      message: `service ${nameOf(service)} is as it was in revision ${target.number} already`,
      hint: `see \`swarm service history ${nameOf(service)}\``,
    });
  return { result, changes: hasUpdates(service) ? asReturn(changes, { service, message, nowMs }) : changes };
}

function withStatus(service: Service, updateStatus: UpdateStatus): Decision<Service> {
  const result = { ...service, updateStatus };
  return { result, changes: [{ kind: 'update', table: 'service', object: result }] };
}

function steerable(view: StoreView, reference: string): Service {
  const service = findService(view, reference);
  if (!service.pendingDelete) return service;
  throw new SwarmError({
    code: 'precondition',
    reason: 'no-update',
    message: `service ${nameOf(service)} is being removed`,
  });
}

/** A job is not updated: each of its runs is of one revision. */
function hasUpdates(service: Service): boolean {
  const kind = service.spec?.mode?.kind;
  return kind === 'replicated' || kind === 'global';
}

function updatable(view: StoreView, reference: string): Service {
  const service = steerable(view, reference);
  if (hasUpdates(service)) return service;
  throw new SwarmError({
    code: 'precondition',
    reason: 'no-update',
    message: `${nameOf(service)} is a job: its next run is of the newest revision, and there is no update to steer`,
    hint: `see its runs: swarm job history ${nameOf(service)}`,
  });
}

function revisionsOf(view: StoreView, service: Service): readonly Revision[] {
  return [...view.revisionsOfService(service.id)].sort((a, b) => a.number - b.number);
}

function nameOf(service: Service): string {
  return service.spec?.name ?? service.id;
}

function noUpdate(service: Service, verb: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'no-update',
    message: `there is no update of service ${nameOf(service)} to ${verb}`,
    hint: `see where it stands: swarm service rollout status ${nameOf(service)}`,
  });
}

function noTarget(service: Service): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'no-revision',
    message: `service ${nameOf(service)} has no earlier revision that was well`,
    hint: `choose one: swarm service history ${nameOf(service)}, then swarm service rollback --to NUMBER ${nameOf(service)}`,
  });
}
