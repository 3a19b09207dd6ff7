/** The short forms of ports and mounts, as their long ones. */
import type { Problems } from './place.ts';
import { type ComposeNode, type MapNode, mapOf, type ScalarNode, textNode } from './tree.ts';

const PORT = /^(?:(.*):)?([^:]+)$/;
const RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;
const PORT_MAX = 65_535;

function range(text: string): readonly number[] | undefined {
  const match = RANGE.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first > last || last > PORT_MAX || first === 0) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`, each port a number or a range. */
export function longPorts(node: ScalarNode, problems: Problems, path: string): readonly ComposeNode[] {
  const bad = (why: string): readonly ComposeNode[] => {
    problems.error(
      node.at,
      path,
      `port ${JSON.stringify(node.text)}: ${why}`,
      'write "PUBLISHED:TARGET", for example "8080:80"',
    );
    return [];
  };
  const [spec = '', protocol = 'tcp', ...more] = node.text.split('/');
  if (more.length > 0) return bad('more than one protocol');
  const match = PORT.exec(spec);
  if (match === null) return bad('no port of the container');
  const targets = range(match[2] ?? '');
  if (targets === undefined)
    return bad(`${JSON.stringify(match[2])} is not a port from 1 to ${PORT_MAX} or a range of them`);
  const [host, address] = split(match[1] ?? '');
  if (address !== '' && host === '' && match[1]?.endsWith(':') !== true) return bad('the published port is missing');
  const published = host === '' ? undefined : range(host);
  if (host !== '' && published === undefined)
    return bad(`${JSON.stringify(host)} is not a port from 1 to ${PORT_MAX} or a range of them`);
  if (published !== undefined && targets.length > 1 && published.length !== targets.length)
    return bad('the ranges differ in length');
  const one = (target: number, port: number | undefined): MapNode =>
    mapOf(
      {
        target: number(target, node),
        published: port === undefined ? undefined : number(port, node),
        host_ip: address === '' ? undefined : textNode(address, node.at),
        protocol: textNode(protocol.toLowerCase(), node.at),
      },
      node.at,
    );
  if (published === undefined) return targets.map((target) => one(target, undefined));
  const [only = 0] = targets;
  return published.map((port, i) => one(targets.length > 1 ? (targets[i] ?? 0) : only, port));
}

/** `ADDRESS:PORT`, where the address may be of IPv6 in brackets. */
function split(host: string): readonly [port: string, address: string] {
  const at = host.lastIndexOf(':');
  if (at < 0) return [host, ''];
  return [host.slice(at + 1), host.slice(0, at).replace(/^\[(.*)\]$/, '$1')];
}

function number(value: number, { at }: ScalarNode): ScalarNode {
  return { kind: 'scalar', value, text: String(value), quoted: false, at, tag: undefined };
}

function flag(value: boolean, { at }: ScalarNode): ScalarNode {
  return { kind: 'scalar', value, text: String(value), quoted: false, at, tag: undefined };
}

const PROPAGATIONS: ReadonlySet<string> = new Set(['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave']);

/** `[SOURCE:]TARGET[:OPTIONS]`: a source that looks like a path is one of the node, any other names a volume. */
export function longMount(node: ScalarNode, problems: Problems, path: string): ComposeNode {
  const bad = (why: string, hint = 'write "SOURCE:TARGET", for example "data:/var/lib/data"'): ComposeNode => {
    problems.error(node.at, path, `volume ${JSON.stringify(node.text)}: ${why}`, hint);
    return mapOf({}, node.at);
  };
  const parts = node.text.split(':');
  if (parts.some((part) => part === '')) return bad('a part is empty');
  if (parts.length > 3) return bad('too many parts');
  const [first = '', second, third] = parts;
  const text = (value: string): ScalarNode => textNode(value, node.at);
  if (second === undefined) return mapOf({ type: text('volume'), target: text(first) }, node.at);
  const isPath = /^(?:\.{1,2}(?:$|\/)|\/|~(?:$|\/))/.test(first);
  const options = (third ?? '').split(',').filter((word) => word !== '');
  const bind: Record<string, ComposeNode> = isPath ? { create_host_path: flag(true, node) } : {};
  const volume: Record<string, ComposeNode> = {};
  let readOnly: ComposeNode | undefined;
  for (const option of options) {
    if (option === 'ro') readOnly = flag(true, node);
    else if (option === 'rw') readOnly = flag(false, node);
    else if (option === 'nocopy') volume.nocopy = flag(true, node);
    else if (PROPAGATIONS.has(option)) bind.propagation = text(option);
    else if (option === 'z' || option === 'Z') bind.selinux = text(option);
    else if (option === 'cached' || option === 'delegated' || option === 'consistent')
      problems.warn(node.at, path, `the option ${option} is for macOS and changes nothing on Linux`, 'leave it out');
    else
      return bad(
        `the option ${JSON.stringify(option)} is not known`,
        'use ro, rw, nocopy or a propagation such as rslave',
      );
  }
  return mapOf(
    {
      type: text(isPath ? 'bind' : 'volume'),
      source: text(first),
      target: text(second),
      read_only: readOnly,
      bind: Object.keys(bind).length > 0 ? mapOf(bind, node.at) : undefined,
      volume: Object.keys(volume).length > 0 ? mapOf(volume, node.at) : undefined,
    },
    node.at,
  );
}
