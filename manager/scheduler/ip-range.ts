/** An address or a network in CIDR notation, for constraints on `node.ip`. Pure: no resolver, no Node. */
export interface IpRange {
  readonly bits: 32 | 128;
  readonly prefixLength: number;
  /** The address with the bits beyond the prefix cut off. */
  readonly network: bigint;
}

/** Parses `10.0.0.0/8`, `fd00::/8` or a single address; undefined when the text is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  let prefixLength: number = address.bits;
  if (slash >= 0) {
    const suffix = text.slice(slash + 1);
    if (!/^\d{1,3}$/.test(suffix)) return undefined;
    prefixLength = Number(suffix);
    if (prefixLength > address.bits) return undefined;
  }
  return { bits: address.bits, prefixLength, network: networkOf(address.value, address.bits, prefixLength) };
}

/** Whether the address lies in the range. A text that is no address lies nowhere. */
export function ipRangeContains(range: IpRange, addressText: string): boolean {
  const address = parseIp(addressText);
  if (address === undefined || address.bits !== range.bits) return false;
  return networkOf(address.value, address.bits, range.prefixLength) === range.network;
}

interface Ip {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

function networkOf(value: bigint, bits: number, prefixLength: number): bigint {
  const hostBits = BigInt(bits - prefixLength);
  return (value >> hostBits) << hostBits;
}

function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = parseIpv4(text);
    return value === undefined ? undefined : { bits: 32, value };
  }
  const value = parseIpv6(text);
  return value === undefined ? undefined : { bits: 128, value };
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? '');
  const tail = groupsOf(halves[1] ?? '');
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array.from({ length: missing }, () => 0), ...tail])
    value = (value << 16n) | BigInt(group);
  return value;
}

/** The 16-bit groups of one side of `::`; a dotted IPv4 at the end counts as two. */
function groupsOf(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && index === parts.length - 1) {
      const value = parseIpv4(part);
      if (value === undefined) return undefined;
      groups.push(Number(value >> 16n), Number(value & 0xffffn));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}
