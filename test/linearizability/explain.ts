import type { Operation } from './history.ts';
import { narrow } from './narrow.ts';
import { orderExists } from './order.ts';
import { type Register, registerText } from './register.ts';
import { Search, type SearchLimit } from './search.ts';

/** Operations around the impossible one that are told. */
const SHOWN_OPERATIONS = 12;

/**
 * Tells, for one key, the first operation that fits nowhere: with everything that had returned before it an order can be
 * found, with it there is none. `undefined` if the limit was met.
 */
export function explain(key: string, operations: readonly Operation[], limit: SearchLimit): string | undefined {
  const returns = operations.filter(({ returnedMs }) => returnedMs !== Infinity);
  returns.sort((left, right) => left.returnedMs - right.returnedMs);
  // Whether an order exists is lost once and never comes back, as more operations return.
  let [low, high] = [0, returns.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const verdict = orderExists(upTo(operations, returns, middle + 1), limit);
    if (verdict === 'unknown') return undefined;
    if (verdict === 'ok') low = middle + 1;
    else high = middle;
  }
  const impossible = returns[low];
  if (impossible === undefined) return undefined;
  const before = upTo(operations, returns, low);
  const registers = new Search(narrow(before) ?? before, fewQuestions()).everyEnd();
  const lines = [`${key}: no order of its operations is possible; the first that fits nowhere is`];
  lines.push(`  ${describeOperation(impossible)}`);
  if (registers !== undefined) {
    lines.push('with everything that had returned before it, the key could hold at the end');
    for (const register of distinct(registers)) lines.push(`  ${describeRegister(register)}`);
  }
  lines.push('operations at that time');
  for (const operation of around(operations, impossible)) lines.push(`  ${describeOperation(operation)}`);
  return lines.join('\n');
}

/** What the key could hold is worth so many states, of which the search asks for every thousandth. */
function fewQuestions(): SearchLimit {
  let questions = 0;
  return { outOfTime: () => ++questions > 100 };
}

/** The history as it was when that many operations had returned: the others have no outcome yet. */
function upTo(operations: readonly Operation[], returns: readonly Operation[], count: number): readonly Operation[] {
  const returned = new Set(returns.slice(0, count));
  const nowMs = returns[count - 1]?.returnedMs ?? -Infinity;
  const begun = operations.filter((operation) => operation.invokedMs <= nowMs);
  return begun.map((operation) =>
    returned.has(operation) ? operation : { ...operation, returnedMs: Infinity, result: { outcome: 'unknown' } },
  );
}

function distinct(registers: readonly Register[]): readonly Register[] {
  const texts = new Map(registers.map((register) => [registerText(register), register] as const));
  return [...texts.values()].slice(0, SHOWN_OPERATIONS);
}

/** What overlaps the operation, and the last ones before it. */
function around(operations: readonly Operation[], impossible: Operation): readonly Operation[] {
  const begun = operations.filter(
    (operation) => operation !== impossible && operation.invokedMs <= impossible.returnedMs,
  );
  return begun.slice(-SHOWN_OPERATIONS);
}

function describeRegister({ value, version, known, by }: Register): string {
  const held = value === undefined ? 'nothing' : `${JSON.stringify(value)}${known ? ` (version ${version})` : ''}`;
  return by === undefined ? held : `${held}, made by operation ${by.number} of ${by.process}`;
}

/** One operation in a line: who, what, when, how it ended. */
export function describeOperation(operation: Operation): string {
  const { process, number, invokedMs, returnedMs, result } = operation;
  const when = returnedMs === Infinity ? `from ${time(invokedMs)} on` : `${time(invokedMs)} to ${time(returnedMs)} ms`;
  return `[${when}] ${process}, operation ${number}: ${describeRequest(operation)} -> ${describeResult(result)}`;
}

function describeRequest({ kind, value, expected }: Operation): string {
  if (kind === 'read' || kind === 'delete') return kind;
  if (kind !== 'compare-and-set') return `${kind} ${JSON.stringify(value ?? '')}`;
  const conditions = [
    ...(expected?.version === undefined ? [] : [`version ${expected.version}`]),
    ...(expected?.value === undefined ? [] : [JSON.stringify(expected.value)]),
  ];
  return `replace ${conditions.join(', ')} by ${JSON.stringify(value ?? '')}`;
}

function describeResult(result: Operation['result']): string {
  if (result.outcome !== 'ok') return result.outcome;
  const value =
    result.value === undefined ? undefined : result.value === null ? 'nothing' : JSON.stringify(result.value);
  const version = result.version === undefined ? undefined : `version ${result.version}`;
  return ['ok', value, version].filter((part) => part !== undefined).join(' ');
}

function time(ms: number): string {
  return ms.toFixed(1);
}
