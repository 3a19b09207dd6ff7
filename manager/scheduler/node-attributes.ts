/** What constraints can ask a node for. */
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { genericAmount } from './generic-resources.ts';
import { normalArchitecture } from './platform.ts';

/**
 * How the values of an attribute compare. Text is equal without regard to case; a label is text that can be put in order
 * when it is a number, a size or a version.
 */
export type AttributeKind = 'text' | 'architecture' | 'label' | 'number' | 'size' | 'version' | 'address';

export interface NodeAttribute {
  readonly kind: AttributeKind;
  /** Of attributes that are no amounts; the empty text when the node has none. */
  readonly text: (node: Node) => string;
  /** Of the kinds number and size. */
  readonly amount?: (node: Node) => number;
}

const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';
const GENERIC = 'node.generic.';

export const KEYS_HINT =
  'use node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.*, node.resources.cpus, node.resources.memory, node.generic.*, engine.version, engine.kernel, engine.os or engine.labels.*';

const ATTRIBUTES: ReadonlyMap<string, NodeAttribute> = new Map<string, NodeAttribute>([
  ['node.id', { kind: 'text', text: (node) => node.id }],
  ['node.hostname', { kind: 'text', text: (node) => node.description?.hostname ?? '' }],
  ['node.role', { kind: 'text', text: (node) => (node.role === NodeRole.MANAGER ? 'manager' : 'worker') }],
  ['node.ip', { kind: 'address', text: (node) => node.status?.address ?? '' }],
  ['node.platform.os', { kind: 'text', text: (node) => node.description?.platform?.os ?? '' }],
  [
    'node.platform.arch',
    { kind: 'architecture', text: (node) => normalArchitecture(node.description?.platform?.architecture ?? '') },
  ],
  ['node.resources.cpus', amountOf('number', (node) => (node.description?.resources?.cpuNanos ?? 0) / 1e9)],
  ['node.resources.memory', amountOf('size', (node) => node.description?.resources?.memoryBytes ?? 0)],
  ['engine.version', { kind: 'version', text: (node) => node.description?.engine?.version ?? '' }],
  ['engine.kernel', { kind: 'version', text: (node) => node.description?.engine?.kernelVersion ?? '' }],
  ['engine.os', { kind: 'text', text: (node) => node.description?.engine?.operatingSystem ?? '' }],
]);

/** The attribute that the key names; undefined when no node can have it. Names of labels are read as they stand. */
export function attributeOf(key: string): NodeAttribute | undefined {
  const name = key.toLowerCase();
  const label = labelOf(key);
  if (label !== undefined) return { kind: 'label', text: label };
  if (name.startsWith(GENERIC) && key.length > GENERIC.length) {
    const kind = key.slice(GENERIC.length);
    return amountOf('number', (node) => genericAmount(node.description?.resources?.generic ?? [], kind));
  }
  return ATTRIBUTES.get(name);
}

/**
 * How to read the label that `node.labels.X` or `engine.labels.X` names; undefined for another key. The prefix is read
 * in any case, the label as it stands; a node without it has the empty text.
 */
export function labelOf(key: string): ((node: Node) => string) | undefined {
  const name = key.toLowerCase();
  if (name.startsWith(NODE_LABEL) && key.length > NODE_LABEL.length) {
    const label = key.slice(NODE_LABEL.length);
    return (node) => own(node.spec?.labels, label);
  }
  if (name.startsWith(ENGINE_LABEL) && key.length > ENGINE_LABEL.length) {
    const label = key.slice(ENGINE_LABEL.length);
    return (node) => own(node.description?.engine?.labels, label);
  }
  return undefined;
}

function amountOf(kind: 'number' | 'size', amount: (node: Node) => number): NodeAttribute {
  return { kind, amount, text: (node) => String(amount(node)) };
}

/** Labels are users' data: `constructor` is a label like any other. */
function own(labels: Readonly<Record<string, string>> | undefined, key: string): string {
  return labels !== undefined && Object.hasOwn(labels, key) ? (labels[key] ?? '') : '';
}
