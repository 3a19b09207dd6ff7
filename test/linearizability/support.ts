import type { HistoryEvent, Operation, OperationInit, Outcome } from './history.ts';

/** An operation in one line: `op('a', 1, 3, { kind: 'write', value: 'x' })`. Without an end its outcome is unknown. */
export function op(
  process: string,
  invokedMs: number,
  returnedMs: number | undefined,
  what: Omit<OperationInit, 'process' | 'key'> & { readonly key?: string },
  result: Outcome = { outcome: 'ok' },
): Operation {
  const ended = returnedMs === undefined ? { outcome: 'unknown' as const } : result;
  return {
    key: 'k',
    ...what,
    process,
    number: invokedMs,
    invokedMs,
    returnedMs: returnedMs ?? Infinity,
    result: ended,
  };
}

export const write = (process: string, from: number, to: number | undefined, value: string, version?: number) =>
  op(process, from, to, { kind: 'write', value }, { outcome: 'ok', version });

export const read = (process: string, from: number, to: number, value: string | null, version?: number) =>
  op(process, from, to, { kind: 'read' }, { outcome: 'ok', value, version });

/** A watcher's session as lines. */
export function watched(
  watcher: string,
  after: number,
  commits: readonly (readonly [version: number, key: string, value: string | null])[],
  everything = true,
): readonly HistoryEvent[] {
  return [
    { type: 'watch', watcher, after, everything, atMs: 0 },
    ...commits.map(
      ([version, key, value]) =>
        ({ type: 'commit', watcher, version, changes: [{ key, value }], atMs: 1000 + version }) as const,
    ),
  ];
}
