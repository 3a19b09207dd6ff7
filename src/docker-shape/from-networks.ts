/** Networks and addresses in Docker's shape. */
import { parseIp, parsePrefix, prefixHas } from '#common/ip.ts';
import { taskLinkAddress } from '#common/task-link-address.ts';
import type { StructData } from '#common/template/go-types.ts';
import type { NetworkUsage, NetworkUser } from '#gen/swarm/v1/control.ts';
import type { Network, Node } from '#gen/swarm/v1/objects.ts';
import type { IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { predefinedNetwork } from './predefined-networks.ts';

const DEFAULT_DRIVER = 'overlay';
/** Where Docker shows the identifier of an overlay. */
const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';

export interface NetworkDetails {
  readonly usage: NetworkUsage | undefined;
  /** Nodes of the swarm by id, for those that have tasks on the network. */
  readonly nodes: ReadonlyMap<string, Node>;
  /** The node whose containers are listed. */
  readonly selfNodeId: string;
  /** Container ids by task id, where they are known. */
  readonly containerIds: ReadonlyMap<string, string>;
  /** Whether services and their tasks on all nodes are listed too. */
  readonly isVerbose: boolean;
}

export function networkName(network: Network): string {
  return network.spec?.name || network.id;
}

export function networkDriver(network: Network): string {
  return network.spec?.driver || DEFAULT_DRIVER;
}

export function networkScope(network: Network): 'swarm' | 'local' {
  return predefinedNetwork(network.id) === undefined ? 'swarm' : 'local';
}

/** What was given out; before that, what was asked for. */
export function networkSubnets(network: Network): readonly IpamSubnet[] {
  return network.subnets.length > 0 ? network.subnets : (network.spec?.ipam?.subnets ?? []);
}

/** `10.0.1.5/24`: an address with the length of the prefix that it lies in; as it is where no subnet has it. */
export function withPrefixLength(address: string, subnets: readonly IpamSubnet[]): string {
  const ip = parseIp(address);
  if (ip === undefined) return address;
  for (const { subnet } of subnets) {
    const prefix = parsePrefix(subnet)?.prefix;
    if (prefix !== undefined && prefixHas(prefix, ip)) return `${address}/${prefix.length}`;
  }
  return address;
}

export function networkShape(network: Network, details?: NetworkDetails): StructData {
  const { spec } = network;
  return {
    Name: networkName(network),
    ID: network.id,
    Created: network.createdAtMs === 0 ? undefined : network.createdAtMs,
    Scope: networkScope(network),
    Driver: networkDriver(network),
    EnableIPv4: true,
    EnableIPv6: spec?.ipv6,
    IPAM: ipamShape(spec, networkSubnets(network)),
    Internal: spec?.internal,
    Attachable: spec?.attachable,
    Ingress: spec?.ingress,
    ConfigFrom: {},
    ConfigOnly: false,
    Containers: details === undefined ? {} : containers(network, details),
    Options: optionsOf(network),
    Labels: spec?.labels ?? {},
    Peers: details === undefined ? [] : peers(details),
    Services: details?.isVerbose === true ? services(details) : {},
    Status: details?.usage === undefined ? undefined : statusOf(network, details.usage),
  };
}

/** What a task's JSON says of its networks besides their ids and versions. */
export function attachedNetworkData(network: Network): StructData {
  const { spec } = network;
  const ipam = (subnets: readonly IpamSubnet[]): StructData => ({
    Driver: { Name: spec?.ipam?.driver || 'default', Options: spec?.ipam?.options },
    Configs: subnets.map(({ subnet, ipRange, gateway }) => ({ Subnet: subnet, Range: ipRange, Gateway: gateway })),
  });
  return {
    Spec: {
      Name: networkName(network),
      Labels: spec?.labels ?? {},
      DriverConfiguration: { Name: networkDriver(network), Options: spec?.driverOptions },
      IPv6Enabled: spec?.ipv6,
      Internal: spec?.internal,
      Attachable: spec?.attachable,
      Ingress: spec?.ingress,
      IPAMOptions: ipam(spec?.ipam?.subnets ?? []),
      Scope: networkScope(network),
    },
    DriverState: { Name: networkDriver(network), Options: optionsOf(network) },
    IPAMOptions: ipam(networkSubnets(network)),
  };
}

/** A network that is to be created. Docker's CLI sends the driver and scope as it was given them. */
export function networkCreateShape(spec: NetworkSpec): StructData {
  return {
    Name: spec.name,
    Driver: spec.driver || DEFAULT_DRIVER,
    EnableIPv6: spec.ipv6,
    IPAM: ipamShape(spec, spec.ipam?.subnets ?? []),
    Internal: spec.internal,
    Attachable: spec.attachable,
    Ingress: spec.ingress,
    Options: spec.driverOptions,
    Labels: spec.labels,
  };
}

function ipamShape(spec: NetworkSpec | undefined, subnets: readonly IpamSubnet[]): StructData {
  return {
    Driver: spec?.ipam?.driver || 'default',
    Options: spec?.ipam?.options ?? {},
    Config: subnets.map(({ subnet, ipRange, gateway, auxAddresses }) => ({
      Subnet: subnet,
      IPRange: ipRange,
      Gateway: gateway,
      AuxAddress: auxAddresses,
    })),
  };
}

function optionsOf({ spec, vni }: Network): StructData {
  return { ...(vni === 0 ? {} : { [VXLAN_IDS]: String(vni) }), ...spec?.driverOptions };
}

/** Containers of the own node, as Docker lists them. */
function containers(network: Network, { usage, selfNodeId, containerIds }: NetworkDetails): StructData {
  const own = tasksOf(usage).filter(({ nodeId }) => nodeId === selfNodeId);
  return Object.fromEntries(
    own.map((user) => [
      containerIds.get(user.taskId) || user.taskId,
      {
        Name: containerName(user),
        EndpointID: user.taskId,
        MacAddress: linkAddressOf(user, network),
        IPv4Address: addressOf(user, 4, network.subnets),
        IPv6Address: addressOf(user, 6, network.subnets),
      },
    ]),
  );
}

/** Unknown where the device is not of this network alone: that of the gateway network, or of the parent. */
function linkAddressOf({ addresses }: NetworkUser, { spec }: Network): string {
  const isShared = spec?.ingress === true || spec?.driver === 'ipvlan';
  return isShared || addresses.length === 0 ? '' : taskLinkAddress(addresses);
}

function tasksOf(usage: NetworkUsage | undefined): readonly NetworkUser[] {
  return (usage?.users ?? []).filter(({ taskId }) => taskId !== '');
}

export function containerName({ containerName: own, serviceName, slot, nodeId, taskId }: NetworkUser): string {
  if (own !== '') return own;
  return `${serviceName}.${slot === 0 ? nodeId : slot}.${taskId}`;
}

function addressOf({ addresses }: NetworkUser, family: 4 | 6, subnets: readonly IpamSubnet[]): string {
  const address = addresses.find((text) => parseIp(text)?.family === family);
  return address === undefined ? '' : withPrefixLength(address, subnets);
}

function peers({ usage, nodes }: NetworkDetails): readonly StructData[] {
  return (usage?.nodeIds ?? []).map((id) => ({
    Name: nodes.get(id)?.description?.hostname ?? id,
    IP: nodeIp(nodes, id),
  }));
}

function nodeIp(nodes: NetworkDetails['nodes'], id: string): string {
  const node = nodes.get(id);
  return node?.description?.dataPath?.address || node?.status?.address || '';
}

function services({ usage, nodes }: NetworkDetails): StructData {
  const found = new Map<string, { VIP: string; Ports: readonly string[]; Tasks: StructData[] }>();
  for (const user of usage?.users ?? []) {
    const service = found.get(user.serviceName) ?? { VIP: '', Ports: [], Tasks: [] };
    found.set(user.serviceName, service);
    if (user.taskId === '') service.VIP = user.addresses[0] ?? '';
    else
      service.Tasks.push({
        Name: containerName(user),
        EndpointID: user.taskId,
        EndpointIP: user.addresses[0],
        Info: { 'Host IP': nodeIp(nodes, user.nodeId) },
      });
  }
  return Object.fromEntries(found);
}

function statusOf({ problem }: Network, usage: NetworkUsage): StructData {
  const subnets = usage.subnets.map(({ subnet, total, used }) => [
    subnet,
    { IPsInUse: used, DynamicIPsAvailable: Math.max(0, total - used) },
  ]);
  return { IPAM: { Subnets: Object.fromEntries(subnets) }, Problem: problem };
}
