/** A compose file as a tree whose every node knows where it stands. Immutable; parts are shared where the file has aliases. */
import type { Place } from './place.ts';

/** `!reset`: as if nobody had ever said anything here. `!override`: what was said before does not count. */
export type MergeTag = 'reset' | 'override';

interface NodeBase {
  readonly at: Place;
  readonly tag: MergeTag | undefined;
}

export interface ScalarNode extends NodeBase {
  readonly kind: 'scalar';
  /** What YAML 1.2 makes of it; text where a variable was filled in. */
  readonly value: string | number | boolean | null;
  /** As it was written, without quotes: `0444`, `1.10`. */
  readonly text: string;
  /** Written in quotes or as a block: never a number, whatever it looks like. */
  readonly quoted: boolean;
}

export interface ListNode extends NodeBase {
  readonly kind: 'list';
  readonly items: readonly ComposeNode[];
}

export interface MapEntry {
  /** Where the key stands. */
  readonly keyAt: Place;
  readonly value: ComposeNode;
}

export interface MapNode extends NodeBase {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
}

export type ComposeNode = ScalarNode | ListNode | MapNode;

export function textNode(text: string, at: Place): ScalarNode {
  return { kind: 'scalar', value: text, text, quoted: true, at, tag: undefined };
}

export function nullNode(at: Place): ScalarNode {
  return { kind: 'scalar', value: null, text: '', quoted: false, at, tag: undefined };
}

export function listNode(items: readonly ComposeNode[], at: Place, tag?: MergeTag): ListNode {
  return { kind: 'list', items, at, tag };
}

export function mapNode(entries: Iterable<readonly [string, MapEntry]>, at: Place, tag?: MergeTag): MapNode {
  return { kind: 'map', entries: new Map(entries), at, tag };
}

/** A map whose keys all stand where the map stands. */
export function mapOf(fields: Readonly<Record<string, ComposeNode | undefined>>, at: Place, tag?: MergeTag): MapNode {
  const entries: [string, MapEntry][] = [];
  for (const [key, value] of Object.entries(fields))
    if (value !== undefined) entries.push([key, { keyAt: value.at, value }]);
  return mapNode(entries, at, tag);
}

export function isNull(node: ComposeNode | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null);
}

export function child(node: ComposeNode | undefined, key: string): ComposeNode | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
}

/** The map with another value for the key; undefined takes the key away. */
export function withChild(map: MapNode, key: string, value: ComposeNode | undefined): MapNode {
  const entries = new Map(map.entries);
  if (value === undefined) entries.delete(key);
  else entries.set(key, { keyAt: map.entries.get(key)?.keyAt ?? value.at, value });
  return { ...map, entries };
}

export function kindText(node: ComposeNode): string {
  if (node.kind === 'list') return 'a list';
  if (node.kind === 'map') return 'a map';
  if (node.value === null) return 'nothing';
  return typeof node.value === 'string' ? 'a text' : `a ${typeof node.value}`;
}

/** Whether both say the same, wherever they stand. */
export function sameNodes(a: ComposeNode, b: ComposeNode): boolean {
  if (a === b) return true;
  if (a.kind === 'scalar') return b.kind === 'scalar' && a.value === b.value;
  if (a.kind === 'list')
    return (
      b.kind === 'list' &&
      a.items.length === b.items.length &&
      a.items.every((item, i) => {
        const other = b.items[i];
        return other !== undefined && sameNodes(item, other);
      })
    );
  if (b.kind !== 'map' || a.entries.size !== b.entries.size) return false;
  for (const [key, { value }] of a.entries) {
    const other = b.entries.get(key)?.value;
    if (other === undefined || !sameNodes(value, other)) return false;
  }
  return true;
}

/** A number that is not written as it would be printed (`0440`, `1.10`) is its text: that is what it is read by. */
function plainScalar({ value, text }: ScalarNode): unknown {
  return typeof value === 'number' && String(value) !== text ? text : value;
}

/** As plain values, for output and comparison. */
export function plain(node: ComposeNode): unknown {
  if (node.kind === 'scalar') return plainScalar(node);
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
}
