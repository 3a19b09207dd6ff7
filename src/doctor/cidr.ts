/** Blocks of addresses, IPv4 and IPv6 alike. */
import { isIP } from 'node:net';

export interface Cidr {
  readonly family: 4 | 6;
  /** First address. Invariant: no bit is set beyond `length`. */
  readonly base: bigint;
  readonly length: number;
}

const BITS = { 4: 32, 6: 128 } as const;

/** Reads "10.1.2.0/24", "fd00::/8" or a single address. Bits beyond the length are cleared. Undefined for rubbish. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', lengthText, ...rest] = text.split('/');
  const family = isIP(address);
  if ((family !== 4 && family !== 6) || rest.length > 0) return undefined;
  const bits = BITS[family];
  if (lengthText !== undefined && !/^\d{1,3}$/.test(lengthText)) return undefined;
  const length = lengthText === undefined ? bits : Number(lengthText);
  if (length > bits) return undefined;
  const host = BigInt(bits - length);
  const value = family === 4 ? ipv4Value(address) : ipv6Value(address);
  return { family, base: (value >> host) << host, length };
}

export function overlaps(left: Cidr, right: Cidr): boolean {
  if (left.family !== right.family) return false;
  const shift = BigInt(BITS[left.family] - Math.min(left.length, right.length));
  return left.base >> shift === right.base >> shift;
}

function ipv4Value(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function ipv6Value(address: string): bigint {
  const [plain = ''] = address.split('%');
  const [head = '', tail] = plain.replace(/[^:]+\.[^:]+$/, ipv4Groups).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The two groups that "1.2.3.4" at the end of an IPv6 address stands for. */
function ipv4Groups(address: string): string {
  const value = ipv4Value(address);
  return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}
