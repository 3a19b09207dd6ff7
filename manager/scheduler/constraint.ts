/**
 * Placement constraints: `node.labels.zone == a`, `node.hostname in (web-1, web-2)`, `engine.version >= 1.2`,
 * `node.labels.rack =~ ^r[0-9]+$`. Parsed once, when a service is declared (what does not parse is refused there), and
 * again when the scheduler compiles a revision.
 */
import { invalidField, SwarmError } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { compareOrdered, compareVersions, type Ordered, parseOrdered } from './constraint-order.ts';
import { ipRangeContains, parseIpRange } from './ip-range.ts';
import { type AttributeKind, attributeOf, KEYS_HINT, type NodeAttribute } from './node-attributes.ts';
import { normalArchitecture } from './platform.ts';
import { compilePattern } from './safe-pattern.ts';

export interface Constraint {
  /** As it was written. */
  readonly text: string;
  readonly operator: Operator;
  readonly isMet: (node: Node) => boolean;
}

export type Operator = '==' | '!=' | 'in' | 'not in' | '<' | '<=' | '>' | '>=' | '=~' | '!~';

const OPERATORS: readonly Operator[] = ['==', '!=', '=~', '!~', '<=', '>=', '<', '>'];
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;
/** Values that a list may have. */
const LIST_MAX = 100;
/** Expressions and texts whose outcome is remembered: nodes have few different labels. */
const REMEMBERED_MAX = 1000;

/** What an operator can be used with. */
const ORDERED: ReadonlySet<AttributeKind> = new Set(['label', 'number', 'size', 'version']);
const PATTERNED: ReadonlySet<AttributeKind> = new Set(['text', 'architecture', 'label', 'version']);

interface Parts {
  readonly key: string;
  readonly operator: Operator;
  readonly value: string;
  /** Where the value begins. */
  readonly valueAt: number;
}

/** The constraint, or the error to refuse it with; `field` is where it was given. */
export function parseConstraint(field: string, text: string): Constraint | SwarmError {
  const fault = (at: number, message: string, hint?: string): SwarmError =>
    invalidField(field, `${field}: constraint ${quote(text)}: ${message} (at character ${at + 1})`, hint);
  const parts = split(text, fault);
  if (parts instanceof SwarmError) return parts;
  const { key, operator, value, valueAt } = parts;
  const attribute = attributeOf(key);
  if (attribute === undefined) return fault(text.indexOf(key), `no node has an attribute ${quote(key)}`, KEYS_HINT);
  const isMet = testOf(attribute, parts, fault);
  if (isMet instanceof SwarmError) return isMet;
  return isMet === undefined
    ? fault(valueAt, `${quote(value)} cannot be compared with ${key} by ${operator}`, usage(attribute.kind))
    : { text, operator, isMet };
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
    return parsed instanceof SwarmError ? { text, operator: '==', isMet: () => false } : parsed;
  });
}

/** Whether the node meets all of them. */
export function meetsConstraints(constraints: readonly Constraint[], node: Node): boolean {
  for (const constraint of constraints) if (!constraint.isMet(node)) return false;
  return true;
}

/** Whether releases before this one understand the constraint: equality of a few attributes was all they had. */
export function isPlainConstraint(text: string): boolean {
  const parsed = parseConstraint('constraint', text);
  if (parsed instanceof SwarmError) return true;
  if (parsed.operator !== '==' && parsed.operator !== '!=') return false;
  return !/^\s*(node\.(resources|generic)\.|engine\.(?!labels\.))/i.test(text);
}

type Fault = (at: number, message: string, hint?: string) => SwarmError;

function split(text: string, fault: Fault): Parts | SwarmError {
  const operator = findOperator(text);
  if (operator === undefined)
    return fault(text.trimEnd().length, `expected one operator from ${OPERATORS.join(', ')}, in, not in`, WRITE);
  const key = text.slice(0, operator.at).trim();
  const valueAt = operator.end + leadingSpace(text.slice(operator.end));
  const value = text.slice(operator.end).trim();
  if (!KEY.test(key)) return fault(leadingSpace(text), `key ${quote(key)} is invalid`, KEYS_HINT);
  const isPattern = operator.operator === '=~' || operator.operator === '!~';
  const isList = operator.operator === 'in' || operator.operator === 'not in';
  if (!isPattern && !isList && !VALUE.test(value)) return fault(valueAt, `value ${quote(value)} is invalid`, WRITE);
  if (value === '') return fault(valueAt, `value ${quote(value)} is invalid`, WRITE);
  return { key, operator: operator.operator, value, valueAt };
}

const WRITE = 'write KEY==VALUE, KEY in (A, B), KEY>=NUMBER or KEY=~EXPRESSION';

interface FoundOperator {
  readonly operator: Operator;
  readonly at: number;
  readonly end: number;
}

/** The first one; `in` and `not in` stand between spaces, or before a parenthesis. */
function findOperator(text: string): FoundOperator | undefined {
  const at = text.search(/[=!<>~]/);
  const words = /\s(not\s+in|in)(?=[\s(]|$)/i.exec(at < 0 ? text : text.slice(0, at));
  if (words !== null) {
    const operator = (words[1] ?? '').toLowerCase() === 'in' ? 'in' : 'not in';
    return { operator, at: words.index, end: words.index + words[0].length };
  }
  const operator = at < 0 ? undefined : OPERATORS.find((candidate) => text.startsWith(candidate, at));
  return operator === undefined ? undefined : { operator, at, end: at + operator.length };
}

function testOf(
  attribute: NodeAttribute,
  { operator, value, valueAt }: Parts,
  fault: Fault,
): ((node: Node) => boolean) | SwarmError | undefined {
  switch (operator) {
    case '==':
    case '!=': {
      const has = equality(attribute, value);
      if (has === undefined) return notComparable(attribute.kind, value, valueAt, fault);
      return operator === '==' ? has : (node) => !has(node);
    }
    case 'in':
    case 'not in':
      return membership(attribute, operator, value, valueAt, fault);
    case '=~':
    case '!~':
      return pattern(attribute, operator, value, valueAt, fault);
    default:
      return order(attribute, operator, value);
  }
}

function notComparable(kind: AttributeKind, value: string, at: number, fault: Fault): SwarmError {
  const what = kind === 'address' ? 'is no IP address or network' : 'is no number';
  return fault(at, `${quote(value)} ${what}`, usage(kind));
}

function equality({ kind, text, amount }: NodeAttribute, value: string): ((node: Node) => boolean) | undefined {
  if (amount !== undefined) {
    const wanted = parseOrdered(value)?.amount;
    return wanted === undefined ? undefined : (node) => amount(node) === wanted;
  }
  if (kind === 'address') {
    const range = parseIpRange(value);
    return range === undefined ? undefined : (node) => ipRangeContains(range, text(node));
  }
  if (kind === 'architecture') {
    const wanted = normalArchitecture(value);
    return (node) => text(node) === wanted;
  }
  const wanted = value.toLowerCase();
  return (node) => text(node).toLowerCase() === wanted;
}

function membership(
  attribute: NodeAttribute,
  operator: 'in' | 'not in',
  list: string,
  at: number,
  fault: Fault,
): ((node: Node) => boolean) | SwarmError {
  if (!list.startsWith('(')) return fault(at, `expected ( after ${operator}`, 'write KEY in (A, B)');
  if (!list.endsWith(')')) return fault(at + list.length, 'expected ) at the end', 'write KEY in (A, B)');
  const tests: ((node: Node) => boolean)[] = [];
  let place = at + 1;
  for (const item of list.slice(1, -1).split(',')) {
    const value = item.trim();
    const valueAt = place + leadingSpace(item);
    if (value === '' || !VALUE.test(value) || /[()]/.test(value))
      return fault(valueAt, `value ${quote(value)} is invalid`, 'write KEY in (A, B)');
    const has = equality(attribute, value);
    if (has === undefined) return notComparable(attribute.kind, value, valueAt, fault);
    tests.push(has);
    place += item.length + 1;
  }
  if (tests.length > LIST_MAX) return fault(at, `more than ${LIST_MAX} values`, 'label the nodes instead');
  const has = (node: Node): boolean => tests.some((test) => test(node));
  return operator === 'in' ? has : (node) => !has(node);
}

function pattern(
  { kind, text }: NodeAttribute,
  operator: '=~' | '!~',
  source: string,
  at: number,
  fault: Fault,
): ((node: Node) => boolean) | SwarmError | undefined {
  if (!PATTERNED.has(kind)) return undefined;
  const compiled = compilePattern(source);
  if (!('test' in compiled))
    return fault(at + compiled.at, `the expression ${compiled.message}`, 'write an expression such as ^web-[0-9]+$');
  const known = new Map<string, boolean>();
  const matches = (node: Node): boolean => {
    const value = text(node);
    const before = known.get(value);
    if (before !== undefined) return before;
    if (known.size >= REMEMBERED_MAX) known.clear();
    const outcome = compiled.test(value);
    known.set(value, outcome);
    return outcome;
  };
  return operator === '=~' ? matches : (node) => !matches(node);
}

/** A node whose value has no order (a label that is missing, or a word) does not meet it. */
function order(
  { kind, text, amount }: NodeAttribute,
  operator: '<' | '<=' | '>' | '>=',
  value: string,
): ((node: Node) => boolean) | undefined {
  const wanted = parseOrdered(value);
  if (!ORDERED.has(kind) || wanted === undefined) return undefined;
  const holds = COMPARISONS[operator];
  if (amount !== undefined) {
    const limit = wanted.amount;
    return limit === undefined ? undefined : (node) => holds(amount(node) - limit);
  }
  const compare: (a: Ordered, b: Ordered) => number | undefined = kind === 'version' ? compareVersions : compareOrdered;
  if (kind === 'version' && wanted.version.length === 0) return undefined;
  return (node) => {
    const actual = parseOrdered(text(node));
    const difference = actual === undefined ? undefined : compare(actual, wanted);
    return difference !== undefined && holds(difference);
  };
}

const COMPARISONS: Readonly<Record<'<' | '<=' | '>' | '>=', (difference: number) => boolean>> = {
  '<': (difference) => difference < 0,
  '<=': (difference) => difference <= 0,
  '>': (difference) => difference > 0,
  '>=': (difference) => difference >= 0,
};

function usage(kind: AttributeKind): string {
  switch (kind) {
    case 'text':
    case 'architecture':
      return 'it is a word: use ==, !=, in, not in, =~ or !~';
    case 'address':
      return 'use ==, !=, in or not in with addresses or networks such as 10.0.0.0/8';
    case 'number':
      return 'use ==, !=, in, not in, <, <=, > or >= with a number';
    case 'size':
      return 'use ==, !=, in, not in, <, <=, > or >= with a size such as 16GiB';
    case 'version':
      return 'use an order with a version such as 1.2, or ==, !=, in, not in, =~ or !~';
    case 'label':
      return 'use an order with a number, a size or a version, or ==, !=, in, not in, =~ or !~';
  }
}

function leadingSpace(text: string): number {
  return text.length - text.trimStart().length;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
