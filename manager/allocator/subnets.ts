/** What a subnet of a network has to give. */
import { type Ip, type IpFamily, type IpPrefix, parseIp, parsePrefix, prefixHas } from '#common/ip.ts';
import type { IpamSubnet } from '#gen/swarm/v1/specs.ts';

/** Addresses of a subnet that are given out, but for those that are reserved. */
export interface AddressRange {
  readonly family: IpFamily;
  readonly subnet: IpPrefix;
  /** Invariant: `first <= last`. */
  readonly first: bigint;
  readonly last: bigint;
  /** Gateway and auxiliary addresses that lie in between; each once. */
  readonly reserved: readonly bigint[];
}

/** Undefined for a subnet that is not written as one, or has no room at all. */
export function rangeOf(subnet: IpamSubnet): AddressRange | undefined {
  const whole = parsePrefix(subnet.subnet)?.prefix;
  if (whole === undefined) return undefined;
  const part = subnet.ipRange === '' ? whole : parsePrefix(subnet.ipRange)?.prefix;
  if (part === undefined || part.family !== whole.family) return undefined;
  // The first address is nobody's; the last one is the broadcast address of IPv4.
  const first = part.first > whole.first ? part.first : whole.first + 1n;
  const end = whole.family === 4 ? whole.last - 1n : whole.last;
  const last = part.last < end ? part.last : end;
  if (last < first) return undefined;
  const reserved = new Set<bigint>();
  for (const { value } of reservedOf(subnet)) if (first <= value && value <= last) reserved.add(value);
  return { family: whole.family, subnet: whole, first, last, reserved: [...reserved] };
}

/** Gateway and auxiliary addresses, wherever they lie. */
export function reservedOf(subnet: IpamSubnet): readonly Ip[] {
  const texts = [subnet.gateway, ...Object.values(subnet.auxAddresses)];
  return texts.map(parseIp).filter((ip) => ip !== undefined);
}

/** How many addresses the range gives out, up to 2^53 - 1. */
export function capacityOf(range: AddressRange): number {
  const size = range.last - range.first + 1n - BigInt(range.reserved.length);
  return Number(size < BigInt(Number.MAX_SAFE_INTEGER) ? size : BigInt(Number.MAX_SAFE_INTEGER));
}

/** The subnet as it is given out, with its gateway: the first address that nothing else is meant for. */
export function withGateway(subnet: IpamSubnet, format: (ip: Ip) => string): IpamSubnet {
  const prefix = parsePrefix(subnet.subnet)?.prefix;
  if (subnet.gateway !== '' || prefix === undefined) return subnet;
  const aux = new Set(Object.values(subnet.auxAddresses).map((text) => parseIp(text)?.value));
  let value = prefix.first + 1n;
  while (aux.has(value)) value++;
  return { ...subnet, gateway: format({ family: prefix.family, value }) };
}

/** Whether one of the network's subnets has the address. */
export function subnetsHave(subnets: readonly IpamSubnet[], ip: Ip): boolean {
  return subnets.some((subnet) => {
    const prefix = parsePrefix(subnet.subnet)?.prefix;
    return prefix !== undefined && prefixHas(prefix, ip);
  });
}
