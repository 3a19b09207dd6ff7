/** Whether what a service depends on is as it has to be. A function of the store. */
import { JobRunState, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { DependencyCondition, type ServiceDependency } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { lastRun } from '../jobs/job-runs.ts';
import { isJob } from '../jobs/job-settings.ts';
import { replicasOf } from '../service-settings.ts';
import { isLost, isWanted, stateOf } from '../task-facts.ts';
import { updateContext } from '../update/update-context.ts';

/** What the service waits for, in words that end "waits for ..."; empty when nothing. */
export function waitsFor(view: StoreView, service: Service): string {
  for (const dependency of service.spec?.dependsOn ?? []) {
    const reason = unmet(view, dependency);
    if (reason !== '') return reason;
  }
  return '';
}

function unmet(view: StoreView, { service: id, condition, optional }: ServiceDependency): string {
  const service = view.get('service', id);
  if (service === undefined) return optional ? '' : `service ${id}, which is not there any more`;
  const name = service.spec?.name ?? id;
  if (service.pendingDelete) return optional ? '' : `${name}, which is being removed`;
  const wanted = `${name} ${WORDS[condition]}`;
  if (service.waitsFor !== '') return `${wanted} (it waits for ${service.waitsFor})`;
  if (isJob(service.spec)) return isJobMet(service, condition) ? '' : wanted;
  if (condition === DependencyCondition.COMPLETED) return hasCompleted(view, service) ? '' : wanted;
  switch (updateContext(service).phase) {
    case 'due':
    case 'active':
      return `${wanted}: its update goes on`;
    case 'paused':
      return `${wanted}: its update is paused`;
    case 'idle':
      break;
  }
  const needsReadiness = condition === DependencyCondition.HEALTHY;
  return runAll(view, service, needsReadiness) ? '' : wanted;
}

const WORDS: Readonly<Record<DependencyCondition, string>> = {
  [DependencyCondition.UNSPECIFIED]: 'to run',
  [DependencyCondition.STARTED]: 'to run',
  [DependencyCondition.HEALTHY]: 'to be healthy',
  [DependencyCondition.COMPLETED]: 'to complete',
};

/** A job has started with its run. It is never more healthy than that. */
function isJobMet({ job, revision, spec }: Service, condition: DependencyCondition): boolean {
  const last = job === undefined ? undefined : lastRun(job);
  if (last === undefined) return false;
  // A job of the clock runs when its time has come, so its last run counts whatever it was declared to be then.
  if (last.revision !== revision && spec?.job?.schedule === undefined) return false;
  if (condition === DependencyCondition.COMPLETED) return last.state === JobRunState.COMPLETED;
  return true;
}

/** Every task that is declared has done its work, and nothing takes its place. */
function hasCompleted(view: StoreView, service: Service): boolean {
  const done = new Set<number | string>();
  for (const task of view.tasksOfService(service.id))
    if (task.revision === service.revision && stateOf(task) === TaskState.COMPLETE)
      done.add(task.slot === 0 ? task.nodeId : task.slot);
  if (service.spec?.mode?.kind === 'replicated') return done.size >= replicasOf(service.spec);
  return done.size > 0 && countWanted(view, service, () => true).wanted === 0;
}

function runAll(view: StoreView, service: Service, needsReadiness: boolean): boolean {
  const { wanted, met } = countWanted(
    view,
    service,
    (task) => stateOf(task) === TaskState.RUNNING && (!needsReadiness || task.status?.health?.ready !== false),
  );
  if (service.spec?.mode?.kind === 'replicated') return met >= replicasOf(service.spec);
  return wanted > 0 && met === wanted;
}

/** Tasks that are to run, where nobody has lost sight of them, and how many of them are as they should be. */
function countWanted(
  view: StoreView,
  service: Service,
  isMet: (task: Task) => boolean,
): { readonly wanted: number; readonly met: number } {
  let wanted = 0;
  let met = 0;
  for (const task of view.tasksOfService(service.id)) {
    if (!isWanted(task) || (task.nodeId !== '' && isLost(view.get('node', task.nodeId)))) continue;
    wanted++;
    if (isMet(task)) met++;
  }
  return { wanted, met };
}
