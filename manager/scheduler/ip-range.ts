/** An address or a network in CIDR notation, for constraints on `node.ip`. */
import { bitsOf, type IpPrefix, parseIp, parsePrefix, prefixAt, prefixHas } from '#common/ip.ts';

/** Parses `10.0.0.0/8`, `fd00::/8` or a single address; undefined when the text is neither. */
export function parseIpRange(text: string): IpPrefix | undefined {
  if (text.includes('/')) return parsePrefix(text)?.prefix;
  const address = parseIp(text);
  return address === undefined ? undefined : prefixAt(address, bitsOf(address.family));
}

/** Whether the address lies in the range. A text that is no address lies nowhere. */
export function ipRangeContains(range: IpPrefix, addressText: string): boolean {
  const address = parseIp(addressText);
  return address !== undefined && prefixHas(range, address);
}
