/** Values that have an order: numbers, sizes and versions. */

export interface Ordered {
  /** Of a number (`4`, `0.5`) or a size (`16GiB`, `512m`, in bytes); undefined for a version. */
  readonly amount: number | undefined;
  /** The numbers of a version, the most significant first. What follows them (`-rc1`, `-13-amd64`) does not count. */
  readonly version: readonly number[];
}

const AMOUNT = /^(\d{1,15}(?:\.\d{1,15})?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i;
const VERSION = /^v?(\d{1,15}(?:\.\d{1,15})*)(?:[-+~._ ].*)?$/i;
const UNITS = 'kmgtp';

/** Undefined when the text is none of them. */
export function parseOrdered(text: string): Ordered | undefined {
  const trimmed = text.trim();
  if (trimmed.length > 100) return undefined;
  const amount = AMOUNT.exec(trimmed);
  if (amount !== null) {
    const unit = amount[2];
    const factor = unit === undefined ? 1 : 1024 ** (UNITS.indexOf(unit.toLowerCase()) + 1);
    const version = unit === undefined ? (amount[1] ?? '').split('.').map(Number) : [];
    return { amount: Number(amount[1]) * factor, version };
  }
  const version = VERSION.exec(trimmed);
  if (version === null) return undefined;
  return { amount: undefined, version: (version[1] ?? '').split('.').map(Number) };
}

/** As numbers when both are, else as versions. Undefined when a size stands against a version. */
export function compareOrdered(a: Ordered, b: Ordered): number | undefined {
  if (a.amount !== undefined && b.amount !== undefined) return a.amount - b.amount;
  return compareVersions(a, b);
}

/** Number by number; one that is missing counts as 0. Undefined when one of them is a size. */
export function compareVersions(a: Ordered, b: Ordered): number | undefined {
  if (a.version.length === 0 || b.version.length === 0) return undefined;
  const length = Math.max(a.version.length, b.version.length);
  for (let index = 0; index < length; index++) {
    const difference = (a.version[index] ?? 0) - (b.version[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
