/** What the parts of a declared service ask of the cluster's networks. */
import type { IpFamily } from '#common/ip.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { EndpointMode, type PortConfig, PortProtocol, PublishMode, type ServiceSpec } from '#gen/swarm/v1/specs.ts';

/** Networks that every node has by itself; nothing is given out of them. */
export const PREDEFINED_NETWORKS = ['host', 'none', 'bridge'] as const;

export function isPredefined(network: string): boolean {
  return PREDEFINED_NETWORKS.some((name) => name === network);
}

export function driverOf(network: Pick<Network, 'spec'>): string {
  return network.spec?.driver || 'overlay';
}

/** Has routers on its nodes, so that it has an identifier in packets, and addresses that stand for services. */
export function isOverlay(network: Pick<Network, 'spec'>): boolean {
  return driverOf(network) === 'overlay';
}

export function isIngress(network: Pick<Network, 'spec'>): boolean {
  return network.spec?.ingress === true;
}

/** Families of which whoever joins the network gets an address, IPv4 first. */
export function familiesOf(network: Pick<Network, 'spec'>): readonly IpFamily[] {
  return network.spec?.ipv6 === true ? [4, 6] : [4];
}

/** A network that tasks of a service join, with the addresses that they are to have there; mostly none. */
export interface Attachment {
  readonly network: string;
  readonly addresses: readonly string[];
  /** Further names there. */
  readonly aliases?: readonly string[];
}

/** Networks of the cluster that tasks of the service join, without ingress. */
export function attachmentsOf(spec: ServiceSpec | undefined): readonly Attachment[] {
  return spec?.task?.networks.filter(({ network }) => !isPredefined(network)) ?? [];
}

export function isIngressPort(port: PortConfig): boolean {
  return port.publishMode !== PublishMode.HOST;
}

export function publishesByIngress(spec: ServiceSpec | undefined): boolean {
  return spec?.endpoint?.ports.some(isIngressPort) ?? false;
}

export function hasVirtualAddresses(spec: ServiceSpec | undefined): boolean {
  return spec?.endpoint?.mode !== EndpointMode.DNSRR;
}

export const PROTOCOL_NAMES: Readonly<Record<PortProtocol, 'tcp' | 'udp' | 'sctp'>> = {
  [PortProtocol.UNSPECIFIED]: 'tcp',
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
};

/** "80/tcp": what is unique in the cluster for ports of the routing mesh. */
export function publishedKey(port: PortConfig): string {
  return portKey(port.publishedPort, port.protocol);
}

export function portKey(port: number, protocol: PortProtocol): string {
  return `${port}/${PROTOCOL_NAMES[protocol]}`;
}

/** The driver option that names the identifier of an overlay, as Docker calls it. */
export const VNI_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/** The identifier that the network asks for; undefined when any will do. */
export function declaredVni(network: Pick<Network, 'spec'>): number | undefined {
  const text = network.spec?.driverOptions[VNI_OPTION];
  return text === undefined || !/^\d{1,8}$/.test(text) ? undefined : Number(text);
}

/** The option of address management that lets a network have addresses that others have too. */
export const OVERLAP_OPTION = 'overlap';

/** Two such networks can both be used, if not by the same task: their routers do not know of each other. */
export function allowsOverlap(network: Pick<Network, 'spec'>): boolean {
  return network.spec?.ipam?.options[OVERLAP_OPTION] === 'allow';
}
