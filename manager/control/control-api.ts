/**
 * The declarative API: validates, decides on a view, asks for one transaction. Writes are decided one after the other,
 * so that what one of them checked (a free name) still holds when it is committed.
 */
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { readableText } from '#common/readable-text.ts';
import type {
  GetContainerRequest,
  GetContainerResponse,
  ListContainersResponse,
  RemoveContainerRequest,
  RemoveContainerResponse,
  RunContainerRequest,
  RunContainerResponse,
  StopContainerRequest,
  StopContainerResponse,
} from '#gen/swarm/v1/containers.ts';
import {
  type CreateNetworkRequest,
  type CreateNetworkResponse,
  type CreateServiceRequest,
  type CreateServiceResponse,
  type GetClusterResponse,
  type GetNetworkRequest,
  type GetNetworkResponse,
  type GetNodeRequest,
  type GetNodeResponse,
  type GetServiceRequest,
  type GetServiceResponse,
  type GetTaskRequest,
  type GetTaskResponse,
  type ListNetworksRequest,
  type ListNetworksResponse,
  type ListNodesRequest,
  type ListNodesResponse,
  type ListRevisionsRequest,
  type ListRevisionsResponse,
  type ListServicesRequest,
  type ListServicesResponse,
  type ListTasksRequest,
  type ListTasksResponse,
  type RemoveNetworkRequest,
  type RemoveNetworkResponse,
  type RemoveNodeRequest,
  type RemoveServiceRequest,
  type RemoveServiceResponse,
  type UpdateClusterRequest,
  type UpdateClusterResponse,
  type UpdateNetworkRequest,
  type UpdateNetworkResponse,
  type UpdateNodeRequest,
  type UpdateNodeResponse,
  type UpdateServiceRequest,
  type UpdateServiceResponse,
} from '#gen/swarm/v1/control.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { ClientApi, type ClientIssuer } from './client-api.ts';
import { checkNodeRights, maySeeTokens } from './client-rights.ts';
import { policyWarnings } from './cluster-policy.ts';
import { type JoinTokenMaker, rotateTokens, updateClusterSpec } from './clusters.ts';
import type { Decision } from './decision.ts';
import { allLabels, anyContained, anyOf, anyPrefix, modeName, pages } from './filters.ts';
import { type ImagePinner, pinImage } from './image-pins.ts';
import { JobApi } from './job-api.ts';
import { findTaskUse, usageOf } from './network-users.ts';
import { createNetwork, isDangling, networksMatching, removeNetwork, updateNetwork } from './networks.ts';
import { type ManagerMember, withManagerStatus } from './node-roles.ts';
import { leaveCluster, removeNode, updateNode } from './nodes.ts';
import { createOneOff, findOneOff, listOneOffs, type RunCaller, removeOneOff, stopOneOff } from './one-offs.ts';
import { PayloadApi } from './payload-api.ts';
import { RebalanceApi } from './rebalance-api.ts';
import { redactCluster, redactNode, redactRevision, redactService } from './redact.ts';
import { findNetwork, findNode, findService, findTask } from './references.ts';
import { RolloutApi } from './rollout-api.ts';
import { RootCaApi, type RootPreparer } from './root-ca-api.ts';
import { payloadWarnings } from './service-payloads.ts';
import { countTasks, createService, removeService, updateService } from './services.ts';
import { StackApi } from './stack-api.ts';
import { tasksMatching, taskView } from './tasks.ts';
import { UnlockKeyApi, withUnlockKey } from './unlock-key.ts';
import { VolumeApi } from './volume-api.ts';
import { type ControlCaller, type ControlStore, WriteQueue } from './write-queue.ts';

export interface ControlOptions {
  readonly store: ControlStore;
  readonly selfNodeId: () => string;
  /** Members of the log, as this manager sees them now. */
  readonly members: () => readonly ManagerMember[];
  readonly random: Random;
  readonly images: ImagePinner;
  readonly tokens: JoinTokenMaker;
  /** Signs for clients; left out where there is no certificate authority. */
  readonly clients?: ClientIssuer | undefined;
  /** Makes new roots; left out where there is no certificate authority. */
  readonly prepareRoot?: RootPreparer | undefined;
  readonly now: () => number;
  readonly logger: Logger;
}

export class ControlApi {
  readonly #options: ControlOptions;
  readonly #writes: WriteQueue;
  /** Secrets and configs. */
  readonly payloads: PayloadApi;
  readonly clients: ClientApi;
  readonly jobs: JobApi;
  readonly rebalancing: RebalanceApi;
  readonly rollouts: RolloutApi;
  readonly rootCa: RootCaApi;
  readonly stacks: StackApi;
  readonly unlockKeys: UnlockKeyApi;
  readonly volumes: VolumeApi;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#writes = new WriteQueue(options.store);
    const { store, random, now } = options;
    const { selfNodeId } = options;
    this.volumes = new VolumeApi({ writes: this.#writes, view: () => store.view(), random, selfNodeId });
    const view = (): StoreView => store.view();
    this.stacks = new StackApi({ writes: this.#writes, view, images: options.images, random, now });
    this.unlockKeys = new UnlockKeyApi({ writes: this.#writes, view });
    this.clients = new ClientApi({ writes: this.#writes, view, random, now, issuer: options.clients });
    this.jobs = new JobApi({ writes: this.#writes, now });
    this.rebalancing = new RebalanceApi({ writes: this.#writes, view, now });
    this.rollouts = new RolloutApi({ writes: this.#writes, random, now });
    this.rootCa = new RootCaApi({ writes: this.#writes, view, now, selfNodeId, prepare: options.prepareRoot });
    this.payloads = new PayloadApi({ writes: this.#writes, view: () => store.view(), random, now });
  }

  #view(): StoreView {
    return this.#options.store.view();
  }

  #write<T>(
    caller: ControlCaller,
    decide: (view: StoreView) => Decision<T>,
  ): Promise<{ readonly result: T; readonly view: StoreView }> {
    return this.#writes.write(caller, decide);
  }

  // Cluster

  async getCluster(caller: ControlCaller): Promise<GetClusterResponse> {
    const cluster = this.#view().cluster();
    return { cluster: cluster === undefined ? undefined : redactCluster(cluster, maySeeTokens(caller)) };
  }

  async updateCluster(caller: ControlCaller, request: UpdateClusterRequest): Promise<UpdateClusterResponse> {
    const { tokens, now } = this.#options;
    const { result } = await this.#write(caller, (view) => {
      const updated = withUnlockKey(rotateTokens(updateClusterSpec(view, request, now()), request, tokens));
      return { result: updated, changes: [{ kind: 'update', table: 'cluster', object: updated }] };
    });
    const warnings = request.spec === undefined ? [] : policyWarnings(this.#view(), request.spec.policy);
    return { cluster: redactCluster(this.#view().cluster() ?? result, true), warnings };
  }

  // Nodes

  async getNode(_caller: ControlCaller, request: GetNodeRequest): Promise<GetNodeResponse> {
    return { node: this.#shown(findNode(this.#view(), request.reference, this.#options.selfNodeId())) };
  }

  async *listNodes(_caller: ControlCaller, request: ListNodesRequest): AsyncGenerator<ListNodesResponse> {
    const matching = [...this.#view().all('node')].filter(
      (node) =>
        anyContained(request.names, node.description?.hostname ?? '') &&
        anyPrefix(request.idPrefixes, node.id) &&
        allLabels(request.nodeLabels, node.spec?.labels ?? {}) &&
        allLabels(request.engineLabels, node.description?.engine?.labels ?? {}) &&
        anyOf(request.roles, node.role),
    );
    const shown = matching.map((node) => this.#shown(node));
    for (const nodes of pages(shown, LIMITS.LIST_PAGE)) yield { nodes };
  }

  async updateNode(caller: ControlCaller, request: UpdateNodeRequest): Promise<UpdateNodeResponse> {
    const { members } = this.#options;
    const { view } = await this.#write(caller, (current) => {
      checkNodeRights(current, request, caller);
      return updateNode(current, request, members());
    });
    const node = view.get('node', request.id);
    return { node: node === undefined ? undefined : this.#shown(node) };
  }

  async removeNode(caller: ControlCaller, request: RemoveNodeRequest): Promise<Record<never, never>> {
    const { selfNodeId, now, members } = this.#options;
    await this.#write(caller, (view) => removeNode(view, request, selfNodeId(), now(), members()));
    return {};
  }

  /** The calling node leaves the swarm. What it gives as its reason goes to the log of this manager. */
  async leaveCluster(caller: ControlCaller, nodeId: string, reason: string): Promise<Record<never, never>> {
    const { now, members, logger } = this.#options;
    await this.#write(caller, (view) => leaveCluster(view, nodeId, now(), members()));
    logger.info('a node has left the swarm', { nodeId, reason: readableText(reason) });
    return {};
  }

  #shown(node: Node): Node {
    return withManagerStatus(redactNode(node), this.#options.members());
  }

  // Services

  async createService(caller: ControlCaller, request: CreateServiceRequest): Promise<CreateServiceResponse> {
    const { spec, warnings } = await this.#pinned(request.spec, request.queryRegistry, undefined);
    const { random } = this.#options;
    const { result, view } = await this.#write(caller, (current) =>
      createService(current, spec, caller.author, random),
    );
    return {
      service: redactService(view.get('service', result.id) ?? result),
      warnings: [...warnings, ...payloadWarnings(spec)],
    };
  }

  async getService(_caller: ControlCaller, request: GetServiceRequest): Promise<GetServiceResponse> {
    const view = this.#view();
    const service = findService(view, request.reference);
    return { service: redactService(service), counts: countTasks(view, service) };
  }

  async *listServices(_caller: ControlCaller, request: ListServicesRequest): AsyncGenerator<ListServicesResponse> {
    const view = this.#view();
    const matching = [...view.all('service')].filter(
      (service) =>
        anyContained(request.names, service.spec?.name ?? '') &&
        anyPrefix(request.idPrefixes, service.id) &&
        allLabels(request.labels, service.spec?.labels ?? {}) &&
        anyOf(request.modes, modeName(service.spec)),
    );
    for (const page of pages(matching, LIMITS.LIST_PAGE))
      yield {
        services: page.map((service) => ({ service: redactService(service), counts: countTasks(view, service) })),
      };
  }

  async updateService(caller: ControlCaller, request: UpdateServiceRequest): Promise<UpdateServiceResponse> {
    const before = this.#view().get('service', request.id)?.spec?.task?.container?.image;
    const { spec, warnings } = await this.#pinned(request.spec, request.queryRegistry, before);
    const { random } = this.#options;
    const { view } = await this.#write(caller, (current) =>
      updateService(current, { id: request.id, version: request.version, spec }, caller.author, random),
    );
    const service = view.get('service', request.id);
    return {
      service: service === undefined ? undefined : redactService(service),
      warnings: [...warnings, ...payloadWarnings(spec)],
    };
  }

  async removeService(caller: ControlCaller, request: RemoveServiceRequest): Promise<RemoveServiceResponse> {
    const { result } = await this.#write(caller, (view) => {
      const service = findService(view, request.reference);
      return { result: service.id, changes: removeService(service) };
    });
    return { id: result };
  }

  async *listRevisions(_caller: ControlCaller, request: ListRevisionsRequest): AsyncGenerator<ListRevisionsResponse> {
    const view = this.#view();
    const service = findService(view, request.serviceId);
    const revisions = [...view.revisionsOfService(service.id)].sort((a, b) => a.number - b.number);
    for (const page of pages(revisions.map(redactRevision), LIMITS.REVISIONS_KEPT)) yield { revisions: page };
  }

  // Tasks

  async getTask(_caller: ControlCaller, request: GetTaskRequest): Promise<GetTaskResponse> {
    const view = this.#view();
    return { task: taskView(view, findTask(view, request.reference), true) };
  }

  async *listTasks(_caller: ControlCaller, request: ListTasksRequest): AsyncGenerator<ListTasksResponse> {
    const view = this.#view();
    const matching = tasksMatching(view, request);
    for (const page of pages(matching, request.withSpec ? 100 : LIMITS.LIST_PAGE))
      yield { tasks: page.map((task) => taskView(view, task, request.withSpec)) };
  }

  // Containers of `swarm run`

  async runContainer(caller: RunCaller, request: RunContainerRequest): Promise<RunContainerResponse> {
    const { random, now } = this.#options;
    const { result, view } = await this.#write(caller, (current) =>
      createOneOff(current, request, caller, random, now()),
    );
    return { container: taskView(view, view.get('task', result.id) ?? result, false) };
  }

  async getContainer(caller: RunCaller, request: GetContainerRequest): Promise<GetContainerResponse> {
    const view = this.#view();
    return { container: taskView(view, findOneOff(view, request.reference, caller), true) };
  }

  async *listContainers(caller: RunCaller): AsyncGenerator<ListContainersResponse> {
    const view = this.#view();
    for (const page of pages(listOneOffs(view, caller), LIMITS.LIST_PAGE))
      yield { containers: page.map((task) => taskView(view, task, false)) };
  }

  async stopContainer(caller: RunCaller, request: StopContainerRequest): Promise<StopContainerResponse> {
    const { result } = await this.#write(caller, (view) => {
      const task = findOneOff(view, request.reference, caller);
      return { result: task.id, changes: stopOneOff(task) };
    });
    return { id: result };
  }

  async removeContainer(caller: RunCaller, request: RemoveContainerRequest): Promise<RemoveContainerResponse> {
    const { result } = await this.#write(caller, (view) => {
      const task = findOneOff(view, request.reference, caller);
      return { result: task.id, changes: removeOneOff(task, request.force) };
    });
    return { id: result };
  }

  // Networks

  async createNetwork(caller: ControlCaller, request: CreateNetworkRequest): Promise<CreateNetworkResponse> {
    const { spec } = request;
    if (spec === undefined) throw noSpec();
    const { random } = this.#options;
    const { result, view } = await this.#write(caller, (current) => {
      const { warnings, ...decision } = createNetwork(current, spec, random);
      return { ...decision, result: { network: decision.result, warnings } };
    });
    const { network, warnings } = result;
    return { network: view.get('network', network.id) ?? network, warnings };
  }

  async getNetwork(_caller: ControlCaller, request: GetNetworkRequest): Promise<GetNetworkResponse> {
    const view = this.#view();
    const network = findNetwork(view, request.reference);
    return { network, usage: usageOf(view, network, await findTaskUse(view, new Set([network.id]))) };
  }

  async *listNetworks(_caller: ControlCaller, request: ListNetworksRequest): AsyncGenerator<ListNetworksResponse> {
    const view = this.#view();
    let matching = networksMatching(view, request);
    if (request.dangling !== undefined) {
      const use = await findTaskUse(view, new Set(matching.map(({ id }) => id)));
      matching = matching.filter((network) => isDangling(view, network, use) === request.dangling);
    }
    for (const networks of pages(matching, LIMITS.LIST_PAGE)) yield { networks };
  }

  async updateNetwork(caller: ControlCaller, request: UpdateNetworkRequest): Promise<UpdateNetworkResponse> {
    const { result, view } = await this.#write(caller, (current) => updateNetwork(current, request));
    return { network: view.get('network', result.id) ?? result };
  }

  async removeNetwork(caller: ControlCaller, request: RemoveNetworkRequest): Promise<RemoveNetworkResponse> {
    const view = this.#view();
    const { id } = findNetwork(view, request.reference);
    const use = await findTaskUse(view, new Set([id]));
    const { result } = await this.#write(caller, (current) => removeNetwork(current, id, use));
    return { id: result.id };
  }

  /** The spec with its image pinned to a digest where that was asked for and a registry answered. */
  async #pinned(
    spec: ServiceSpec | undefined,
    queryRegistry: boolean,
    imageBefore: string | undefined,
  ): Promise<{ spec: ServiceSpec; warnings: readonly string[] }> {
    if (spec === undefined) throw noSpec();
    if (!queryRegistry || spec.task?.container?.image === imageBefore) return { spec, warnings: [] };
    return pinImage(spec, this.#options.images);
  }
}

function noSpec(): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-field', field: 'spec', message: 'the request has no spec' });
}
