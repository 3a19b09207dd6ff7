/** A new revision of a service, from whomever it comes. Pure. */
import { Revision, RevisionOutcome, type Service } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { waitsFor } from './dependencies/dependency-gate.ts';
import { activeRun } from './jobs/job-runs.ts';
import { superfluousRevisions } from './update/kept-revisions.ts';
import { updateContext } from './update/update-context.ts';

export interface NewRevision {
  readonly id: string;
  readonly spec: ServiceSpec;
  /** Who asked for it. */
  readonly createdBy: string;
  /** The revision that it takes the place of has failed. */
  readonly afterFailure?: boolean;
  /** The update begins when what the service depends on is as it has to be. */
  readonly behindDependencies?: boolean;
}

/** The revision with the number that the service says. */
export function revisionOf(service: Service, { id, spec, createdBy }: NewRevision): Revision {
  const { id: serviceId, revision: number } = service;
  return Revision.create({ id, serviceId, number, spec, createdBy, outcome: RevisionOutcome.UNKNOWN });
}

/**
 * The service with its next revision, from which an update begins. The oldest revisions go; one whose update is not done
 * yet will never be known to be well.
 */
export function reviseService(
  view: StoreView,
  current: Service,
  next: NewRevision,
): { readonly service: Service; readonly changes: readonly Change[] } {
  const revised = { ...current, spec: next.spec, revision: current.revision + 1, updateStatus: undefined };
  const service = next.behindDependencies === true ? { ...revised, waitsFor: waitsFor(view, revised) } : revised;
  const changes: Change[] = [
    { kind: 'update', table: 'service', object: service },
    { kind: 'create', table: 'revision', object: revisionOf(service, next) },
  ];
  const revisions = [...view.revisionsOfService(service.id)].sort((a, b) => a.number - b.number);
  const inUse = new Set<number>();
  for (const task of view.tasksOfService(service.id)) inUse.add(task.revision);
  const run = current.job === undefined ? undefined : activeRun(current.job);
  if (run !== undefined) inUse.add(run.revision);
  for (const revision of superfluousRevisions(revisions, inUse))
    changes.push({ kind: 'remove', table: 'revision', object: revision });
  const left = revisions.find(({ number }) => number === current.revision);
  if (left !== undefined) {
    const outcome = finalOutcome(current, left, next.afterFailure === true);
    if (outcome !== left.outcome) changes.push({ kind: 'update', table: 'revision', object: { ...left, outcome } });
  }
  return { service, changes };
}

/** Of a revision that is left. Jobs know no updates: each of their revisions runs as it is. */
function finalOutcome(service: Service, { outcome }: Revision, hasFailed: boolean): RevisionOutcome {
  if (hasFailed) return RevisionOutcome.FAILED;
  const kind = service.spec?.mode?.kind;
  const isUpdated = (kind === 'replicated' || kind === 'global') && updateContext(service).phase !== 'idle';
  return isUpdated && outcome === RevisionOutcome.UNKNOWN ? RevisionOutcome.ABORTED : outcome;
}
