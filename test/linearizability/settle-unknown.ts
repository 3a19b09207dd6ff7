import type { Operation } from './history.ts';

/**
 * Decides what can be decided about operations of unknown outcome, so that the search has less to try. For one key.
 *
 * 1. A value that only one operation wrote and that somebody saw was written before whoever saw it first was done: the
 *    operation took effect, by then at the latest.
 * 2. One that nobody saw may as well never have been written, unless there are outcomes that could come of it unseen.
 */
export function settleUnknown(operations: readonly Operation[]): readonly Operation[] {
  const writers = writersOf(operations);
  const isOnlyWriter = (operation: Operation): boolean =>
    mayHaveWritten(operation) && writers.get(operation.value ?? '') === 1;

  let settled = operations;
  for (;;) {
    const seen = firstSeen(settled);
    let changed = false;
    settled = settled.map((operation) => {
      const seenMs = seen.get(operation.value ?? '');
      if (operation.returnedMs !== Infinity || seenMs === undefined || !isOnlyWriter(operation)) return operation;
      changed = true;
      // Seen before it was asked for: the search will find that impossible.
      return { ...operation, returnedMs: Math.max(seenMs, operation.invokedMs) };
    });
    if (!changed) break;
  }
  if (!onlyValuesTell(settled)) return settled;
  return withoutUnseen(settled, isOnlyWriter);
}

/** Leaves out what nobody saw and nobody who stays may have found. */
function withoutUnseen(
  operations: readonly Operation[],
  isOnlyWriter: (operation: Operation) => boolean,
): readonly Operation[] {
  const left = new Set(operations.filter((operation) => operation.returnedMs === Infinity && isOnlyWriter(operation)));
  for (;;) {
    const found = new Set<string>();
    for (const operation of operations) {
      const value = left.has(operation) ? undefined : seenValue(operation);
      if (value !== undefined) found.add(value);
    }
    const before = left.size;
    for (const operation of left) if (found.has(operation.value ?? '')) left.delete(operation);
    if (left.size === before) return operations.filter((operation) => !left.has(operation));
  }
}

/** The value that the operation found, if it tells. */
export function seenValue({
  kind,
  result,
  expected,
}: Pick<Operation, 'kind' | 'result' | 'expected'>): string | undefined {
  if (kind === 'compare-and-set') return expected?.value;
  return kind === 'read' && result.outcome === 'ok' ? (result.value ?? undefined) : undefined;
}

/** How many operations may have written each value. */
export function writersOf(operations: readonly Operation[]): ReadonlyMap<string, number> {
  const writers = new Map<string, number>();
  for (const operation of operations)
    if (mayHaveWritten(operation)) writers.set(operation.value ?? '', (writers.get(operation.value ?? '') ?? 0) + 1);
  return writers;
}

export function mayHaveWritten({ kind, result }: Operation): boolean {
  return kind !== 'read' && kind !== 'delete' && result.outcome !== 'failed' && result.outcome !== 'refused';
}

/** By value, when the first operation that saw it had returned. */
function firstSeen(operations: readonly Operation[]): ReadonlyMap<string, number> {
  const seen = new Map<string, number>();
  for (const { kind, result, expected, returnedMs } of operations) {
    if (returnedMs === Infinity || result.outcome === 'refused' || result.outcome === 'failed') continue;
    const value = seenValue({ kind, result, expected });
    if (value === undefined) continue;
    seen.set(value, Math.min(returnedMs, seen.get(value) ?? Infinity));
  }
  return seen;
}

/** Whether a write shows in nothing but in the values that are seen. */
function onlyValuesTell(operations: readonly Operation[]): boolean {
  const versions = new Set<number>();
  for (const { result } of operations)
    if (result.outcome === 'ok' && result.version !== undefined) versions.add(result.version);
  return operations.every(({ kind, result, expected }) => {
    if (result.outcome === 'refused') return false;
    if (kind === 'delete' || kind === 'create') return result.outcome === 'failed';
    if (kind !== 'compare-and-set') return true;
    // Without any expectation it still needs something to be there.
    if (expected?.version === undefined) return expected?.value !== undefined;
    return versions.has(expected.version);
  });
}
