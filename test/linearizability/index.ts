/**
 * Checks that what clients saw of the cluster is what one that never fails would have shown them.
 *
 * - `HistoryRecorder` (`recorder.ts`) writes down operations and watches as they happen; `sink` gets JSON lines.
 * - `parseHistory`, `formatHistory` (`history.ts`) read and write these lines, `machineMonotonicMs` is the clock.
 * - `checkHistory` (`check-history.ts`) checks everything: `verdict` is ok, illegal or unknown, `problems` say why.
 * - `checkOperations` (`check-operations.ts`) checks linearizability alone, `checkWatches` (`check-watches.ts`) watches.
 * - `main.ts FILE...` checks recorded files from the command line.
 *
 * ```ts
 * const recorder = new HistoryRecorder({ sink: (line) => appendFileSync(file, line) });
 * await recorder.run({ process: 'client-1', key: 'service/a', kind: 'write', value: 'unique text' }, () => write());
 * await recorder.run({ process: 'client-2', key: 'service/a', kind: 'read' }, () => read(),
 *   ({ label, version }) => ({ outcome: 'ok', value: label, version }), () => ({ outcome: 'failed' }));
 * const { verdict, problems } = checkHistory(recorder.events());
 * assert.equal(verdict, 'ok', problems.join('\n'));
 * ```
 *
 * Of a request that failed, say `failed` only where it certainly did nothing (the connection was refused, the reason is
 * `not-leader`); a failed read is always `failed`; everything else is `unknown`. `refused` is for conditions alone.
 */

export { checkHistory, type HistoryReport, withWatchedVersions } from './check-history.ts';
export { type CheckOptions, checkOperations, type OperationsReport } from './check-operations.ts';
export { checkWatches } from './check-watches.ts';
export { describeOperation, explain } from './explain.ts';
export {
  type Expected,
  formatHistory,
  type HistoryEvent,
  machineMonotonicMs,
  type Operation,
  type OperationInit,
  type OperationKind,
  type Outcome,
  operationsOf,
  parseHistory,
  type WatchedChange,
} from './history.ts';
export { type Finish, HistoryRecorder, type RecordedWatch, type RecorderOptions } from './recorder.ts';
export { type Verdict } from './search.ts';
export { sessionsOf, type WatchSession } from './watch-sessions.ts';
