/** What may happen to services: every operation reads a view, decides, and asks for one transaction. */
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type { ServiceTaskCounts } from '#gen/swarm/v1/control.ts';
import { NodeState, Service, TaskState } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { isCrashLooping, isHealthy, isJob, reviseService, revisionOf, waitsFor } from '#manager/orchestrator/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { underPolicy } from './cluster-policy.ts';
import type { Decision } from './decision.ts';
import { checkStopAfterDisconnect } from './disconnect-periods.ts';
import { checkServiceFeatures } from './feature-gates.ts';
import { countJobTasks } from './jobs.ts';
import { resolvedAffinities } from './service-affinities.ts';
import { resolvedDependencies } from './service-dependencies.ts';
import { validatedNetworksOf } from './service-networks.ts';
import { resolvedPayloads } from './service-payloads.ts';
import { validateService } from './validate-service.ts';

export function createService(
  view: StoreView,
  declared: ServiceSpec,
  author: string,
  random: Random,
): Decision<Service> {
  validateService(declared);
  checkStopAfterDisconnect(view, declared);
  checkServiceFeatures(view, declared);
  const id = newId(random);
  const resolved = resolvedPayloads(view, validatedNetworksOf(view, declared, ''));
  const near = resolvedAffinities(view, resolvedDependencies(view, resolved, ''), id);
  const spec = underPolicy(view, near);
  refuseTakenName(view, spec.name);
  if (view.count('service') >= LIMITS.SERVICES_PER_CLUSTER)
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'SERVICES_PER_CLUSTER',
      message: `the swarm has ${LIMITS.SERVICES_PER_CLUSTER} services, the limit (SERVICES_PER_CLUSTER)`,
      hint: 'remove services that are not needed',
    });
  const declaredService = Service.create({ id, spec, revision: 1 });
  const service = { ...declaredService, waitsFor: waitsFor(view, declaredService) };
  const revision = revisionOf(service, { id: newId(random), spec, createdBy: author });
  return {
    result: service,
    changes: [
      { kind: 'create', table: 'service', object: service },
      { kind: 'create', table: 'revision', object: revision },
    ],
  };
}

/** Whether a service that goes from one to the other stays at its revision. */
export function sameRevision(a: ServiceSpec, b: ServiceSpec): boolean {
  return essence(a) === essence(b);
}

/**
 * The spec without what may change while the same tasks run on: their number, labels, credentials, what is waited for,
 * when a job runs. How many completions a job has is what its run is.
 */
function essence(spec: ServiceSpec): string {
  const mode: ServiceSpec['mode'] =
    spec.mode?.kind === 'replicated' ? { kind: 'replicated', value: { replicas: 0 } } : spec.mode;
  const container = spec.task?.container;
  const task =
    spec.task === undefined || container === undefined
      ? spec.task
      : { ...spec.task, container: { ...container, registryAuth: '' } };
  const bytes = ServiceSpec.encode({
    ...spec,
    labels: {},
    update: undefined,
    rollback: undefined,
    mode,
    task,
    job: undefined,
    dependsOn: [],
  });
  return Buffer.from(bytes).toString('base64');
}

function refuseTakenName(view: StoreView, name: string): void {
  const other = view.serviceByName(name);
  if (other?.pendingDelete)
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      field: 'name',
      message: `service ${name} is being removed`,
      hint: 'wait until its tasks are gone: `swarm service ls` shows it until then',
    });
  if (other !== undefined)
    throw new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      field: 'name',
      message: `name conflicts with an existing object: service ${name} already exists`,
      hint: `choose another name, or change it: swarm service update ${name}`,
    });
}

export function updateService(
  view: StoreView,
  request: { readonly id: string; readonly version: number; readonly spec: ServiceSpec },
  author: string,
  random: Random,
): Decision<Service> {
  const current = view.get('service', request.id);
  if (current?.spec === undefined || current.pendingDelete)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `service ${request.id} not found`,
      hint: 'see `swarm service ls`',
    });
  if (current.version !== request.version)
    throw new SwarmError({
      code: 'conflict',
      reason: 'out-of-sequence',
      message: `update out of sequence: the service is at version ${current.version}, the request was made from ${request.version}`,
      hint: 'read it again and repeat the change',
    });
  const declared = keepCredentials(current.spec, request.spec);
  validateService(declared);
  checkStopAfterDisconnect(view, declared);
  checkServiceFeatures(view, declared);
  refuseUnchangeable(current.spec, declared);
  const resolved = resolvedPayloads(view, validatedNetworksOf(view, declared, current.id));
  const dependent = resolvedDependencies(view, resolved, current.id);
  const near = resolvedAffinities(view, dependent, current.id, current.spec);
  const spec = underPolicy(view, near, current.spec.task);
  if (essence(current.spec) === essence(spec)) {
    const service = { ...current, spec };
    return { result: service, changes: [{ kind: 'update', table: 'service', object: service }] };
  }
  const { service, changes } = reviseService(view, current, {
    id: newId(random),
    spec,
    createdBy: author,
    behindDependencies: true,
  });
  return { result: service, changes };
}

/** Reads never return credentials, so a spec that was read and sent back means: leave them as they are. */
function keepCredentials(current: ServiceSpec, spec: ServiceSpec): ServiceSpec {
  const before = current.task?.container;
  const container = spec.task?.container;
  if (spec.task === undefined || container === undefined || before === undefined) return spec;
  if (container.registryAuth !== '' || before.registryAuth === '') return spec;
  return { ...spec, task: { ...spec.task, container: { ...container, registryAuth: before.registryAuth } } };
}

function refuseUnchangeable(before: ServiceSpec, after: ServiceSpec): void {
  if (before.name !== after.name)
    throw new SwarmError({
      code: 'unimplemented',
      reason: 'not-supported',
      field: 'name',
      message: `renaming services is not supported (${before.name} to ${after.name})`,
      hint: 'create a service with the new name and remove the old one',
    });
  if (before.mode?.kind !== after.mode?.kind)
    throw new SwarmError({
      code: 'unimplemented',
      reason: 'not-supported',
      field: 'mode',
      message: `service mode change is not allowed (${before.mode?.kind} to ${after.mode?.kind})`,
      hint: 'remove the service and create it with the other mode',
    });
}

/** Marks the service; the orchestrator shuts its tasks down and removes it with the last of them. */
export function removeService(service: Service): readonly Change[] {
  if (service.pendingDelete) return [];
  return [{ kind: 'update', table: 'service', object: { ...service, pendingDelete: true } }];
}

export function countTasks(view: StoreView, service: Service): ServiceTaskCounts {
  if (isJob(service.spec)) return countJobTasks(view, service);
  let running = 0;
  let notReady = 0;
  let crashLooping = 0;
  let wanted = 0;
  for (const task of view.tasksOfService(service.id)) {
    if (task.desiredState > TaskState.COMPLETE) continue;
    // A global task stays wanted on a node that is down: nobody knows of it, and nothing replaces it.
    const nodeState = view.get('node', task.nodeId)?.status?.state;
    if (nodeState === NodeState.DOWN || nodeState === NodeState.DISCONNECTED) continue;
    wanted++;
    if (task.status?.state === TaskState.RUNNING) running++;
    if (task.status?.state === TaskState.RUNNING && !isHealthy(task)) notReady++;
    if (isCrashLooping(task)) crashLooping++;
  }
  const mode = service.spec?.mode;
  const desired = mode?.kind === 'replicated' ? mode.value.replicas : wanted;
  return { running, desired, completed: 0, total: 0, notReady, crashLooping };
}
