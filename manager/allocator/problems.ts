/** Why something could not be given out, in the words that users read on tasks, services and networks. */
import type { IpFamily } from '#common/ip.ts';

/** Part of a problem that a network, its services and its tasks share. */
export function noAddressLeft(
  family: IpFamily,
  usage: { readonly used: number; readonly total: number },
  name: string,
): string {
  const kind = family === 6 ? 'IPv6 address' : 'address';
  return `no ${kind} left: ${usage.used} of ${usage.total} in use; ${growHint(name)}`;
}

export function addressesScarce(name: string, percent: number): string {
  return `more than ${percent}% of its addresses are in use; ${growHint(name)}`;
}

function growHint(name: string): string {
  return `grow it with \`swarm network update --subnet-add SUBNET ${name}\``;
}

/** A problem of a network, as its services and tasks tell it. */
export function ofNetwork(name: string, problem: string): string {
  return `network ${name}: ${problem}`;
}

export const NO_POOL_LEFT =
  'no address pool is left: every subnet of the default pools is in use; remove networks that are not needed, or give the network a subnet of its own: --subnet';

export const NO_VNI_LEFT = 'no network identifier is left; remove networks that are not needed';

export function vniTaken(vni: number, holder: string): string {
  return `network identifier ${vni} is that of network ${holder}; choose another one`;
}

export function subnetTaken(subnet: string, other: string, holder: string): string {
  return `subnet ${subnet} overlaps ${other} of network ${holder}; remove one of the two`;
}

export function badSubnet(subnet: string): string {
  return `subnet ${JSON.stringify(subnet)} cannot be used; remove the network and create it again`;
}

export const NO_INGRESS =
  'there is no ingress network, which published ports come in by; create one: `swarm network create --ingress --driver overlay ingress`';

export function networkGone(id: string): string {
  return `network ${id} is not there any more; take it away with \`swarm service update --network-rm\``;
}

export function addressHeld(name: string, address: string, holder: string): string {
  return `network ${name}: address ${address} is still held by ${holder}`;
}

export function addressOutside(name: string, address: string): string {
  return `network ${name}: address ${address} is in none of its subnets`;
}

export function portTaken(port: string, holder: string): string {
  return `port ${port} is already published by service ${holder}`;
}

export function noPortLeft(protocol: string, first: number, last: number): string {
  return `no ${protocol} port is left between ${first} and ${last}; name one: --publish published=PORT,...`;
}
