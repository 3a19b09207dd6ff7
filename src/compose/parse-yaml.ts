/** YAML 1.2 to trees. Whatever the text is, this ends soon: sizes, depths and aliases are bounded. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments } from 'yaml';
import { COMPOSE_LIMITS } from './config.ts';
import { type Place, refuseAt } from './place.ts';
import { type ComposeNode, type MapEntry, type MergeTag, mapNode, nullNode } from './tree.ts';

const MERGE_KEY = '<<';

/** Types that YAML gives to every value by itself. */
const CORE_TAGS: ReadonlySet<string> = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((type) => `tag:yaml.org,2002:${type}`),
);

/**
 * The documents of one file.
 * @throws SwarmError with line and column
 */
export function parseYaml(file: string, text: string): readonly ComposeNode[] {
  const start: Place = { file, line: 1, column: 1 };
  const bytes = Buffer.byteLength(text);
  if (bytes > COMPOSE_LIMITS.FILE_BYTES)
    refuseAt(start, '', `the file is ${bytes} bytes, the limit is ${COMPOSE_LIMITS.FILE_BYTES}`, 'divide it: include');
  const lines = new LineCounter();
  refuseStrangeCharacters(file, text);
  refuseDeep(file, text);
  const documents = parsed(text, lines, start);
  return documents.flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) {
      const { line, col } = lines.linePos(problem.pos[0]);
      refuseAt({ file, line, column: col }, '', `not valid YAML: ${firstLine(problem.message)}`);
    }
    if (document.contents === null) return [];
    return [new TreeBuilder(file, lines, document.anchors()).build(document.contents)];
  });
}

interface ParsedDocument {
  readonly contents: Node | null;
  readonly errors: readonly { readonly message: string; readonly pos: readonly [number, number] }[];
  anchors(): ReadonlyMap<string, Node>;
}

function parsed(text: string, lineCounter: LineCounter, start: Place): readonly ParsedDocument[] {
  try {
    const documents = parseAllDocuments(text, {
      version: '1.2',
      lineCounter,
      prettyErrors: false,
      uniqueKeys: true,
      stringKeys: false,
      keepSourceTokens: false,
      logLevel: 'silent',
    });
    if (!Array.isArray(documents)) return [];
    return documents.map(({ contents, errors }) => ({ contents, errors, anchors: () => anchorsOf(contents) }));
  } catch (thrown) {
    // The parser calls itself for what is nested.
    if (thrown instanceof RangeError) return refuseAt(start, '', 'maps and lists are nested too deep');
    throw thrown;
  }
}

/** The parser takes quadratic time for what is nested without end, so it never gets to see it. */
function refuseDeep(file: string, text: string): void {
  let line = 1;
  let depth = 0;
  let column = 0;
  for (const character of text) {
    column++;
    if (character === '\n') {
      line++;
      column = 0;
    } else if (character === '[' || character === '{') depth++;
    else if ((character === ']' || character === '}') && depth > 0) depth--;
    if (depth > 10 * COMPOSE_LIMITS.DEPTH) refuseAt({ file, line, column }, '', 'maps and lists are nested too deep');
  }
  let at = 0;
  for (const row of text.split('\n')) {
    at++;
    const dashes = /^(?:\s*[-?:](?=\s))+/.exec(row)?.[0] ?? '';
    if (dashes.length > 4 * COMPOSE_LIMITS.DEPTH && dashes.replace(/\s/g, '').length > COMPOSE_LIMITS.DEPTH)
      refuseAt({ file, line: at, column: 1 }, '', 'maps and lists are nested too deep');
  }
}

function refuseStrangeCharacters(file: string, text: string): void {
  // Control characters, but for those that end lines and set words apart.
  const match = /[^\P{Cc}\t\n\r\u0085]/u.exec(text);
  if (match === null) return;
  const before = text.slice(0, match.index);
  const line = before.split('\n').length;
  const column = match.index - before.lastIndexOf('\n');
  const code = match[0].charCodeAt(0).toString(16).padStart(4, '0');
  refuseAt({ file, line, column }, '', `the character U+${code} is not allowed in YAML`, 'is it a text file?');
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

function anchorsOf(contents: Node | null): ReadonlyMap<string, Node> {
  const anchors = new Map<string, Node>();
  const walk = (node: unknown): void => {
    if (isAlias(node)) return;
    if (isScalar(node) || isMap(node) || isSeq(node)) {
      // The same anchor twice: the later one counts for aliases behind it. Only the last is kept, and refused if it
      // lies behind the alias, which is the one case where that matters.
      if (node.anchor !== undefined && !anchors.has(node.anchor)) anchors.set(node.anchor, node);
    }
    if (isMap(node))
      for (const pair of node.items) {
        walk(pair.key);
        walk(pair.value);
      }
    else if (isSeq(node)) for (const item of node.items) walk(item);
  };
  walk(contents);
  return anchors;
}

/** Turns the parser's nodes into trees, writing aliases and merge keys out. */
class TreeBuilder {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #anchors: ReadonlyMap<string, Node>;
  /** Trees of anchors, made once, with their size when written out. */
  readonly #known = new Map<Node, { readonly tree: ComposeNode; readonly size: number }>();
  /** Anchors that are being turned into trees: an alias of one of them would never end. */
  readonly #open = new Set<Node>();
  #size = 0;

  constructor(file: string, lines: LineCounter, anchors: ReadonlyMap<string, Node>) {
    this.#file = file;
    this.#lines = lines;
    this.#anchors = anchors;
  }

  build(contents: Node): ComposeNode {
    return this.#node(contents, 0);
  }

  #place(node: unknown): Place {
    const offset = (node as { readonly range?: readonly number[] | null } | null)?.range?.[0] ?? 0;
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  #node(node: unknown, depth: number): ComposeNode {
    this.#grow(1, node);
    if (depth > COMPOSE_LIMITS.DEPTH) refuseAt(this.#place(node), '', 'maps and lists are nested too deep');
    if (isAlias(node)) return this.#alias(node, depth);
    if (isMap(node) || isSeq(node)) {
      const anchored = node.anchor !== undefined;
      if (anchored) this.#open.add(node);
      const before = this.#size;
      const tree = isMap(node) ? this.#map(node, depth) : this.#list(node, depth);
      if (anchored) {
        this.#open.delete(node);
        this.#known.set(node, { tree, size: this.#size - before });
      }
      return tree;
    }
    if (isScalar(node)) return this.#scalar(node);
    return nullNode(this.#place(node));
  }

  /** What aliases stand for counts each time. */
  #grow(count: number, node: unknown): void {
    this.#size += count;
    if (this.#size > COMPOSE_LIMITS.NODES)
      refuseAt(this.#place(node), '', `more than ${COMPOSE_LIMITS.NODES} values, with aliases written out`);
  }

  #alias(node: { readonly source: string }, depth: number): ComposeNode {
    const target = this.#anchors.get(node.source);
    if (target === undefined) return refuseAt(this.#place(node), '', `there is no anchor &${node.source}`);
    if (this.#open.has(target))
      return refuseAt(this.#place(node), '', `the alias *${node.source} is a part of what it stands for`);
    const known = this.#known.get(target);
    if (known !== undefined) {
      this.#grow(known.size, node);
      return known.tree;
    }
    return this.#node(target, depth + 1);
  }

  #scalar(node: {
    readonly value: unknown;
    readonly source?: string;
    readonly type?: string;
    readonly tag?: string;
  }): ComposeNode {
    const at = this.#place(node);
    const quoted = node.type !== undefined && node.type !== 'PLAIN';
    const { value } = node;
    const text = quoted ? String(value ?? '') : (node.source ?? String(value ?? ''));
    const tag = this.#tag(node);
    const typed =
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null
        ? value
        : String(value);
    return { kind: 'scalar', value: typed, text, quoted, at, tag };
  }

  #list(node: { readonly items: readonly unknown[]; readonly tag?: string }, depth: number): ComposeNode {
    const items = node.items.map((item) => this.#node(item, depth + 1));
    return { kind: 'list', items, at: this.#place(node), tag: this.#tag(node) };
  }

  #map(node: { readonly items: readonly Pair[]; readonly tag?: string }, depth: number): ComposeNode {
    const own = new Map<string, MapEntry>();
    const merged = new Map<string, MapEntry>();
    for (const { key, value } of node.items) {
      const keyAt = this.#place(key);
      const name = this.#key(key);
      const tree = value === null || value === undefined ? nullNode(keyAt) : this.#node(value, depth + 1);
      if (name === MERGE_KEY && !(isScalar(key) && key.type !== 'PLAIN')) this.#mergeKey(merged, tree);
      else own.set(name, { keyAt, value: tree });
    }
    const entries = new Map(own);
    // What the map says itself counts; what it takes over comes behind.
    for (const [name, entry] of merged) if (!entries.has(name)) entries.set(name, entry);
    return mapNode(entries, this.#place(node), this.#tag(node));
  }

  #key(key: unknown): string {
    const resolved = isAlias(key) ? this.#anchors.get(key.source) : key;
    if (!isScalar(resolved)) return refuseAt(this.#place(key), '', 'a key has to be a text');
    const { value, source } = resolved;
    if (value === null) return refuseAt(this.#place(key), '', 'a key has to be a text, and here is none');
    return typeof value === 'string' ? value : (source ?? String(value));
  }

  /** Of several, the first that says something counts. */
  #mergeKey(merged: Map<string, MapEntry>, tree: ComposeNode): void {
    if (tree.kind === 'map') {
      for (const [name, entry] of tree.entries) if (!merged.has(name)) merged.set(name, entry);
      this.#grow(tree.entries.size, undefined);
    } else if (tree.kind === 'list') for (const item of tree.items) this.#mergeKey(merged, item);
    else refuseAt(tree.at, '', 'the merge key << takes a map or a list of maps', 'write <<: *anchor');
  }

  #tag(node: { readonly tag?: string }): MergeTag | undefined {
    const { tag } = node;
    if (tag === undefined || tag === '!' || CORE_TAGS.has(tag)) return undefined;
    if (tag === '!reset') return 'reset';
    if (tag === '!override') return 'override';
    return refuseAt(this.#place(node), '', `the tag ${tag} is not known`, 'use !reset or !override, or none');
  }
}
