/** What the objects of the store say in the tables that agents get. Pure functions of the objects. */

import { NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import {
  type Cluster,
  type Network,
  type NetworkAttachment,
  type Node,
  NodeState,
  type Service,
  type Task,
  TaskState,
} from '#gen/swarm/v1/objects.ts';
import { PublishMode, type ServiceSpec } from '#gen/swarm/v1/specs.ts';

function isEncrypted(network: Network, cluster: Cluster | undefined): boolean {
  if (cluster?.spec?.network?.encryptDataPath === true) return true;
  const option = network.spec?.driverOptions['encrypted'];
  return option !== undefined && option !== 'false'; // its presence is enough, as in Docker
}

/** Undefined while the allocator has not given the network what it needs. */
export function tableOf(network: Network, cluster: Cluster | undefined): NetworkTable | undefined {
  const { spec } = network;
  if (spec === undefined || network.subnets.length === 0) return undefined;
  return NetworkTable.create({
    networkId: network.id,
    name: spec.name,
    driver: spec.driver === '' ? 'overlay' : spec.driver,
    driverOptions: spec.driverOptions,
    vni: network.vni,
    subnets: network.subnets,
    internal: spec.internal,
    ingress: spec.ingress,
    encrypted: isEncrypted(network, cluster),
    dataPathPort: cluster?.dataPathPort ?? 0,
  });
}

/** Undefined while the node has no number, or has not said where it is. */
export function peerOf(node: Node): NetworkPeer | undefined {
  const dataPath = node.description?.dataPath;
  if (node.index === 0 || dataPath === undefined || dataPath.address === '') return undefined;
  return NetworkPeer.create({ nodeId: node.id, index: node.index, dataPath });
}

/** The service's entry in a network's table; undefined when it has none there. */
export function serviceEntry(service: Service, network: Network): NetworkService | undefined {
  const { spec, endpoint } = service;
  if (spec === undefined || service.pendingDelete) return undefined;
  const common = { serviceId: service.id, name: spec.name };
  if (network.spec?.ingress === true) {
    const ports = endpoint?.ports.filter(({ publishMode }) => publishMode !== PublishMode.HOST) ?? [];
    return ports.length === 0 ? undefined : NetworkService.create({ ...common, ports });
  }
  const attachment = spec.task?.networks.find((one) => one.network === network.id);
  const virtual = endpoint?.addresses.find((one) => one.network === network.id);
  if (attachment === undefined && virtual === undefined) return undefined;
  return NetworkService.create({
    ...common,
    aliases: attachment?.aliases ?? [],
    addresses: virtual?.addresses ?? [],
    ports: endpoint?.ports ?? [],
  });
}

/** Networks in whose tables the service may have an entry. */
export function networksOfService(service: Service, ingressId: string | undefined): readonly string[] {
  const ids = new Set(service.spec?.task?.networks.map(({ network }) => network));
  for (const { network } of service.endpoint?.addresses ?? []) ids.add(network);
  if (ingressId !== undefined) ids.add(ingressId);
  return [...ids];
}

/** On a node, with an end still to come. */
export function isLive(task: Task): boolean {
  const state = task.status?.state ?? TaskState.NEW;
  return task.nodeId !== '' && state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
}

/**
 * Gone from the swarm, or silent for so long that its connections are best given up: whether its tasks run on, nobody
 * knows, and others take their place. Unlike for the orchestrator's `isLost`, one that takes its leave is not yet.
 */
export function isDown(node: Node | undefined): boolean {
  return node === undefined || node.status?.state === NodeState.DOWN;
}

/** It takes its leave: its tasks get no new connections, and end those that they have. */
export function isLeaving(node: Node | undefined): boolean {
  return node?.status?.state === NodeState.DISCONNECTED;
}

/** New connections may go to it. */
function isServing(task: Task, node: Node | undefined): boolean {
  const mayServe = isLive(task) && task.status?.state === TaskState.RUNNING && isReady(task);
  return mayServe && isWanted(task) && !isDown(node) && !isLeaving(node);
}

/** Its checks say that it may be used; without any it may as soon as it runs. */
export function isReady(task: Task): boolean {
  return task.status?.health?.ready ?? true;
}

/** Not about to stop. */
function isWanted(task: Task): boolean {
  return task.desiredState <= TaskState.COMPLETE;
}

/** `<service>.<slot>.<task>`, for a task of a global service `<service>.<node>.<task>`; its own for one of no service. */
function containerName(task: Task, spec: ServiceSpec | undefined): string {
  if (task.oneOff !== undefined) return task.oneOff.name;
  if (spec === undefined) return task.id;
  return `${spec.name}.${task.slot === 0 ? task.nodeId : task.slot}.${task.id}`;
}

export interface EndpointContext {
  readonly attachment: NetworkAttachment;
  readonly node: Node | undefined;
  /** Of the revision that the task runs. */
  readonly spec: ServiceSpec | undefined;
}

/** Undefined where the node is lost: nothing leads there any more, and who is connected learns it at once. */
export function endpointEntry(task: Task, { attachment, node, spec }: EndpointContext): NetworkEndpoint | undefined {
  if (isDown(node)) return undefined;
  return NetworkEndpoint.create({
    taskId: task.id,
    serviceId: task.serviceId,
    nodeId: task.nodeId,
    slot: task.slot,
    addresses: attachment.addresses,
    aliases: attachment.aliases,
    serving: isServing(task, node),
    containerName: containerName(task, spec),
    hostname: spec?.task?.container?.hostname ?? '',
  });
}
