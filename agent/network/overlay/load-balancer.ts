/**
 * Which element of which nftables map is due for which backend of a service address. Pure: it answers with changes, and
 * somebody else makes them.
 *
 *   vips: 10.0.1.2 -> go to n3        n3: pick a number below 3, look up eps
 *   eps:  10.0.1.2 . 0 -> 10.0.1.11   10.0.1.2 . 1 -> 10.0.1.12   10.0.1.2 . 2 -> 10.0.1.13
 *
 * Chains belong to counts, not to services, so that a change is elements only and costs the same among ten thousand
 * services as among ten.
 */
import { assert } from '#common/errors.ts';
import type { ElementChange, ElementKey, ElementSet } from '../../kernel/nftables-elements.ts';

export const ROUTER_TABLE = 'starling';

export interface FamilySets {
  readonly vips: ElementSet;
  readonly eps: ElementSet;
  readonly hairpin: ElementSet;
}

function setsOf(family: 'ip' | 'ip6', address: 'ipv4' | 'ipv6'): FamilySets {
  const common = { family, table: ROUTER_TABLE };
  return {
    vips: { ...common, name: 'vips', key: [address], value: 'goto' },
    eps: { ...common, name: 'eps', key: [address, 'number'], value: address },
    hairpin: { ...common, name: 'hairpin', key: [address, address], value: undefined },
  };
}

export const SETS: Readonly<Record<4 | 6, FamilySets>> = { 4: setsOf('ip', 'ipv4'), 6: setsOf('ip6', 'ipv6') };
export const ALL_SETS: readonly ElementSet[] = [SETS[4], SETS[6]].flatMap(({ vips, eps, hairpin }) => [
  vips,
  eps,
  hairpin,
]);

export function setsFor(address: string): FamilySets {
  return SETS[address.includes(':') ? 6 : 4];
}

/** Where the elements of a service address go, and what chains are called. */
export interface BalancerNames {
  readonly setsFor: (vip: string) => Pick<FamilySets, 'vips' | 'eps'>;
  /** The chain for so many backends of the address. */
  readonly chainOf: (count: number, vip: string) => string;
}

/** The chain for services with so many backends. */
export function countChain(count: number): string {
  return `n${count}`;
}

/** The count of a chain's name; undefined for other chains. */
export function chainCount(name: string): number | undefined {
  const match = /^n([1-9]\d{0,5})$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** One transaction's worth: all that a service's new connections see of the change, they see at once. */
export type ElementGroup = readonly ElementChange[];

function slotChanges(
  { eps }: Pick<FamilySets, 'eps'>,
  vip: string,
  before: readonly string[],
  after: readonly string[],
): ElementChange[] {
  const changes: ElementChange[] = [];
  for (let slot = 0; slot < Math.max(before.length, after.length); slot++) {
    const [old, value] = [before[slot], after[slot]];
    if (old === value) continue;
    const key = `${vip} . ${slot}`;
    if (old !== undefined) changes.push({ set: eps, action: 'delete', key });
    if (value !== undefined) changes.push({ set: eps, action: 'add', key, value });
  }
  return changes;
}

function countChanges(
  { setsFor: sets, chainOf }: BalancerNames,
  vip: string,
  before: number,
  after: number,
): ElementChange[] {
  if (before === after) return [];
  const { vips } = sets(vip);
  const changes: ElementChange[] = [];
  if (before > 0) changes.push({ set: vips, action: 'delete', key: vip });
  if (after > 0) changes.push({ set: vips, action: 'add', key: vip, value: chainOf(after, vip) });
  return changes;
}

/** Those that stay keep their slots, new ones fill the holes, the last ones move into holes that are left. */
function assignSlots(before: readonly string[], wanted: readonly string[]): readonly string[] {
  const due = new Set(wanted);
  const slots: (string | undefined)[] = before.map((address) => (due.delete(address) ? address : undefined));
  for (const address of due) {
    const hole = slots.indexOf(undefined);
    if (hole < 0) slots.push(address);
    else slots[hole] = address;
  }
  for (let hole = slots.indexOf(undefined); hole >= 0; hole = slots.indexOf(undefined)) {
    const last = slots.pop();
    if (hole < slots.length) slots[hole] = last;
  }
  return slots.filter((address) => address !== undefined);
}

export interface BackendChange {
  readonly vip: string;
  readonly changes: ElementGroup;
  /** Backends that get no new connections any more. */
  readonly removed: readonly string[];
  /** The address had no backend and has one now. */
  readonly woke: boolean;
}

export class LoadBalancer {
  /** Backends of each service address by slot. Invariant: none is empty, no address is in one twice. */
  readonly #slots = new Map<string, readonly string[]>();
  readonly #names: BalancerNames;

  constructor(names: BalancerNames = { setsFor, chainOf: countChain }) {
    this.#names = names;
  }

  /** Takes over the slots that the kernel has, so that a restart moves nobody. */
  adopt(elements: ReadonlyMap<ElementKey, string>): void {
    const found = new Map<string, string[]>();
    for (const [key, address] of elements) {
      const end = key.lastIndexOf(' . ');
      const [vip, slot] = [key.slice(0, end), key.slice(end + 3)];
      const slots = found.get(vip) ?? [];
      slots[Number(slot)] = address;
      found.set(vip, slots);
    }
    for (const [vip, slots] of found) {
      const whole = [...new Set(Array.from(slots).filter((one) => one !== undefined))];
      if (whole.length > 0) this.#slots.set(vip, whole);
    }
  }

  /** Who gets new connections to the address from now on; nobody: they are refused. */
  setBackends(vip: string, wanted: readonly string[]): BackendChange {
    const before = this.#slots.get(vip) ?? [];
    const after = assignSlots(before, wanted);
    assert(new Set(after).size === after.length, 'a backend has one slot');
    if (after.length === 0) this.#slots.delete(vip);
    else this.#slots.set(vip, after);
    const kept = new Set(after);
    return {
      vip,
      changes: [
        ...slotChanges(this.#names.setsFor(vip), vip, before, after),
        ...countChanges(this.#names, vip, before.length, after.length),
      ],
      removed: before.filter((address) => !kept.has(address)),
      woke: before.length === 0 && after.length > 0,
    };
  }

  backends(vip: string): readonly string[] {
    return this.#slots.get(vip) ?? [];
  }

  /** Service addresses that have backends. */
  vips(): Iterable<string> {
    return this.#slots.keys();
  }

  /** Every element that is due in the maps of a family. */
  elements(family: 4 | 6): { readonly vips: Map<ElementKey, string>; readonly eps: Map<ElementKey, string> } {
    const vips = new Map<ElementKey, string>();
    const eps = new Map<ElementKey, string>();
    for (const [vip, slots] of this.#slots) {
      if (vip.includes(':') !== (family === 6)) continue;
      vips.set(vip, this.#names.chainOf(slots.length, vip));
      slots.forEach((address, slot) => eps.set(`${vip} . ${slot}`, address));
    }
    return { vips, eps };
  }

  /** Counts that some service has: each needs its chain. */
  counts(): ReadonlySet<number> {
    return new Set(Array.from(this.#slots.values(), (slots) => slots.length));
  }
}
