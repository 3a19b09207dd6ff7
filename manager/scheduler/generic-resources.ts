/** What nodes have beside CPU and memory: so many of a kind that are all alike, or some that have names. */
import { GenericResource, type Resources } from '#gen/swarm/v1/specs.ts';

/** How many of a kind a task takes. */
export interface GenericNeed {
  readonly kind: string;
  readonly count: number;
}

/** What a reservation asks for, each kind once. */
export function genericNeeds(reservations: Resources | undefined): readonly GenericNeed[] {
  const needs = new Map<string, number>();
  for (const resource of reservations?.generic ?? [])
    needs.set(resource.kind, (needs.get(resource.kind) ?? 0) + amountOf(resource));
  return [...needs].map(([kind, count]) => ({ kind, count }));
}

/** How much of a kind a node has. */
export function genericAmount(resources: readonly GenericResource[], kind: string): number {
  let amount = 0;
  for (const resource of resources) if (resource.kind === kind) amount += amountOf(resource);
  return amount;
}

function amountOf({ value }: GenericResource): number {
  return value === undefined || value.kind === 'name' ? 1 : value.value;
}

export function sameGeneric(a: readonly GenericResource[], b: readonly GenericResource[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ kind, value }, index) => {
      const other = b[index];
      return kind === other?.kind && value?.kind === other.value?.kind && value?.value === other.value?.value;
    })
  );
}

/** What the tasks of one node have taken. */
export class GenericTable {
  /** By kind: how many without a name. */
  readonly #counts = new Map<string, number>();
  /** By kind and name: by how many tasks; more than one only where a node was described anew. */
  readonly #names = new Map<string, Map<string, number>>();

  /** Enters (+1) or takes back (-1) what a task was given. */
  apply(assigned: readonly GenericResource[], sign: 1 | -1): void {
    for (const { kind, value } of assigned)
      if (value?.kind === 'name') this.#applyName(kind, value.value, sign);
      else addTo(this.#counts, kind, sign * (value?.value ?? 1));
  }

  copy(): GenericTable {
    const copy = new GenericTable();
    for (const [kind, count] of this.#counts) copy.#counts.set(kind, count);
    for (const [kind, names] of this.#names) copy.#names.set(kind, new Map(names));
    return copy;
  }

  /** Whether a node that has `total` can give what is asked for. */
  fits(total: readonly GenericResource[], needs: readonly GenericNeed[]): boolean {
    return needs.every(({ kind, count }) => this.#free(total, kind) >= count);
  }

  /** Whether a task can go on with what it was given, on a node that has `total` now. */
  keeps(total: readonly GenericResource[], assigned: readonly GenericResource[]): boolean {
    return assigned.every(({ kind, value }) =>
      value?.kind === 'name'
        ? this.#freeNames(total, kind).includes(value.value)
        : this.#freeCount(total, kind) >= (value?.value ?? 1),
    );
  }

  /** What a task is given: named ones in the order in which the node names them, then of those without a name. */
  choose(total: readonly GenericResource[], needs: readonly GenericNeed[]): readonly GenericResource[] {
    return needs.flatMap(({ kind, count }) => {
      const names = this.#freeNames(total, kind).slice(0, count);
      const chosen = names.map((name) => GenericResource.create({ kind, value: { kind: 'name', value: name } }));
      const rest = count - names.length;
      if (rest === 0) return chosen;
      return [...chosen, GenericResource.create({ kind, value: { kind: 'count', value: rest } })];
    });
  }

  #applyName(kind: string, name: string, sign: 1 | -1): void {
    const names = this.#names.get(kind) ?? new Map<string, number>();
    addTo(names, name, sign);
    if (names.size === 0) this.#names.delete(kind);
    else this.#names.set(kind, names);
  }

  #free(total: readonly GenericResource[], kind: string): number {
    return this.#freeNames(total, kind).length + Math.max(0, this.#freeCount(total, kind));
  }

  #freeNames(total: readonly GenericResource[], kind: string): readonly string[] {
    const taken = this.#names.get(kind);
    const names: string[] = [];
    for (const resource of total)
      if (resource.kind === kind && resource.value?.kind === 'name' && taken?.has(resource.value.value) !== true)
        names.push(resource.value.value);
    return names;
  }

  #freeCount(total: readonly GenericResource[], kind: string): number {
    let count = -(this.#counts.get(kind) ?? 0);
    for (const resource of total)
      if (resource.kind === kind && resource.value?.kind === 'count') count += resource.value.value;
    return count;
  }
}

function addTo(counts: Map<string, number>, key: string, difference: number): void {
  const count = (counts.get(key) ?? 0) + difference;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
