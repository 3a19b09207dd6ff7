/** Addresses between text and the bytes that the kernel takes: 4 for IPv4, 16 for IPv6. */
import { isIPv4, isIPv6 } from 'node:net';
import { assert } from '#common/errors.ts';

/** In lists: both. */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** AF_INET or AF_INET6, by the look of an address or prefix. */
export function familyOf(text: string): typeof AF_INET | typeof AF_INET6 {
  return text.includes(':') ? AF_INET6 : AF_INET;
}

/** The bytes of an address in text form. Throws when it is not one: callers validate what users wrote. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  assert(isIPv6(address) && !address.includes('%'), `${address} is not an IP address`);
  return ipv6Bytes(address);
}

function ipv6Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  // "::ffff:10.0.0.1" has its last two groups in dotted form.
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  let text = address;
  if (dotted !== null) {
    const [high, low] = [addressBytes(dotted[2] ?? '').readUInt16BE(0), addressBytes(dotted[2] ?? '').readUInt16BE(2)];
    text = `${dotted[1]}${high.toString(16)}:${low.toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  before.forEach((group, index) => bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * index));
  after.forEach((group, index) => bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - 2 * (after.length - index)));
  return bytes;
}

/** The one way to write an address (RFC 5952): lower case, the longest run of zeros as "::". */
export function addressText(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join('.') : ipv6Text(bytes);
}

function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0));
  const gap = longestZeros(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (gap.length < 2) return hex(groups);
  return `${hex(groups.slice(0, gap.start))}::${hex(groups.slice(gap.start + gap.length))}`;
}

function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** The same address in its one way of writing. */
export function canonicalAddress(address: string): string {
  return address.includes(':') ? addressText(addressBytes(address)) : address;
}

export interface PrefixBytes {
  readonly bytes: Buffer;
  readonly length: number;
}

/** "10.0.0.0/8", "fd00::/64"; without a length it is one address. */
export function prefixBytes(prefix: string): PrefixBytes {
  const [address = '', length] = prefix.split('/');
  const bytes = addressBytes(address);
  return { bytes, length: length === undefined ? bytes.length * 8 : Number(length) };
}

/** "10.0.0.1/32", "fd00::1/128": the prefix that holds this address alone. */
export function hostPrefix(address: string): string {
  return `${canonicalAddress(address)}/${address.includes(':') ? 128 : 32}`;
}

/** "02:53:0a:ff:00:01" as 6 bytes. */
export function linkLayerBytes(address: string): Buffer {
  const bytes = Buffer.from(address.replaceAll(':', ''), 'hex');
  assert(bytes.length === 6, `${address} is not a device address`);
  return bytes;
}

export function linkLayerText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
