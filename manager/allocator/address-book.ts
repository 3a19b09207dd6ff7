import { formatIp, type IpFamily, parseIp } from '#common/ip.ts';
import type { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { AddressBits } from './address-bits.ts';
import { hashText } from './hash.ts';
import { Holders, isFixedHolder } from './holders.ts';
import { type AddressRange, capacityOf, rangeOf, reservedOf } from './subnets.ts';

/** Beyond this many addresses of a subnet looking further gives nothing: nobody has as many tasks. */
const WINDOW = 2n ** 32n;

export interface Usage {
  readonly used: number;
  readonly total: number;
}

/** Addresses of one network: who holds them, and which one is given out next. */
export class AddressBook {
  readonly #holders = new Holders<string>();
  readonly #bits: Readonly<Record<IpFamily, AddressBits>> = { 4: new AddressBits(), 6: new AddressBits() };
  #ranges: readonly AddressRange[] = [];
  /** As it was last counted; forgotten with every change. */
  readonly #usage = new Map<IpFamily, Usage>();

  get isEmpty(): boolean {
    return this.#holders.isEmpty;
  }

  setSubnets(subnets: readonly IpamSubnet[]): void {
    this.#usage.clear();
    this.#ranges = subnets.map(rangeOf).filter((range) => range !== undefined);
  }

  /** True when nobody held the address before. */
  hold(address: string, holder: string): boolean {
    const first = this.#holders.add(address, holder);
    if (first) this.#usage.clear();
    const ip = first ? parseIp(address) : undefined;
    if (ip !== undefined) this.#bits[ip.family].set(ip.value);
    return first;
  }

  /** True when nobody holds the address any more. */
  drop(address: string, holder: string): boolean {
    const last = this.#holders.remove(address, holder);
    if (last) this.#usage.clear();
    const ip = last ? parseIp(address) : undefined;
    if (ip !== undefined) this.#bits[ip.family].clear(ip.value);
    return last;
  }

  everyHolder(): ReadonlySet<string> {
    return this.#holders.everybody();
  }

  holdersOf(address: string): readonly string[] {
    return this.#holders.of(address);
  }

  /** Whether there are addresses of all these families, taken or not. */
  covers(families: readonly IpFamily[]): boolean {
    return families.every((family) => this.#ranges.some((range) => range.family === family));
  }

  /** Nobody else has the address. Who has it keeps it, also when a service would have it for its tasks by now. */
  isOnly(address: string, holder: string): boolean {
    return this.holdersOf(address).every((one) => one === holder || isFixedHolder(one));
  }

  /** A free address for whoever has this name; undefined when all are taken. The same one until something changes. */
  find(family: IpFamily, name: string): string | undefined {
    const ranges = this.#ranges.filter((range) => range.family === family);
    const sizes = ranges.map(({ first, last }) => Number(minimum(last - first + 1n, WINDOW)));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total === 0) return undefined;
    // Of 2^32 starting points the remainder hits some a little more often, which does no harm.
    let offset = hashText(name) % total;
    let start = 0;
    while (offset >= (sizes[start] ?? 0)) offset -= sizes[start++] ?? 0;
    // Round once: from the starting point to the end of all ranges, and from their beginning up to it.
    for (let step = 0; step <= ranges.length; step++) {
      const range = ranges[(start + step) % ranges.length];
      if (range === undefined) break;
      const from = step === 0 ? range.first + BigInt(offset) : range.first;
      const to = step === ranges.length ? range.first + BigInt(offset) - 1n : range.last;
      const found = this.#firstFree(range, from, to);
      if (found !== undefined) return formatIp({ family, value: found });
    }
    return undefined;
  }

  /** Addresses that are given out in all, and how many of them are. */
  usage(family: IpFamily): Usage {
    let usage = this.#usage.get(family);
    if (usage === undefined) {
      usage = this.#countUsage(family);
      this.#usage.set(family, usage);
    }
    return usage;
  }

  #countUsage(family: IpFamily): Usage {
    let used = 0;
    let total = 0;
    for (const range of this.#ranges) {
      if (range.family !== family) continue;
      total += capacityOf(range);
      used += this.#bits[family].count(range.first, range.last) - range.reserved.length;
    }
    return { used: Math.max(0, used), total: Math.min(total, Number.MAX_SAFE_INTEGER) };
  }

  #firstFree(range: AddressRange, from: bigint, to: bigint): bigint | undefined {
    return from > to ? undefined : this.#bits[range.family].firstFree(from, to);
  }
}

/** Addresses of the subnets that are nobody's to have. */
export function reservedAddresses(subnets: readonly IpamSubnet[]): readonly string[] {
  return subnets.flatMap((subnet) => [...new Set(reservedOf(subnet).map(formatIp))]);
}

function minimum(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
