/**
 * A sorted map from strings that never changes: every change gives a new map that shares nearly everything with the old
 * one (a B+ tree with copied paths). Taking a copy costs nothing, a change copies a few short arrays.
 *
 * An editor that makes many changes passes an owner, an object of its own: nodes that were made for that owner are
 * changed in place. When the owner is dropped, they are as immutable as all others; before that, no map that was made
 * with it may be edited with another.
 */

/** Entries of a leaf, children of a branch. Of 16, 32, 64 and 128 the fastest for 100,000 tasks, by little. */
const WIDTH = 32;
/** A node that falls below this is joined with a neighbour, or takes from it. */
const WIDTH_MIN = WIDTH / 4;

/** Marks the nodes that one editor may change in place. */
export type Owner = object;

/** Keys in order, each with its head: numbers are compared much faster than strings that are scattered in memory. */
interface Keyed {
  readonly owner: Owner | undefined;
  readonly heads: number[];
  readonly keys: string[];
}

interface Leaf<V> extends Keyed {
  readonly isLeaf: true;
  readonly values: V[];
}

/**
 * Invariant: for i > 0, `keys[i]` is at most the first key under `children[i]` and above all under `children[i - 1]`.
 * Nothing compares with `keys[0]`, which may be any.
 */
interface Branch<V> extends Keyed {
  readonly isLeaf: false;
  readonly children: TreeNode<V>[];
}

/** Invariant: none but the root of an empty map is empty. */
type TreeNode<V> = Leaf<V> | Branch<V>;

export class PersistentMap<V> {
  static readonly #EMPTY = new PersistentMap<never>(
    { isLeaf: true, owner: undefined, heads: [], keys: [], values: [] },
    0,
  );

  readonly size: number;
  readonly #root: TreeNode<V>;

  private constructor(root: TreeNode<V>, size: number) {
    this.#root = root;
    this.size = size;
  }

  static empty<V>(): PersistentMap<V> {
    return PersistentMap.#EMPTY;
  }

  get(key: string): V | undefined {
    const head = headOf(key);
    let node = this.#root;
    while (!node.isLeaf) node = node.children[childPosition(node, head, key)] as TreeNode<V>;
    const position = lowerBound(node, head, key);
    return node.keys[position] === key ? node.values[position] : undefined;
  }

  /** The map with the key set to the value. */
  with(key: string, value: V, owner?: Owner): PersistentMap<V> {
    const change: Insertion<V> = { key, head: headOf(key), value, owner, added: false, split: undefined };
    const root = inserted(this.#root, change);
    const size = this.size + (change.added ? 1 : 0);
    const { split } = change;
    if (split === undefined) return new PersistentMap(root, size);
    const heads = [root.heads[0] as number, split.heads[0] as number];
    const keys = [root.keys[0] as string, split.keys[0] as string];
    return new PersistentMap<V>({ isLeaf: false, owner, heads, keys, children: [root, split] }, size);
  }

  /** The map without the key; this very map when it is not in it. */
  without(key: string, owner?: Owner): PersistentMap<V> {
    const root = removed(this.#root, headOf(key), key, owner);
    if (root === undefined) return this;
    if (this.size === 1) return PersistentMap.empty();
    return new PersistentMap(withoutIdleRoot(root), this.size - 1);
  }

  /** Keys in order, beginning with the first that is not below `from`. */
  keys(from = ''): IterableIterator<string> {
    return new Walk<V, string>(this.#root, from, (leaf, position) => leaf.keys[position] as string);
  }

  /** The last key in order. */
  lastKey(): string | undefined {
    let node = this.#root;
    while (!node.isLeaf) node = node.children.at(-1) as TreeNode<V>;
    return node.keys.at(-1);
  }

  /** Values in the order of their keys, beginning with that of the first key not below `from`. */
  values(from = ''): IterableIterator<V> {
    return new Walk<V, V>(this.#root, from, (leaf, position) => leaf.values[position] as V);
  }
}

const HEAD_UNITS = 6;
const WIDE_UNIT = 255;

/**
 * The first six characters as a number whose order never contradicts that of the keys; equal heads say nothing. From
 * the first character on that does not fit a byte, the rest is left out.
 */
function headOf(key: string): number {
  let head = 0;
  let position = 0;
  const length = Math.min(key.length, HEAD_UNITS);
  while (position < length) {
    const unit = key.charCodeAt(position++);
    if (unit >= WIDE_UNIT) {
      head = head * 256 + WIDE_UNIT;
      break;
    }
    head = head * 256 + unit;
  }
  while (position++ < HEAD_UNITS) head *= 256;
  return head;
}

/** Position of the first key that is not below the given one. */
function lowerBound(node: Keyed, head: number, key: string): number {
  const { heads } = node;
  let low = 0;
  let high = heads.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = heads[middle] as number;
    if (other < head || (other === head && (node.keys[middle] as string) < key)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Position of the child that holds the key if any does. */
function childPosition(node: Keyed, head: number, key: string): number {
  const { heads } = node;
  let low = 1;
  let high = heads.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = heads[middle] as number;
    if (other < head || (other === head && (node.keys[middle] as string) <= key)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

interface Insertion<V> {
  readonly key: string;
  readonly head: number;
  readonly value: V;
  readonly owner: Owner | undefined;
  added: boolean;
  /** The right half of the node that was returned, when it grew too wide. */
  split: TreeNode<V> | undefined;
}

function inserted<V>(node: TreeNode<V>, change: Insertion<V>): TreeNode<V> {
  return node.isLeaf ? insertedIntoLeaf(node, change) : insertedIntoBranch(node, change);
}

function insertedIntoLeaf<V>(leaf: Leaf<V>, change: Insertion<V>): Leaf<V> {
  const position = lowerBound(leaf, change.head, change.key);
  if (leaf.keys[position] === change.key) return replacedInLeaf(leaf, position, change);
  change.added = true;
  const target = editableLeaf(leaf, change.owner);
  target.heads.splice(position, 0, change.head);
  target.keys.splice(position, 0, change.key);
  target.values.splice(position, 0, change.value);
  if (target.keys.length > WIDTH) change.split = splitOff(target, splitPosition(target, position), change.owner);
  return target;
}

function replacedInLeaf<V>(leaf: Leaf<V>, position: number, change: Insertion<V>): Leaf<V> {
  if (isOwned(leaf, change.owner)) {
    leaf.values[position] = change.value;
    return leaf;
  }
  const values = leaf.values.slice();
  values[position] = change.value;
  // Shares its keys with the leaf it comes from, so nobody may own it: whoever inserts makes a copy first.
  return { isLeaf: true, owner: undefined, heads: leaf.heads, keys: leaf.keys, values };
}

function insertedIntoBranch<V>(branch: Branch<V>, change: Insertion<V>): Branch<V> {
  const position = childPosition(branch, change.head, change.key);
  const before = branch.children[position] as TreeNode<V>;
  const child = inserted(before, change);
  const { split } = change;
  if (child === before && split === undefined) return branch;
  const target = editableBranch(branch, change.owner);
  target.children[position] = child;
  if (split === undefined) return target;
  change.split = undefined;
  target.heads.splice(position + 1, 0, split.heads[0] as number);
  target.keys.splice(position + 1, 0, split.keys[0] as string);
  target.children.splice(position + 1, 0, split);
  if (target.keys.length > WIDTH) change.split = splitOff(target, splitPosition(target, position + 1), change.owner);
  return target;
}

/** Keys that come in order, as in a restore, leave full nodes behind; others split a node in the middle. */
function splitPosition(node: Keyed, inserted: number): number {
  return inserted === node.keys.length - 1 ? inserted : node.keys.length >>> 1;
}

/** Takes the entries from the position on out of an editable node, as a node of their own. */
function splitOff<V>(node: TreeNode<V>, position: number, owner: Owner | undefined): TreeNode<V> {
  const heads = node.heads.splice(position);
  const keys = node.keys.splice(position);
  return node.isLeaf
    ? { isLeaf: true, owner, heads, keys, values: node.values.splice(position) }
    : { isLeaf: false, owner, heads, keys, children: node.children.splice(position) };
}

/** The node without the key, empty when it was the last one; undefined when the key is not in it. */
function removed<V>(node: TreeNode<V>, head: number, key: string, owner: Owner | undefined): TreeNode<V> | undefined {
  if (node.isLeaf) {
    const position = lowerBound(node, head, key);
    if (node.keys[position] !== key) return undefined;
    const target = editableLeaf(node, owner);
    target.heads.splice(position, 1);
    target.keys.splice(position, 1);
    target.values.splice(position, 1);
    return target;
  }
  const position = childPosition(node, head, key);
  const child = removed(node.children[position] as TreeNode<V>, head, key, owner);
  if (child === undefined) return undefined;
  const target = editableBranch(node, owner);
  if (child.keys.length === 0) {
    target.heads.splice(position, 1);
    target.keys.splice(position, 1);
    target.children.splice(position, 1);
    return target;
  }
  target.children[position] = child;
  if (child.keys.length < WIDTH_MIN && target.children.length > 1) mend(target, position, owner);
  return target;
}

/** The highest node that holds more than one child. */
function withoutIdleRoot<V>(root: TreeNode<V>): TreeNode<V> {
  let node = root;
  while (!node.isLeaf && node.children.length === 1) node = node.children[0] as TreeNode<V>;
  return node;
}

/** Joins a child that became small with a neighbour; when both are too much for one node, splits them evenly. */
function mend<V>(branch: Branch<V>, position: number, owner: Owner | undefined): void {
  const left = position === 0 ? 0 : position - 1;
  const right = left + 1;
  const joined = join(branch, left, owner);
  branch.children[left] = joined;
  if (joined.keys.length <= WIDTH) {
    branch.heads.splice(right, 1);
    branch.keys.splice(right, 1);
    branch.children.splice(right, 1);
    return;
  }
  const split = splitOff(joined, joined.keys.length >>> 1, owner);
  branch.heads[right] = split.heads[0] as number;
  branch.keys[right] = split.keys[0] as string;
  branch.children[right] = split;
}

/** Two neighbouring children as one new node. */
function join<V>(branch: Branch<V>, position: number, owner: Owner | undefined): TreeNode<V> {
  const left = branch.children[position] as TreeNode<V>;
  const right = branch.children[position + 1] as TreeNode<V>;
  const heads = [...left.heads, ...right.heads];
  const keys = [...left.keys, ...right.keys];
  if (left.isLeaf && right.isLeaf)
    return { isLeaf: true, owner, heads, keys, values: [...left.values, ...right.values] };
  // A branch's own first key is no bound (nothing compares with it); the parent's separator is.
  heads[left.keys.length] = branch.heads[position + 1] as number;
  keys[left.keys.length] = branch.keys[position + 1] as string;
  const children = [...(left as Branch<V>).children, ...(right as Branch<V>).children];
  return { isLeaf: false, owner, heads, keys, children };
}

function isOwned(node: Keyed, owner: Owner | undefined): boolean {
  return owner !== undefined && node.owner === owner;
}

function editableLeaf<V>(leaf: Leaf<V>, owner: Owner | undefined): Leaf<V> {
  if (isOwned(leaf, owner)) return leaf;
  const { heads, keys, values } = leaf;
  return { isLeaf: true, owner, heads: heads.slice(), keys: keys.slice(), values: values.slice() };
}

function editableBranch<V>(branch: Branch<V>, owner: Owner | undefined): Branch<V> {
  if (isOwned(branch, owner)) return branch;
  const { heads, keys, children } = branch;
  return { isLeaf: false, owner, heads: heads.slice(), keys: keys.slice(), children: children.slice() };
}

/** Goes through the leaves from left to right. */
class Walk<V, T> implements IterableIterator<T> {
  /** The branches above the leaf, and which of each one's children is on the way to it. */
  readonly #branches: Branch<V>[] = [];
  readonly #positions: number[] = [];
  readonly #pick: (leaf: Leaf<V>, position: number) => T;
  #leaf: Leaf<V>;
  #position: number;

  constructor(root: TreeNode<V>, from: string, pick: (leaf: Leaf<V>, position: number) => T) {
    this.#pick = pick;
    const head = headOf(from);
    let node = root;
    while (!node.isLeaf) {
      const position = childPosition(node, head, from);
      this.#branches.push(node);
      this.#positions.push(position);
      node = node.children[position] as TreeNode<V>;
    }
    this.#leaf = node;
    this.#position = lowerBound(node, head, from);
  }

  next(): IteratorResult<T> {
    if (this.#position >= this.#leaf.keys.length && !this.#nextLeaf()) return { done: true, value: undefined };
    return { done: false, value: this.#pick(this.#leaf, this.#position++) };
  }

  [Symbol.iterator](): this {
    return this;
  }

  #nextLeaf(): boolean {
    let depth = this.#branches.length - 1;
    while (depth >= 0 && this.#nextChild(depth) >= (this.#branches[depth] as Branch<V>).children.length) depth--;
    if (depth < 0) return false;
    const position = this.#nextChild(depth);
    this.#positions[depth] = position;
    let node = (this.#branches[depth] as Branch<V>).children[position] as TreeNode<V>;
    while (!node.isLeaf) {
      depth++;
      this.#branches[depth] = node;
      this.#positions[depth] = 0;
      node = node.children[0] as TreeNode<V>;
    }
    this.#leaf = node;
    this.#position = 0;
    return true;
  }

  #nextChild(depth: number): number {
    return (this.#positions[depth] as number) + 1;
  }
}
