/** How two objects differ, field by field, each difference with the path of its field. */

export interface FieldDifference {
  /** `task.container.image`, `labels[com.example.tier]`, `task.container.mounts[/data].read_only`. */
  readonly path: string;
  /** As JSON; empty where there is none. */
  readonly before: string;
  readonly after: string;
}

/** How the elements of a list are told apart. A path has `[]` where a list or map has its key. */
export type ListOrder =
  /** By what the function says: an element that moved is the same, one with another key is another. */
  | { readonly kind: 'keyed'; readonly keyOf: (element: unknown) => string }
  /** The list as a whole is the value: order matters, and single elements mean nothing. */
  | { readonly kind: 'whole' };

/** What the differ cannot know of plain objects. Every function may be left out. */
export interface FieldRules {
  /** What stands for a message that is not set, so that its fields can be compared one by one. */
  missing?(path: string): object | undefined;
  listOrder?(path: string, list: readonly unknown[]): ListOrder;
  /** Whether the entries of the object are keys of a map and not fields. */
  isMap?(path: string): boolean;
  /** A value as it is compared and shown: the name of an enum's number, a duration; undefined leaves it as it is. */
  shown?(path: string, value: unknown): unknown;
  /** Compared, but never shown. */
  isSecret?(path: string): boolean;
}

/** Stands for what is not to be seen. */
const HIDDEN = '(hidden)';

/** Sorted by path. Fields whose names begin with `$` are not looked at. */
export function fieldDifferences(before: unknown, after: unknown, rules: FieldRules = {}): readonly FieldDifference[] {
  const found: FieldDifference[] = [];
  compare({ path: '', pattern: '' }, before, after, rules, found);
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

interface Place {
  readonly path: string;
  /** The path with `[]` for every key: what rules are about. */
  readonly pattern: string;
}

function compare(place: Place, before: unknown, after: unknown, rules: FieldRules, found: FieldDifference[]): void {
  const { pattern } = place;
  const left = seen(pattern, before, after, rules);
  const right = seen(pattern, after, before, rules);
  if (Object.is(left, right)) return;
  if (Array.isArray(left) || Array.isArray(right)) {
    compareLists(place, listOf(left), listOf(right), rules, found);
  } else if (isObject(left) && isObject(right)) {
    const isMap = rules.isMap?.(pattern) === true;
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      if (!isMap && key.startsWith('$')) continue;
      compare(isMap ? element(place, key) : field(place, key), own(left, key), own(right, key), rules, found);
    }
  } else {
    note(place, before, after, rules, found);
  }
}

function compareLists(
  place: Place,
  left: readonly unknown[],
  right: readonly unknown[],
  rules: FieldRules,
  found: FieldDifference[],
): void {
  const order = rules.listOrder?.(place.pattern, left.length > 0 ? left : right) ?? { kind: 'whole' };
  if (order.kind === 'whole') {
    note(place, left.length === 0 ? undefined : left, right.length === 0 ? undefined : right, rules, found);
    return;
  }
  const lefts = byKey(left, order.keyOf);
  const rights = byKey(right, order.keyOf);
  for (const key of new Set([...lefts.keys(), ...rights.keys()]))
    compare(element(place, key), lefts.get(key), rights.get(key), rules, found);
}

/** Elements with the same key are told apart by their place among them. */
function byKey(list: readonly unknown[], keyOf: (element: unknown) => string): ReadonlyMap<string, unknown> {
  const keyed = new Map<string, unknown>();
  for (const one of list) {
    const key = keyOf(one);
    let free = key;
    for (let count = 2; keyed.has(free); count++) free = `${key} ${count}`;
    keyed.set(free, one);
  }
  return keyed;
}

function note(place: Place, left: unknown, right: unknown, rules: FieldRules, found: FieldDifference[]): void {
  if (textOf(place.pattern, left, {}) === textOf(place.pattern, right, {})) return;
  const before = textOf(place.pattern, left, rules);
  const after = textOf(place.pattern, right, rules);
  found.push({ path: place.path, before, after });
}

/** With defaults where one side has an object and the other has nothing. */
function seen(pattern: string, value: unknown, other: unknown, rules: FieldRules): unknown {
  if (value === undefined && isObject(other) && !pattern.endsWith('[]')) return rules.missing?.(pattern) ?? value;
  if (value === undefined) return undefined;
  return rules.shown?.(pattern, value) ?? value;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function own(object: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function field({ path, pattern }: Place, key: string): Place {
  const name = fieldName(key);
  const join = (before: string): string => (before === '' ? name : `${before}.${name}`);
  return { path: join(path), pattern: join(pattern) };
}

function element({ path, pattern }: Place, key: string): Place {
  return { path: `${path}[${key}]`, pattern: `${pattern}[]` };
}

/** Keys in one order, so that equal objects have equal text. */
function textOf(pattern: string, value: unknown, rules: FieldRules): string {
  return value === undefined ? '' : JSON.stringify(rendered(pattern, value, rules));
}

/** As it is shown: without what is secret, and within objects without fields that are empty. */
function rendered(pattern: string, raw: unknown, rules: FieldRules): unknown {
  if (rules.isSecret?.(pattern) === true) return HIDDEN;
  const value = rules.shown?.(pattern, raw) ?? raw;
  if (Array.isArray(value)) return value.map((one) => rendered(`${pattern}[]`, one, rules));
  if (value instanceof Uint8Array) return `${value.length} bytes, ${checksum(value)}`;
  if (!isObject(value)) return value;
  const isMap = rules.isMap?.(pattern) === true;
  const entries = Object.entries(value)
    .filter(([name, inner]) => (isMap || !name.startsWith('$')) && (isMap || !isEmpty(inner)))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const place = { path: '', pattern };
  return Object.fromEntries(
    entries.map(([name, inner]) => {
      const at = isMap ? element(place, name) : field(place, name);
      return [isMap ? name : fieldName(name), rendered(at.pattern, inner, rules)];
    }),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === '' || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

/** As the contract has it: `read_only`. */
function fieldName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Tells contents apart without showing them: FNV-1a. */
function checksum(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, '0');
}
