/** `network inspect --pretty`: a page about a network for people. Docker has none; this is in the style of its others. */
import type { NetworkUser, SubnetUsage } from '#gen/swarm/v1/control.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import {
  containerName,
  type NetworkDetails,
  networkDriver,
  networkName,
  networkScope,
  networkSubnets,
} from '../../../docker-shape/from-networks.ts';
import { ago, naturalOrder } from '../../format/texts.ts';

export function prettyNetwork(network: Network, details: NetworkDetails | undefined, nowMs: number): string {
  const { spec } = network;
  const lines = [
    `ID:\t\t${network.id}`,
    `Name:\t\t${networkName(network)}`,
    ...entries('Labels:', spec?.labels ?? {}),
    `Driver:\t\t${networkDriver(network)}`,
    `Scope:\t\t${networkScope(network)}`,
    ...(network.createdAtMs === 0 ? [] : [`Created:\t${ago(network.createdAtMs, nowMs)}`]),
    ...(network.problem === '' ? [] : [`Problem:\t${network.problem}`]),
    ...traits(network),
    ...(network.vni === 0 ? [] : [`VXLAN ID:\t${network.vni}`]),
    ...entries('Options:', spec?.driverOptions ?? {}),
    ...subnets(network, details),
    ...services(details),
    ...tasks(details),
  ];
  return `${lines.join('\n')}\n`;
}

function entries(title: string, map: Readonly<Record<string, string>>): readonly string[] {
  const texts = Object.entries(map).map(([key, value]) => ` ${key}${value === '' ? '' : `=${value}`}`);
  return texts.length === 0 ? [] : [title, ...texts.toSorted()];
}

function traits({ spec }: Network): readonly string[] {
  const names = [
    spec?.ingress === true ? 'ingress' : '',
    spec?.internal === true ? 'internal' : '',
    spec?.attachable === true ? 'attachable' : '',
    spec?.ipv6 === true ? 'ipv6' : '',
  ].filter((name) => name !== '');
  return names.length === 0 ? [] : [`Is:\t\t${names.join(', ')}`];
}

function subnets(network: Network, details: NetworkDetails | undefined): readonly string[] {
  const used = new Map((details?.usage?.subnets ?? []).map((usage) => [usage.subnet, usage]));
  const lines = networkSubnets(network).flatMap(({ subnet, gateway, ipRange, auxAddresses }) => [
    ` ${subnet}`,
    ...(gateway === '' ? [] : [`  Gateway:\t${gateway}`]),
    ...(ipRange === '' ? [] : [`  IP Range:\t${ipRange}`]),
    ...Object.entries(auxAddresses).map(([name, address]) => `  Reserved:\t${address} (${name})`),
    ...addressCounts(used.get(subnet)),
  ]);
  return lines.length === 0 ? [] : ['Subnets:', ...lines];
}

function addressCounts(usage: SubnetUsage | undefined): readonly string[] {
  if (usage === undefined) return [];
  const { used, total } = usage;
  // What is counted no further than this is a block of IPv6.
  if (total === Number.MAX_SAFE_INTEGER) return [`  Addresses:\t${used} in use, more free than are ever needed`];
  return [`  Addresses:\t${used} in use, ${Math.max(0, total - used)} free`];
}

function services(details: NetworkDetails | undefined): readonly string[] {
  const users = sortedUsers(details, ({ taskId }) => taskId === '');
  const lines = users.map(({ serviceName, addresses }) => ` ${serviceName}\t${addresses.join(' ')}`);
  return lines.length === 0 ? [] : ['Services:', ...lines];
}

function tasks(details: NetworkDetails | undefined): readonly string[] {
  const users = sortedUsers(details, ({ taskId }) => taskId !== '');
  const lines = users.map((user) => {
    const node = details?.nodes.get(user.nodeId)?.description?.hostname || user.nodeId;
    return ` ${containerName(user)}\t${user.addresses.join(' ')}${node === '' ? '' : ` on ${node}`}`;
  });
  return lines.length === 0 ? [] : ['Tasks:', ...lines];
}

function sortedUsers(
  details: NetworkDetails | undefined,
  test: (user: NetworkUser) => boolean,
): readonly NetworkUser[] {
  const users = (details?.usage?.users ?? []).filter(test);
  return users.toSorted((a, b) => naturalOrder(containerName(a), containerName(b)));
}
