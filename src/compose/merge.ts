/**
 * One file over another. Maps are merged key by key, lists are joined, single values replaced; some keys have rules of
 * their own (`RULES`). Both sides are in their long form. `!reset` takes a key away, `!override` replaces it whole.
 */
import { type Problems, placeText } from './place.ts';
import {
  type ComposeNode,
  child,
  isNull,
  kindText,
  listNode,
  type MapEntry,
  type MapNode,
  mapNode,
  mapOf,
  type ScalarNode,
  withChild,
} from './tree.ts';

type Rule = (base: ComposeNode, over: ComposeNode) => ComposeNode;

/** Of two elements with the same key the later one counts, at the place of the earlier. */
function byKey(keyOf: (item: ComposeNode) => string): Rule {
  return (base, over) => {
    if (base.kind !== 'list' || over.kind !== 'list') return over;
    const items = new Map<string, ComposeNode>();
    for (const item of [...base.items, ...over.items]) items.set(keyOf(item), item);
    return listNode([...items.values()], over.at);
  };
}

function scalarText(node: ComposeNode | undefined): string {
  return node?.kind === 'scalar' ? node.text : node === undefined ? '' : JSON.stringify(keysOf(node));
}

/** Something that tells nodes without a plain text apart. */
function keysOf(node: ComposeNode): unknown {
  if (node.kind === 'scalar') return node.text;
  if (node.kind === 'list') return node.items.map(keysOf);
  return [...node.entries].map(([key, { value }]) => [key, keysOf(value)]);
}

const texts = byKey((item) => scalarText(item));
const mounts = byKey((item) => scalarText(child(item, 'target')).replace(/(.)\/+$/, '$1'));
const devices = byKey((item) => scalarText(child(item, 'target')) || scalarText(item));
const ports = byKey((item) =>
  ['host_ip', 'published', 'target', 'protocol']
    .map((field) => scalarText(child(item, field)) || (field === 'protocol' ? 'tcp' : ''))
    .join('/'),
);
const envFiles = byKey((item) => scalarText(child(item, 'path')));
const references = (directory: string): Rule =>
  byKey((item) => {
    const target = scalarText(child(item, 'target')) || scalarText(child(item, 'source'));
    return target.startsWith('/') ? target : `${directory}/${target}`;
  });

const replaced: Rule = (_base, over) => over;

/** Other options belong to another driver. */
const logging: Rule = (base, over) => {
  const before = child(base, 'driver');
  const after = child(over, 'driver');
  const same = isNull(before) || isNull(after) || scalarText(before) === scalarText(after);
  if (!same || base.kind !== 'map' || over.kind !== 'map') return over;
  const options = [child(base, 'options'), child(over, 'options')];
  const merged = new Map<string, MapEntry>(options.flatMap((one) => (one?.kind === 'map' ? [...one.entries] : [])));
  const fields = mapNode([...base.entries, ...over.entries], over.at);
  return merged.size === 0 ? fields : withChild(fields, 'options', mapNode(merged, over.at));
};

/** A number stands for both limits. */
const ulimit: Rule = (base, over) => {
  const long = (node: ComposeNode): ComposeNode =>
    node.kind === 'scalar' ? mapOf({ soft: node, hard: node }, node.at) : node;
  const [before, after] = [long(base), long(over)];
  if (before.kind !== 'map' || after.kind !== 'map') return over;
  return mapNode([...before.entries, ...after.entries], over.at);
};

const SUBNETS = byKey((item) => scalarText(child(item, 'subnet')) || scalarText(item));

/** By path, where `*` is any one key. Everything else is merged by its kind. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['services.*.cap_add', texts],
  ['services.*.cap_drop', texts],
  ['services.*.command', replaced],
  ['services.*.configs', references('')],
  ['services.*.device_cgroup_rules', texts],
  ['services.*.devices', devices],
  ['services.*.dns', texts],
  ['services.*.dns_opt', texts],
  ['services.*.dns_search', texts],
  ['services.*.entrypoint', replaced],
  ['services.*.env_file', envFiles],
  ['services.*.expose', texts],
  ['services.*.external_links', texts],
  ['services.*.extra_hosts', texts],
  ['services.*.group_add', texts],
  ['services.*.healthcheck.test', replaced],
  ['services.*.label_file', texts],
  ['services.*.links', texts],
  ['services.*.logging', logging],
  ['services.*.networks.*.aliases', texts],
  ['services.*.ports', ports],
  ['services.*.profiles', texts],
  ['services.*.secrets', references('/run/secrets')],
  ['services.*.security_opt', texts],
  ['services.*.tmpfs', byKey((item) => scalarText(item).split(':', 1)[0] ?? '')],
  ['services.*.ulimits.*', ulimit],
  ['services.*.volumes', mounts],
  ['networks.*.ipam.config', SUBNETS],
]);

/** Keys that a rule of their own ends at are found by the pattern of their path. */
const ANY_KEY_BELOW: ReadonlySet<string> = new Set(['', 'services', 'networks', 'volumes', 'secrets', 'configs']);

function below(pattern: string, key: string): string {
  if (pattern === '') return key;
  const any = ANY_KEY_BELOW.has(pattern) || pattern === 'services.*.networks' || pattern === 'services.*.ulimits';
  return `${pattern}.${any ? '*' : key}`;
}

/** `over` on top of `base`. What cannot be merged is named with both places. */
export function mergeFiles(base: MapNode, over: MapNode, problems: Problems): MapNode {
  const merged = merge(base, over, '', '', problems);
  return merged.kind === 'map' ? merged : over;
}

/** One service on top of another, for `extends`. */
export function mergeServices(base: MapNode, over: MapNode, path: string, problems: Problems): MapNode {
  const merged = merge(base, over, 'services.*', path, problems);
  return merged.kind === 'map' ? merged : over;
}

function merge(base: ComposeNode, over: ComposeNode, pattern: string, path: string, problems: Problems): ComposeNode {
  if (over.tag === 'override' || base.tag === 'reset') return over;
  const rule = RULES.get(pattern);
  if (isNull(base)) return over;
  // Nothing at all says nothing about maps and lists.
  if (isNull(over)) return base.kind === 'scalar' ? over : base;
  if (rule !== undefined) return keepingTag(base, rule(base, over));
  if (base.kind !== over.kind) {
    problems.error(
      over.at,
      path,
      `${kindText(over)}, where ${placeText(base.at)} has ${kindText(base)}`,
      'write both in the same form, or mark this one with !override',
    );
    return over;
  }
  if (base.kind === 'list' && over.kind === 'list') return listNode([...base.items, ...over.items], over.at, base.tag);
  if (base.kind === 'map' && over.kind === 'map') return mergeMaps(base, over, pattern, path, problems);
  return over;
}

/** A part that replaced what a file before said goes on doing so for files before that one. */
function keepingTag(base: ComposeNode, merged: ComposeNode): ComposeNode {
  return base.tag === undefined ? merged : { ...merged, tag: base.tag };
}

function mergeMaps(base: MapNode, over: MapNode, pattern: string, path: string, problems: Problems): MapNode {
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const before = entries.get(key);
    const value =
      before === undefined || entry.value.tag === 'reset'
        ? entry.value
        : merge(before.value, entry.value, below(pattern, key), path === '' ? key : `${path}.${key}`, problems);
    entries.set(key, { keyAt: entry.keyAt, value });
  }
  return mapNode(entries, over.at, base.tag);
}

/** Takes away what was marked with `!reset`, and the marks. */
export function withoutTags(node: ComposeNode): ComposeNode {
  if (node.kind === 'scalar') return untagged(node);
  if (node.kind === 'list') return listNode(node.items.filter(({ tag }) => tag !== 'reset').map(withoutTags), node.at);
  const entries = [...node.entries].filter(([, { value }]) => value.tag !== 'reset');
  return mapNode(
    entries.map(([key, entry]) => [key, { ...entry, value: withoutTags(entry.value) }] as const),
    node.at,
  );
}

function untagged(node: ScalarNode): ScalarNode {
  return node.tag === undefined ? node : { ...node, tag: undefined };
}
