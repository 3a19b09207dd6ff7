import { explain } from './explain.ts';
import { machineMonotonicMs, type Operation } from './history.ts';
import { orderExists } from './order.ts';
import type { SearchLimit, Verdict } from './search.ts';

export interface CheckOptions {
  /** Of the whole check; keys that are not decided by then are `unknown`. */
  readonly timeoutMs?: number;
}

export interface OperationsReport {
  /** `illegal` if any key is, else `unknown` if any key is. */
  readonly verdict: Verdict;
  /** One readable explanation for each key that is illegal. */
  readonly problems: readonly string[];
  readonly undecidedKeys: readonly string[];
  readonly keys: number;
  readonly operations: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Whether the history is linearizable: every operation takes effect at one moment between its invocation and its
 * return. Keys do not exist at the beginning. Each key is checked by itself, which proves the whole.
 */
export function checkOperations(operations: readonly Operation[], options: CheckOptions = {}): OperationsReport {
  const limit = timeLimit(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const problems: string[] = [];
  const undecidedKeys: string[] = [];
  const keys = byKey(operations);
  for (const [key, ofKey] of keys) {
    const verdict = orderExists(ofKey, limit);
    if (verdict === 'unknown') undecidedKeys.push(key);
    if (verdict === 'illegal')
      problems.push(explain(key, ofKey, limit) ?? `${key}: no order of its ${ofKey.length} operations is possible`);
  }
  const verdict = problems.length > 0 ? 'illegal' : undecidedKeys.length > 0 ? 'unknown' : 'ok';
  return { verdict, problems, undecidedKeys, keys: keys.size, operations: operations.length };
}

function timeLimit(timeoutMs: number): SearchLimit {
  const endMs = machineMonotonicMs() + timeoutMs;
  return { outOfTime: () => machineMonotonicMs() > endMs };
}

export function byKey(operations: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const operation of [...operations].sort((left, right) => left.invokedMs - right.invokedMs)) {
    const ofKey = keys.get(operation.key);
    if (ofKey === undefined) keys.set(operation.key, [operation]);
    else ofKey.push(operation);
  }
  return keys;
}
