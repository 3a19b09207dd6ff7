/** An address as text and as the bytes of an answer. Pure. */

export interface HostAddress {
  readonly family: 4 | 6;
  /** 4 or 16 of them. A plain list: a typed array would take three times the memory. */
  readonly bytes: readonly number[];
  /** The same for every spelling of the address: for keys of maps. */
  readonly key: string;
}

const IPV6_GROUPS = 8;

function parseIpv4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  if (!parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return parts.map(Number);
}

function parseGroups(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const tail = parseIpv4(part);
      if (tail === undefined || index !== parts.length - 1) return undefined;
      const [first = 0, second = 0, third = 0, fourth = 0] = tail;
      groups.push(first * 256 + second, third * 256 + fourth);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function parseIpv6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '');
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '') : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = IPV6_GROUPS - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: halves.length === 2 ? missing : 0 }, () => 0), ...tail];
  return groups.flatMap((group) => [group >> 8, group & 255]);
}

function keyOf(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  let key = '';
  for (const byte of bytes) key += byte.toString(16).padStart(2, '0');
  return key;
}

function hostAddressOf(bytes: readonly number[], key = keyOf(bytes)): HostAddress {
  return { family: bytes.length === 4 ? 4 : 6, bytes, key };
}

/** Undefined when the text is no address. A length behind a slash and a zone behind a percent sign are left out. */
export function parseHostAddress(text: string): HostAddress | undefined {
  const address = /[/%]/.test(text) ? (text.split(/[/%]/)[0] ?? '') : text;
  if (address.includes(':')) {
    const bytes = parseIpv6(address);
    return bytes === undefined ? undefined : hostAddressOf(bytes);
  }
  const bytes = parseIpv4(address);
  // There is one spelling of it: the text itself is the key.
  return bytes === undefined ? undefined : hostAddressOf(bytes, address);
}

/** The addresses among the texts; what is none is left out: a table with one bad line still answers. */
export function parseHostAddresses(texts: readonly string[]): readonly HostAddress[] {
  return texts.flatMap((text) => parseHostAddress(text) ?? []);
}

/** A prefix such as "10.0.1.0/24". */
export interface Subnet {
  readonly bytes: readonly number[];
  readonly length: number;
}

export function parseSubnet(text: string): Subnet | undefined {
  const address = parseHostAddress(text);
  const length = Number(text.split('/')[1] ?? Number.NaN);
  if (address === undefined || !Number.isInteger(length) || length < 0 || length > address.bytes.length * 8)
    return undefined;
  return { bytes: address.bytes, length };
}

export function subnetContains(subnet: Subnet, address: HostAddress): boolean {
  if (subnet.bytes.length !== address.bytes.length) return false;
  for (let bit = 0; bit < subnet.length; bit += 8) {
    const mask = subnet.length - bit >= 8 ? 255 : (0xff00 >> (subnet.length - bit)) & 255;
    const index = bit >> 3;
    if (((subnet.bytes[index] ?? 0) & mask) !== ((address.bytes[index] ?? 0) & mask)) return false;
  }
  return true;
}

const REVERSE_IPV4 = '.in-addr.arpa';
const REVERSE_IPV6 = '.ip6.arpa';

/** The address that a name like "4.3.2.1.in-addr.arpa" stands for; undefined for other names and for zones above. */
export function parseReverseName(name: string): HostAddress | undefined {
  if (name.endsWith(REVERSE_IPV4)) {
    const bytes = parseIpv4(name.slice(0, -REVERSE_IPV4.length).split('.').toReversed().join('.'));
    return bytes === undefined ? undefined : hostAddressOf(bytes);
  }
  if (!name.endsWith(REVERSE_IPV6)) return undefined;
  const digits = name.slice(0, -REVERSE_IPV6.length).split('.').toReversed();
  if (digits.length !== 32 || !digits.every((digit) => /^[0-9a-f]$/.test(digit))) return undefined;
  const bytes: number[] = [];
  for (let index = 0; index < 32; index += 2) bytes.push(Number.parseInt(`${digits[index]}${digits[index + 1]}`, 16));
  return hostAddressOf(bytes);
}
