/**
 * Placement constraints: `node.labels.zone == a`, `node.role != manager`. Parsed once, when a service is declared (what
 * does not parse is refused there), and again when the scheduler compiles a revision.
 */
import { invalidField, SwarmError } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { ipRangeContains, parseIpRange } from './ip-range.ts';
import { normalArchitecture } from './platform.ts';

export interface Constraint {
  /** As it was written. */
  readonly text: string;
  readonly operator: '==' | '!=';
  /** Whether the attribute has the value, before the operator is applied. */
  readonly has: (node: Node) => boolean;
}

const OPERATORS = ['==', '!='] as const;
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;
const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';
const KEYS_HINT =
  'use node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.* or engine.labels.*';

/** Attributes that are compared as text, ignoring case. A missing one is the empty text. */
const TEXT_ATTRIBUTES: ReadonlyMap<string, (node: Node) => string> = new Map([
  ['node.id', (node: Node) => node.id],
  ['node.hostname', (node: Node) => node.description?.hostname ?? ''],
  ['node.role', (node: Node) => (node.role === NodeRole.MANAGER ? 'manager' : 'worker')],
  ['node.platform.os', (node: Node) => node.description?.platform?.os ?? ''],
]);

/** The constraint, or the error to refuse it with; `field` is where it was given. */
export function parseConstraint(field: string, text: string): Constraint | SwarmError {
  const operator = OPERATORS.find((candidate) => text.includes(candidate));
  if (operator === undefined)
    return invalidField(
      field,
      `${field}: constraint ${quote(text)}: expected one operator from ==, !=`,
      'write KEY==VALUE',
    );
  const at = text.indexOf(operator);
  const key = text.slice(0, at).trim();
  const value = text.slice(at + operator.length).trim();
  if (!KEY.test(key))
    return invalidField(field, `${field}: constraint ${quote(text)}: key ${quote(key)} is invalid`, KEYS_HINT);
  if (!VALUE.test(value))
    return invalidField(
      field,
      `${field}: constraint ${quote(text)}: value ${quote(value)} is invalid`,
      'write KEY==VALUE',
    );
  const has = attributeTest(key, value);
  if (has === undefined)
    return invalidField(
      field,
      `${field}: constraint ${quote(text)}: no node has an attribute ${quote(key)}`,
      KEYS_HINT,
    );
  if (has === 'bad-address')
    return invalidField(field, `${field}: constraint ${quote(text)}: ${quote(value)} is no IP address or network`);
  return { text, operator, has };
}

/** All of them, or the first error. */
export function parseConstraints(field: string, texts: readonly string[]): readonly Constraint[] | SwarmError {
  const constraints: Constraint[] = [];
  for (const text of texts) {
    const parsed = parseConstraint(field, text);
    if (parsed instanceof SwarmError) return parsed;
    constraints.push(parsed);
  }
  return constraints;
}

/** For specs that are stored already: what does not parse (written by another release) is met by no node. */
export function compileConstraints(texts: readonly string[]): readonly Constraint[] {
  return texts.map((text) => {
    const parsed = parseConstraint('constraint', text);
    return parsed instanceof SwarmError ? { text, operator: '==', has: () => false } : parsed;
  });
}

/** Whether the node meets all of them. */
export function meetsConstraints(constraints: readonly Constraint[], node: Node): boolean {
  for (const constraint of constraints) if (constraint.has(node) !== (constraint.operator === '==')) return false;
  return true;
}

function attributeTest(key: string, value: string): ((node: Node) => boolean) | 'bad-address' | undefined {
  const wanted = value.toLowerCase();
  const name = key.toLowerCase();
  const text = TEXT_ATTRIBUTES.get(name);
  if (text !== undefined) return (node) => text(node).toLowerCase() === wanted;
  if (name === 'node.platform.arch') {
    const architecture = normalArchitecture(value);
    return (node) => normalArchitecture(node.description?.platform?.architecture ?? '') === architecture;
  }
  if (name === 'node.ip') {
    const range = parseIpRange(value);
    return range === undefined ? 'bad-address' : (node) => ipRangeContains(range, node.status?.address ?? '');
  }
  const label = labelOf(key);
  return label === undefined ? undefined : (node) => label(node).toLowerCase() === wanted;
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

/** Labels are users' data: `constructor` is a label like any other. */
function own(labels: Readonly<Record<string, string>> | undefined, key: string): string {
  return labels !== undefined && Object.hasOwn(labels, key) ? (labels[key] ?? '') : '';
}

function quote(text: string): string {
  return JSON.stringify(text);
}
