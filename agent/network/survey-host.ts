import { readResolvConf } from '#agent/dns/index.ts';
import type { NetlinkSocket } from '../kernel/netlink.ts';
import { listAddresses } from '../kernel/netlink-address.ts';
import { listLinks } from '../kernel/netlink-link.ts';
import { listRoutes, MAIN_TABLE } from '../kernel/netlink-route.ts';
import type { OccupiedPrefix } from './address-plan.ts';
import { readHostNameFiles } from './host-name-files.ts';
import { parsePrefix } from './ipv4.ts';

const DEFAULT_MTU = 1500;

export interface HostSurvey {
  /** Every address range that the host uses, in any routing table. */
  readonly occupied: readonly OccupiedPrefix[];
  /** Of the device that the default route leaves by. */
  readonly mtu: number;
}

/** What the gateway network must fit in with. `ownLink` does not count: it may be there already. */
export async function surveyHost(socket: NetlinkSocket, ownLink: string): Promise<HostSurvey> {
  const links = await listLinks(socket);
  const routes = await listRoutes(socket);
  const device = (index: number | undefined): string =>
    links.find((link) => link.index === index)?.name ?? 'an unknown device';
  const occupied: OccupiedPrefix[] = [];
  const occupy = (text: string, by: string): void => {
    const prefix = parsePrefix(text);
    if (prefix !== undefined && by !== ownLink) occupied.push({ prefix, by });
  };
  for (const route of routes) occupy(route.destination, device(route.linkIndex));
  for (const one of await listAddresses(socket)) occupy(`${one.address}/32`, device(one.linkIndex));
  // Tasks ask the host's resolvers, which often are behind the default route and so in no route of their own.
  const resolvers = readResolvConf((await readHostNameFiles()).realResolvConf).nameservers;
  for (const address of resolvers) occupy(`${address}/32`, 'a resolver of this host');
  const uplink = routes.find((route) => route.destination === 'default' && route.table === MAIN_TABLE);
  return { occupied, mtu: links.find((link) => link.index === uplink?.linkIndex)?.mtu ?? DEFAULT_MTU };
}
