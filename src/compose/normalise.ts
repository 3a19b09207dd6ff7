/**
 * Every key in its long form, so that files can be merged key by key: lists of `NAME=value` become maps, short ports,
 * mounts and references their fields. What has no known form is left as it is; the conversion names it later.
 * Relative paths become absolute ones here, while it is known which file they are in.
 */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Problems } from './place.ts';
import { longMount, longPorts } from './short-forms.ts';
import {
  type ComposeNode,
  isNull,
  listNode,
  type MapEntry,
  type MapNode,
  mapNode,
  mapOf,
  nullNode,
  textNode,
  withChild,
} from './tree.ts';

/** What relative paths of a file are relative to, and who hears of what is wrong. */
export interface NormaliseContext {
  readonly directory: string;
  readonly problems: Problems;
}

type Change = (node: ComposeNode, context: NormaliseContext, path: string) => ComposeNode;

/** A file, or the part of one that a service is. */
export function normaliseFile(root: MapNode, context: NormaliseContext): MapNode {
  let out = root;
  for (const [section, change] of SECTIONS) {
    const entry = out.entries.get(section);
    if (entry === undefined || entry.value.kind !== 'map') continue;
    const { value } = entry;
    const members = [...value.entries].map(([name, member]): [string, MapEntry] => [
      name,
      member.value.kind === 'map'
        ? { ...member, value: applied(member.value, change, context, `${section}.${name}`) }
        : member,
    ]);
    out = withChild(out, section, mapNode(members, value.at, value.tag));
  }
  return out;
}

function applied(
  map: MapNode,
  changes: Readonly<Record<string, Change>>,
  context: NormaliseContext,
  path: string,
): MapNode {
  let out = map;
  for (const [key, change] of Object.entries(changes)) {
    const value = out.entries.get(key)?.value;
    if (value === undefined || (isNull(value) && value.tag === undefined)) continue;
    const { tag } = value;
    const changed = change(value, context, `${path}.${key}`);
    out = withChild(out, key, tag === undefined || changed.tag === tag ? changed : { ...changed, tag });
  }
  return out;
}

/** `[A=1, B]` or `{A: 1, B: }`: a map; a name alone has no value. */
const pairs: Change = (node) => {
  if (node.kind !== 'list' || !node.items.every((item) => item.kind === 'scalar')) return node;
  const entries = node.items.map((item): [string, MapEntry] => {
    const text = item.kind === 'scalar' ? item.text : '';
    const at = text.indexOf('=');
    const value = at < 0 ? nullNode(item.at) : textNode(text.slice(at + 1), item.at);
    return [at < 0 ? text : text.slice(0, at), { keyAt: item.at, value }];
  });
  return mapNode(entries, node.at, node.tag);
};

/** Labels: a name alone has an empty value. */
const labels: Change = (node, context, path) => {
  const map = pairs(node, context, path);
  if (map.kind !== 'map') return map;
  const entries = [...map.entries].map(([name, entry]): [string, MapEntry] => [
    name,
    isNull(entry.value) ? { ...entry, value: textNode('', entry.value.at) } : entry,
  ]);
  return mapNode(entries, map.at, map.tag);
};

/** One text or a list of them: a list. */
const list: Change = (node) =>
  node.kind === 'scalar' ? listNode([{ ...node, tag: undefined }], node.at, node.tag) : node;

const dependsOn: Change = (node) => {
  if (node.kind !== 'list') return node;
  const entries = node.items.map((item): [string, MapEntry] => [
    item.kind === 'scalar' ? item.text : '',
    { keyAt: item.at, value: mapOf({ condition: textNode('service_started', item.at) }, item.at) },
  ]);
  return mapNode(entries, node.at, node.tag);
};

const networks: Change = (node) => {
  if (node.kind !== 'list') return node;
  const entries = node.items.map((item): [string, MapEntry] => [
    item.kind === 'scalar' ? item.text : '',
    { keyAt: item.at, value: nullNode(item.at) },
  ]);
  return mapNode(entries, node.at, node.tag);
};

const ports: Change = (node, { problems }, path) => {
  if (node.kind !== 'list') return node;
  return listNode(
    node.items.flatMap((item, i) => (item.kind === 'scalar' ? longPorts(item, problems, `${path}[${i}]`) : [item])),
    node.at,
    node.tag,
  );
};

const volumes: Change = (node, context, path) => {
  if (node.kind !== 'list') return node;
  const long = node.items.map((item, i) =>
    item.kind === 'scalar' ? longMount(item, context.problems, `${path}[${i}]`) : item,
  );
  return listNode(
    long.map((item) => (item.kind === 'map' ? boundMount(item, context) : item)),
    node.at,
    node.tag,
  );
};

function boundMount(mount: MapNode, context: NormaliseContext): MapNode {
  const type = mount.entries.get('type')?.value;
  if (type?.kind !== 'scalar' || type.text !== 'bind') return mount;
  return applied(mount, { source: hostPath }, context, '');
}

/** Secrets and configs of a service: a name alone, or all fields. */
const references: Change = (node) => {
  if (node.kind !== 'list') return node;
  return listNode(
    node.items.map((item) =>
      item.kind === 'scalar' ? mapOf({ source: textNode(item.text, item.at) }, item.at) : item,
    ),
    node.at,
    node.tag,
  );
};

const devices: Change = (node) => {
  if (node.kind !== 'list') return node;
  return listNode(
    node.items.map((item) => {
      if (item.kind !== 'scalar') return item;
      const [source = '', target, permissions] = item.text.split(':');
      const text = (value: string | undefined): ComposeNode | undefined =>
        value === undefined ? undefined : textNode(value, item.at);
      // Beside a target there may be permissions alone: /dev/sda:r.
      const onlyPermissions = permissions === undefined && target !== undefined && /^[rwm]{1,3}$/.test(target);
      return mapOf(
        {
          source: text(source),
          target: text(onlyPermissions ? source : (target ?? source)),
          permissions: text(onlyPermissions ? target : permissions),
        },
        item.at,
      );
    }),
    node.at,
    node.tag,
  );
};

/** A list of "name=address"; written name:address, name=address, or as a map whose values may be lists. */
const extraHosts: Change = (node) => {
  if (node.kind === 'list')
    return listNode(
      node.items.map((item) =>
        item.kind === 'scalar' && !item.text.includes('=') ? textNode(item.text.replace(':', '='), item.at) : item,
      ),
      node.at,
      node.tag,
    );
  if (node.kind !== 'map') return node;
  const items = [...node.entries].flatMap(([name, { value }]) =>
    (value.kind === 'list' ? value.items : [value]).map((one) =>
      one.kind === 'scalar' ? textNode(`${name}=${one.text}`, one.at) : one,
    ),
  );
  return listNode(items, node.at, node.tag);
};

const envFiles: Change = (node, context, path) => {
  const files = list(node, context, path);
  if (files.kind !== 'list') return files;
  const long = files.items.map((item) =>
    item.kind === 'scalar' ? mapOf({ path: textNode(item.text, item.at) }, item.at) : item,
  );
  return listNode(
    long.map((item) => (item.kind === 'map' ? applied(item, { path: hostPath }, context, path) : item)),
    files.at,
    files.tag,
  );
};

const paths: Change = (node, context, path) => {
  const all = list(node, context, path);
  if (all.kind !== 'list') return all;
  return listNode(
    all.items.map((item) => hostPath(item, context, path)),
    all.at,
    all.tag,
  );
};

const hostPath: Change = (node, { directory }) => {
  if (node.kind !== 'scalar' || typeof node.value !== 'string') return node;
  return { ...textNode(absolutePath(node.text, directory), node.at), tag: node.tag };
};

/** `~` is the user's home, as in the shell. */
export function absolutePath(path: string, directory: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homedir(), path.slice(1));
  return isAbsolute(path) ? path : resolve(directory, path);
}

/** Profiles are files beside the compose file. */
const securityOptions: Change = (node, { directory }) => {
  if (node.kind !== 'list') return node;
  return listNode(
    node.items.map((item) => {
      const profile = item.kind === 'scalar' ? /^seccomp[=:](.+)$/.exec(item.text)?.[1] : undefined;
      if (profile === undefined || profile === 'unconfined' || profile === 'builtin') return item;
      return textNode(`seccomp=${absolutePath(profile, directory)}`, item.at);
    }),
    node.at,
    node.tag,
  );
};

const deploy: Change = (node, context, path) => (node.kind === 'map' ? applied(node, { labels }, context, path) : node);

const SERVICE: Readonly<Record<string, Change>> = {
  annotations: labels,
  cap_add: list,
  cap_drop: list,
  configs: references,
  depends_on: dependsOn,
  deploy,
  device_cgroup_rules: list,
  devices,
  dns: list,
  dns_opt: list,
  dns_search: list,
  env_file: envFiles,
  environment: pairs,
  expose: list,
  extra_hosts: extraHosts,
  label_file: paths,
  labels,
  networks,
  ports,
  profiles: list,
  secrets: references,
  security_opt: securityOptions,
  sysctls: labels,
  tmpfs: list,
  volumes,
};

const PAYLOAD: Readonly<Record<string, Change>> = { file: hostPath, labels };

const SECTIONS: readonly (readonly [string, Readonly<Record<string, Change>>])[] = [
  ['services', SERVICE],
  ['networks', { labels }],
  ['volumes', { labels }],
  ['secrets', PAYLOAD],
  ['configs', PAYLOAD],
];
