/** Which of the kernel's events in a router's namespace tell of something that should be there and is gone. */
import { hostPrefix } from '../../kernel/ip-address.ts';
import type { NetworkEvent } from '../../kernel/netlink-events.ts';
import { LOCAL_TABLE, LOOPBACK, MAIN_TABLE } from './kernel/operations.ts';
import { deviceInRouter, type RouterModel, VXLAN } from './router-model.ts';

/** What is there too much can wait for the next comparison. */
export function tellsOfLoss(event: NetworkEvent, { items, links }: Pick<RouterModel, 'items' | 'links'>): boolean {
  const isCable = (): boolean => [...links.values()].some((link) => deviceInRouter(link).name === event.name);
  const isTaskAddress = (): boolean => [...links.values()].some((link) => link.addresses.includes(event.name));
  switch (event.kind) {
    case 'lost':
      return true;
    case 'link':
      return (event.gone || !event.up) && (event.name === VXLAN.name || event.name === LOOPBACK.name || isCable());
    case 'route':
    case 'address':
      if (!event.gone || event.name === '') return false;
      return ownKeys(event.name).some((key) => items.get(key) !== undefined);
    case 'neighbour':
      if (!event.gone) return false;
      return items.get(`neighbour ${VXLAN.name} ${event.name}`) !== undefined || isTaskAddress();
  }
}

/** Items that the kernel's words about an address could be about. */
function ownKeys(address: string): readonly string[] {
  const prefix = hostPrefix(address);
  return [`route ${MAIN_TABLE} ${prefix}`, `route ${LOCAL_TABLE} ${prefix}`, `address ${LOOPBACK.name} ${prefix}`];
}
