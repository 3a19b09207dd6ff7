import { type Owner, PersistentMap } from './persistent-map.ts';

/**
 * The ids under one key of an index, in order; never changes. Most keys have a handful (the tasks of a slot, of a node),
 * which an array holds in a tenth of what a tree takes.
 */
export type IdSet = readonly string[] | PersistentMap<true>;

/** An array above this size becomes a tree. */
const ARRAY_SIZE_MAX = 16;

export const EMPTY_ID_SET: IdSet = [];

export function idSetSize(set: IdSet): number {
  return set instanceof PersistentMap ? set.size : set.length;
}

export function idSetValues(set: IdSet): Iterable<string> {
  return set instanceof PersistentMap ? set.keys() : set;
}

export function idSetWith(set: IdSet, id: string, owner: Owner): IdSet {
  if (set instanceof PersistentMap) return set.with(id, true, owner);
  if (set.includes(id)) return set;
  if (set.length < ARRAY_SIZE_MAX) {
    const position = set.findIndex((other) => other > id);
    return position < 0 ? [...set, id] : [...set.slice(0, position), id, ...set.slice(position)];
  }
  let tree = PersistentMap.empty<true>();
  for (const other of set) tree = tree.with(other, true, owner);
  return tree.with(id, true, owner);
}

export function idSetWithout(set: IdSet, id: string, owner: Owner): IdSet {
  if (!(set instanceof PersistentMap)) return set.filter((other) => other !== id);
  const smaller = set.without(id, owner);
  // Half of where a tree begins, so that a set at the border is not turned over and over.
  return smaller.size > ARRAY_SIZE_MAX / 2 ? smaller : [...smaller.keys()];
}
