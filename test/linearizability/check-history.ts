import { type CheckOptions, checkOperations, type OperationsReport } from './check-operations.ts';
import { checkWatches } from './check-watches.ts';
import { type HistoryEvent, type Operation, operationsOf } from './history.ts';
import { sessionsOf, type WatchSession } from './watch-sessions.ts';

/** `problems` has one for each thing that is wrong. */
export interface HistoryReport extends OperationsReport {
  readonly unknownOutcomes: number;
  readonly watchedCommits: number;
}

/** Checks everything about a recorded history: its operations, what its watchers were told, and that both agree. */
export function checkHistory(events: readonly HistoryEvent[], options: CheckOptions = {}): HistoryReport {
  const operations = operationsOf(events);
  const sessions = sessionsOf(events);
  const watchProblems = checkWatches(sessions, operations);
  const report = checkOperations(withWatchedVersions(operations, sessions), options);
  const problems = [...watchProblems, ...report.problems];
  return {
    ...report,
    verdict: problems.length > 0 ? 'illegal' : report.verdict,
    problems,
    unknownOutcomes: operations.filter(({ result }) => result.outcome === 'unknown').length,
    watchedCommits: new Set(sessions.flatMap(({ commits }) => commits.map(({ version }) => version))).size,
  };
}

/**
 * What watchers were told decides much about operations: a write whose value no other wrote got the version of the
 * commit, whether its writer was told or not, and took effect before the watcher was told.
 */
export function withWatchedVersions(
  operations: readonly Operation[],
  sessions: readonly WatchSession[],
): readonly Operation[] {
  const writes = new Map<string, number>();
  const nameOf = (key: string, value: string): string => JSON.stringify([key, value]);
  for (const { key, kind, value } of operations)
    if (kind !== 'read' && kind !== 'delete') {
      const name = nameOf(key, value ?? '');
      writes.set(name, (writes.get(name) ?? 0) + 1);
    }
  const told = new Map<string, { readonly version: number; readonly atMs: number }>();
  for (const { commits } of sessions)
    for (const { version, changes, atMs } of commits)
      for (const { key, value } of changes) {
        if (value === null || writes.get(nameOf(key, value)) !== 1) continue;
        const known = told.get(nameOf(key, value));
        told.set(nameOf(key, value), { version, atMs: Math.min(atMs, known?.atMs ?? Infinity) });
      }
  return operations.map((operation) => {
    const { key, kind, value, result, invokedMs, returnedMs } = operation;
    if (kind === 'read' || kind === 'delete' || result.outcome === 'failed' || result.outcome === 'refused')
      return operation;
    const watched = told.get(nameOf(key, value ?? ''));
    if (watched === undefined || (result.outcome === 'ok' && result.version !== undefined)) return operation;
    return {
      ...operation,
      returnedMs: Math.max(invokedMs, Math.min(returnedMs, watched.atMs)),
      result: { outcome: 'ok', version: watched.version },
    };
  });
}
