/** Containers of `swarm run`: who may have which, and where. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { isId, newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import { type Random, randomInt } from '#common/random.ts';
import { type Node, NodeState, OneOff, Revision, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import {
  EndpointSpec,
  NodeAvailability,
  ReplicatedMode,
  RestartCondition,
  RestartPolicy,
  ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { isIngressPort, isLive, isPredefined, NETWORKS_LEVEL } from '#manager/allocator/index.ts';
import { payloadReferences } from '#manager/payloads/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { underPolicy } from './cluster-policy.ts';
import type { Decision } from './decision.ts';
import { checkServiceFeatures, requireNetworks } from './feature-gates.ts';
import { findTask } from './references.ts';
import { validatedNetworksOf } from './service-networks.ts';
import { validateService } from './validate-service.ts';

/** Who asks for a container, or for what becomes of one. */
export interface RunCaller {
  /** Node id, or "local", for the record. */
  readonly author: string;
  /** The node that the call comes from: new containers are on it. */
  readonly nodeId: string;
  /** A manager may see and change containers of all nodes; a worker those of its own. */
  readonly seesAll: boolean;
}

export interface OneOffRequest {
  /** Chosen by the caller, so that a call that was not answered may be made again; empty for one that we choose. */
  readonly id: string;
  readonly spec: ServiceSpec | undefined;
  readonly autoRemove: boolean;
}

/** Numbers of revisions of no service are drawn: there are too many of them to meet. */
const REVISION_NUMBERS = 2 ** 48;

/**
 * A task on the caller's node with a revision of its own.
 * @throws SwarmError for the first rule that is broken
 */
export function createOneOff(
  view: StoreView,
  request: OneOffRequest,
  caller: RunCaller,
  random: Random,
  nowMs: number,
): Decision<Task> {
  requireNetworks(view, 'run');
  const again = madeBefore(view, request, caller);
  if (again !== undefined) return { result: again, changes: [] };
  const declared = containerSpec(request.spec);
  validateService(declared);
  refuseTooLarge(declared);
  checkServiceFeatures(view, declared);
  checkNode(view.get('node', caller.nodeId), caller.nodeId);
  const spec = underPolicy(view, validatedNetworksOf(view, declared, ''));
  for (const { network } of spec.task?.networks ?? []) requireAttachable(view, network);
  refuseTakenName(view, spec.name);
  refuseTooMany(view, caller.nodeId);
  let number = 1 + randomInt(random, REVISION_NUMBERS);
  while (view.revision('', number) !== undefined) number = 1 + randomInt(random, REVISION_NUMBERS);
  const { author } = caller;
  const task = Task.create({
    id: request.id === '' ? newId(random) : request.id,
    revision: number,
    nodeId: caller.nodeId,
    desiredState: TaskState.RUNNING,
    status: TaskStatus.create({ state: TaskState.NEW, timestampMs: nowMs, message: 'created' }),
    oneOff: OneOff.create({ name: spec.name, autoRemove: request.autoRemove, createdBy: author }),
  });
  const revision = Revision.create({ id: newId(random), number, spec, createdBy: author });
  return {
    result: task,
    changes: [
      { kind: 'create', table: 'revision', object: revision },
      { kind: 'create', table: 'task', object: task },
    ],
  };
}

/** The container that an earlier call with the same id has made. */
function madeBefore(view: StoreView, { id, spec }: OneOffRequest, caller: RunCaller): Task | undefined {
  if (id === '') return undefined;
  if (!isId(id)) throw invalidField('id', `id: ${JSON.stringify(id)} is not an id`, 'leave it out');
  const task = view.get('task', id);
  if (task === undefined) return undefined;
  const isSame = task.oneOff?.name === spec?.name && task.nodeId === caller.nodeId;
  if (isSame) return task;
  throw new SwarmError({
    code: 'exists',
    reason: 'duplicate-name',
    field: 'id',
    message: `id: there is a task ${id} already`,
    hint: 'leave it out',
  });
}

/** What counts of the spec that was sent. */
function containerSpec(sent: ServiceSpec | undefined): ServiceSpec {
  if (sent?.task === undefined) throw invalidField('spec', 'the request has no spec', 'name the image to run');
  const ports = sent.endpoint?.ports ?? [];
  const mesh = ports.find(isIngressPort);
  if (mesh !== undefined)
    throw invalidField(
      'publish',
      `publish: port ${mesh.publishedPort || mesh.targetPort} cannot be published on all nodes for one container`,
      'publish it on this node (mode=host), or create a service: swarm service create --publish',
    );
  refusePayloads(sent);
  const restart = RestartPolicy.create({ condition: RestartCondition.NONE });
  return ServiceSpec.create({
    name: sent.name,
    labels: sent.labels,
    task: { ...sent.task, restart, placement: undefined, forceUpdate: 0 },
    mode: { kind: 'replicated', value: ReplicatedMode.create({ replicas: 1 }) },
    endpoint: EndpointSpec.create({ ports, drainMs: sent.endpoint?.drainMs }),
  });
}

/** Any node may ask for containers, and with them it would get any secret. */
function refusePayloads(spec: ServiceSpec): void {
  for (const { kind } of payloadReferences(spec))
    throw new SwarmError({
      code: 'denied',
      reason: 'not-supported',
      field: kind.word,
      message: `${kind.word}: a container of one node gets no ${kind.word}s of the swarm`,
      hint: `create a service: swarm service create --${kind.word}`,
    });
}

/** Any node may fill its share of the managers' memory, and no more. */
function refuseTooLarge(spec: ServiceSpec): void {
  const bytes = ServiceSpec.encode(spec).length;
  if (bytes <= LIMITS.CONTAINER_SPEC_BYTES) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'too-large',
    field: 'spec',
    limit: 'CONTAINER_SPEC_BYTES',
    message: `the spec is ${bytes} bytes, the limit is ${LIMITS.CONTAINER_SPEC_BYTES} (CONTAINER_SPEC_BYTES)`,
    hint: 'put data into a file that the container mounts: --mount, --volume',
  });
}

/** It has to take the container: nobody looks for another one. */
function checkNode(node: Node | undefined, nodeId: string): void {
  const refused = (message: string, hint: string): SwarmError =>
    new SwarmError({ code: 'precondition', reason: 'not-supported', field: 'node', message, hint });
  if (node === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `node ${nodeId} is not in the swarm`,
    });
  const name = node.description?.hostname || node.id;
  const availability = node.spec?.availability ?? NodeAvailability.ACTIVE;
  if (availability === NodeAvailability.PAUSE || availability === NodeAvailability.DRAIN)
    throw refused(
      `node ${name} takes no new containers: it is ${availability === NodeAvailability.PAUSE ? 'paused' : 'drained'}`,
      `let it take some (swarm node update --availability active ${name}), or run it on another node`,
    );
  if (node.status?.state !== NodeState.READY)
    throw refused(
      `node ${name} is not ready: the leader does not hear of it`,
      'try again in a moment; `swarm info` on the node says whether it is connected',
    );
  if ((node.description?.featureLevel ?? 0) < NETWORKS_LEVEL)
    throw new SwarmError({
      code: 'precondition',
      reason: 'feature-level',
      message: `node ${name} runs an older release that has no containers of its own`,
      hint: 'upgrade it',
    });
}

function requireAttachable(view: StoreView, id: string): void {
  if (isPredefined(id)) return;
  const spec = view.get('network', id)?.spec;
  if (spec?.attachable === true) return;
  const name = spec?.name ?? id;
  throw new SwarmError({
    code: 'denied',
    reason: 'not-supported',
    field: 'network',
    message: `network ${name} is not attachable: only tasks of services join it`,
    hint: `join one that is made so: swarm network create --attachable NAME; or run it as a service: swarm service create --network ${name}`,
  });
}

function refuseTakenName(view: StoreView, name: string): void {
  const holder = view.oneOffByName(name);
  if (holder === undefined) return;
  throw new SwarmError({
    code: 'exists',
    reason: 'duplicate-name',
    field: 'name',
    message: `name: the name ${name} is that of container ${holder.id} already`,
    hint: `choose another name, or remove that container: swarm task rm ${name}`,
  });
}

function refuseTooMany(view: StoreView, nodeId: string): void {
  let live = 0;
  for (const task of view.tasksOfNode(nodeId)) if (task.oneOff !== undefined && isLive(task)) live++;
  if (live < LIMITS.CONTAINERS_PER_NODE) return;
  throw new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    limit: 'CONTAINERS_PER_NODE',
    message: `the node has ${live} containers of its own, the limit (CONTAINERS_PER_NODE)`,
    hint: 'stop some (swarm task stop), or run a service',
  });
}

/** The container that a user means, if the caller may see it. */
export function findOneOff(view: StoreView, reference: string, caller: Pick<RunCaller, 'nodeId' | 'seesAll'>): Task {
  const task = findVisible(view, reference, caller);
  if (task?.oneOff !== undefined) return task;
  if (task === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `container ${reference} not found`,
      hint: 'see `swarm task ls`',
    });
  const service = view.get('service', task.serviceId)?.spec?.name ?? task.serviceId;
  throw new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    message: `task ${task.id} is of service ${service}, which would have another one in its place`,
    hint: `change the service: swarm service scale ${service}=N, or swarm service rm ${service}`,
  });
}

function findVisible(
  view: StoreView,
  reference: string,
  { nodeId, seesAll }: Pick<RunCaller, 'nodeId' | 'seesAll'>,
): Task | undefined {
  if (seesAll) {
    try {
      return findTask(view, reference);
    } catch (thrown) {
      if (SwarmError.from(thrown).code === 'not-found') return undefined;
      throw thrown;
    }
  }
  const own = oneOffsOf(view, nodeId);
  const exact = own.find(({ id }) => id === reference) ?? own.find((task) => isNamed(task, reference));
  if (exact !== undefined || reference === '') return exact;
  const begun = own.filter(({ id }) => id.startsWith(reference));
  return begun.length === 1 ? begun[0] : undefined;
}

function isNamed(task: Task, name: string): boolean {
  return task.oneOff?.name.toLowerCase() === name.toLowerCase();
}

function oneOffsOf(view: StoreView, nodeId: string): readonly Task[] {
  return [...view.tasksOfNode(nodeId)].filter((task) => task.oneOff !== undefined);
}

/** Those that the caller may see. */
export function listOneOffs(
  view: StoreView,
  { nodeId, seesAll }: Pick<RunCaller, 'nodeId' | 'seesAll'>,
): readonly Task[] {
  return seesAll ? [...view.all('task')].filter((task) => task.oneOff !== undefined) : oneOffsOf(view, nodeId);
}

/** Nothing changes for one that is to stop already, or has ended. */
export function stopOneOff(task: Task): readonly Change[] {
  if (!isLive(task) || task.desiredState > TaskState.RUNNING) return [];
  return [{ kind: 'update', table: 'task', object: { ...task, desiredState: TaskState.SHUTDOWN } }];
}

/** The loop of the leader takes it away once no node has anything of it that runs. */
export function removeOneOff(task: Task, force: boolean): readonly Change[] {
  if (isLive(task) && !force)
    throw new SwarmError({
      code: 'precondition',
      reason: 'needs-force',
      message: `container ${task.oneOff?.name ?? task.id} has not ended`,
      hint: `stop it first (swarm task stop), or add --force`,
    });
  if (task.desiredState === TaskState.REMOVE) return [];
  return [{ kind: 'update', table: 'task', object: { ...task, desiredState: TaskState.REMOVE } }];
}
