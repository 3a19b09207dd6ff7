/** IPv4 arithmetic on unsigned 32-bit numbers. */

/** The number of a dotted address; undefined when the text is not one. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatAddress(value: number): string {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.');
}

/** A range of addresses. Invariant: `base` has no bit set beyond `length`. */
export interface Prefix {
  readonly base: number;
  /** 0 to 32. */
  readonly length: number;
}

/** "10.255.0.0/16"; undefined when the text is not that, or has bits set behind the prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = '', lengthText = ''] = text.split('/');
  const base = parseAddress(address);
  if (base === undefined || text.split('/').length !== 2 || !/^\d{1,2}$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > 32 || base % 2 ** (32 - length) !== 0) return undefined;
  return { base, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.base)}/${prefix.length}`;
}

/** How many addresses the prefix has. */
export function prefixSize(prefix: Prefix): number {
  return 2 ** (32 - prefix.length);
}

export function prefixContains(prefix: Prefix, address: number): boolean {
  return address >= prefix.base && address < prefix.base + prefixSize(prefix);
}

export function prefixesOverlap(left: Prefix, right: Prefix): boolean {
  return prefixContains(left, right.base) || prefixContains(right, left.base);
}

/** A device address derived from an IPv4 one: locally administered, the same on every start. */
export function linkLayerAddressFor(address: number): string {
  return [
    '02',
    '53',
    ...formatAddress(address)
      .split('.')
      .map((part) => Number(part).toString(16).padStart(2, '0')),
  ].join(':');
}
