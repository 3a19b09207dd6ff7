/** Reads values of a map as what they have to be. Whatever is something else is named with its place and left out. */
import { NANOS_PER_MS, parseDuration } from '#common/duration.ts';
import { parseSize } from '#common/size.ts';
import { checkKeys, type KeyTable, suggestion } from './keys.ts';
import type { Place, Problems } from './place.ts';
import { type ComposeNode, isNull, kindText, type MapNode, mapNode, type ScalarNode } from './tree.ts';

export class Fields {
  readonly map: MapNode;
  readonly path: string;
  readonly problems: Problems;

  constructor(map: MapNode, path: string, problems: Problems, table?: KeyTable) {
    this.map = map;
    this.path = path;
    this.problems = problems;
    if (table !== undefined) checkKeys(map, table, path, problems);
  }

  /** What is there, unless it is nothing. */
  node(key: string): ComposeNode | undefined {
    const value = this.map.entries.get(key)?.value;
    return isNull(value) ? undefined : value;
  }

  has(key: string): boolean {
    return this.node(key) !== undefined;
  }

  /** Where the key stands, or the map where it does not. */
  placeOf(key: string): Place {
    return this.map.entries.get(key)?.keyAt ?? this.map.at;
  }

  at(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`;
  }

  error(key: string, message: string, hint?: string): undefined {
    this.problems.error(this.node(key)?.at ?? this.placeOf(key), this.at(key), message, hint);
    return undefined;
  }

  warn(key: string, message: string, hint?: string): void {
    this.problems.warn(this.placeOf(key), this.at(key), message, hint);
  }

  #scalar(key: string, what: string): ScalarNode | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind === 'scalar') return node;
    return this.error(key, `${kindText(node)}, and ${what} is wanted`);
  }

  text(key: string): string | undefined {
    const node = this.#scalar(key, 'a text');
    if (node === undefined) return undefined;
    if (typeof node.value === 'boolean')
      return this.error(key, `${node.text} is no text here`, `put it in quotes: "${node.text}"`);
    return node.text;
  }

  bool(key: string): boolean | undefined {
    const node = this.#scalar(key, 'true or false');
    if (node === undefined) return undefined;
    const text = node.text.toLowerCase();
    if (['true', 'yes', 'y', 'on', '1'].includes(text)) return true;
    if (['false', 'no', 'n', 'off', '0'].includes(text)) return false;
    return this.error(key, `${JSON.stringify(node.text)} is not true or false`);
  }

  /** A whole number; `least` is the lowest that is allowed. */
  integer(key: string, least = 0): number | undefined {
    const node = this.#scalar(key, 'a whole number');
    if (node === undefined) return undefined;
    const value = wholeNumber(node.text);
    if (value === undefined || value < least)
      return this.error(
        key,
        `${JSON.stringify(node.text)} is not a whole number${least > -Infinity ? ` from ${least}` : ''}`,
      );
    return value;
  }

  number(key: string): number | undefined {
    const node = this.#scalar(key, 'a number');
    if (node === undefined) return undefined;
    const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(node.text) ? Number(node.text) : Number.NaN;
    return Number.isFinite(value) ? value : this.error(key, `${JSON.stringify(node.text)} is not a number`);
  }

  /** Permission bits: octal where they begin with 0, as in YAML 1.1, which compose files are written in. */
  mode(key: string): number | undefined {
    const node = this.#scalar(key, 'permission bits');
    if (node === undefined) return undefined;
    const octal = /^0o?([0-7]{1,5})$/.exec(node.text)?.[1];
    const value =
      octal !== undefined
        ? Number.parseInt(octal, 8)
        : node.quoted
          ? Number.parseInt(/^[0-7]{1,5}$/.exec(node.text)?.[0] ?? 'x', 8)
          : wholeNumber(node.text);
    if (value === undefined || Number.isNaN(value) || value < 0 || value > 0o7777)
      return this.error(key, `${JSON.stringify(node.text)} are no permission bits`, 'write 0440');
    return value;
  }

  durationMs(key: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const parsed = parseDuration(text);
    if (!parsed.ok || parsed.ns < 0)
      return this.error(key, `${JSON.stringify(text)} is not a duration`, 'write 500ms, 10s or 1h30m');
    // Nothing here counts in less than a millisecond.
    return Math.ceil(parsed.ns / NANOS_PER_MS);
  }

  bytes(key: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const parsed = parseSize(text);
    return parsed.ok ? parsed.bytes : this.error(key, `${JSON.stringify(text)} is not a size`, 'write 512k, 64m or 2g');
  }

  /** Billionths of a core. */
  cpuNanos(key: string): number | undefined {
    const value = this.number(key);
    if (value === undefined) return undefined;
    const nanos = Math.round(value * 1e9);
    return nanos >= 0 && Number.isSafeInteger(nanos)
      ? nanos
      : this.error(key, `${value} is not a number of cores`, 'write "0.5"');
  }

  oneOf<T>(key: string, words: Readonly<Record<string, T>>): T | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    if (Object.hasOwn(words, text)) return words[text];
    return this.error(key, `${JSON.stringify(text)} is not known`, suggestion(text, Object.keys(words)));
  }

  /** Texts of a list; a single one counts as a list of it. */
  texts(key: string): readonly string[] {
    const node = this.node(key);
    if (node === undefined) return [];
    const items = node.kind === 'list' ? node.items : [node];
    return items.flatMap((item, i) => {
      if (item.kind === 'scalar' && item.value !== null) return [item.text];
      this.problems.error(item.at, `${this.at(key)}[${i}]`, `${kindText(item)}, and a text is wanted`);
      return [];
    });
  }

  /** Maps of a list. */
  maps(key: string, table: KeyTable): readonly Fields[] {
    const node = this.node(key);
    if (node === undefined) return [];
    if (node.kind !== 'list') {
      this.error(key, `${kindText(node)}, and a list is wanted`);
      return [];
    }
    return node.items.flatMap((item, i) => {
      const path = `${this.at(key)}[${i}]`;
      if (item.kind === 'map') return [new Fields(item, path, this.problems, table)];
      this.problems.error(item.at, path, `${kindText(item)}, and a map is wanted`);
      return [];
    });
  }

  /** A map of known keys; undefined where there is none. */
  fields(key: string, table?: KeyTable): Fields | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    if (node.kind === 'map') return new Fields(node, this.at(key), this.problems, table);
    return this.error(key, `${kindText(node)}, and a map is wanted`);
  }

  /** A map whose keys are names that the user chose; with an empty one for a name that has nothing. */
  members(key: string, table?: KeyTable): readonly (readonly [string, Fields])[] {
    const node = this.node(key);
    if (node === undefined) return [];
    if (node.kind !== 'map') {
      this.error(key, `${kindText(node)}, and a map is wanted`);
      return [];
    }
    return [...node.entries].flatMap(([name, { keyAt, value }]) => {
      // Extensions may stand among the members, too.
      if (name.startsWith('x-') && this.path === '') return [];
      const path = `${this.at(key)}.${name}`;
      const map = isNull(value) ? mapNode([], keyAt) : value;
      if (map.kind === 'map') return [[name, new Fields(map, path, this.problems, table)] as const];
      this.problems.error(value.at, path, `${kindText(value)}, and a map is wanted`);
      return [];
    });
  }

  /** Texts by name. What has no value is left out. */
  record(key: string): Readonly<Record<string, string>> {
    const node = this.node(key);
    if (node === undefined) return {};
    if (node.kind !== 'map') {
      this.error(key, `${kindText(node)}, and a map is wanted`);
      return {};
    }
    const entries: [string, string][] = [];
    for (const [name, { value }] of node.entries) {
      if (isNull(value)) continue;
      if (value.kind === 'scalar') entries.push([name, value.text]);
      else this.problems.error(value.at, `${this.at(key)}.${name}`, `${kindText(value)}, and a text is wanted`);
    }
    return Object.fromEntries(entries);
  }
}

function wholeNumber(text: string): number | undefined {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : /^0[xX][0-9a-fA-F]+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
