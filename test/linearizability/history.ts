/**
 * What clients did and saw, as it is recorded and as it is checked. Times are milliseconds of one monotonic clock that
 * all who record share (`machineMonotonicMs`). Values are text; whoever makes them unique per write makes checks both
 * stronger and faster.
 */

/**
 * `write` sets the value whatever was there, and makes the key when it is not there. `create` makes a key that is not
 * there, `compare-and-set` replaces the value of a key that still is as expected, `delete` removes a key that is there:
 * these three are `refused` otherwise.
 */
export type OperationKind = 'write' | 'read' | 'create' | 'compare-and-set' | 'delete';

/** What a compare-and-set found before: the version, or the value, or both. */
export interface Expected {
  readonly version?: number | undefined;
  readonly value?: string | undefined;
}

export interface OperationInit {
  /** Who asked; has one operation at a time under way. */
  readonly process: string;
  readonly key: string;
  readonly kind: OperationKind;
  /** What is to be written. */
  readonly value?: string | undefined;
  /** Of a compare-and-set. */
  readonly expected?: Expected | undefined;
}

export type Outcome =
  /**
   * It was done. `value` is what a read saw (null: no such key); `version` the one that a read saw or a write made, if it
   * was told.
   */
  | { readonly outcome: 'ok'; readonly value?: string | null | undefined; readonly version?: number | undefined }
  /** Its condition did not hold at some moment between invocation and return; nothing was done. */
  | { readonly outcome: 'refused' }
  /** Nothing was done, and nothing follows from it. */
  | { readonly outcome: 'failed' }
  /** Nobody knows: it took effect, takes effect at any later time, or never. */
  | { readonly outcome: 'unknown' };

export interface Operation extends OperationInit {
  /** Unique within its process. */
  readonly number: number;
  readonly invokedMs: number;
  /** Infinity where the outcome is unknown. */
  readonly returnedMs: number;
  readonly result: Outcome;
}

/** One key in one commit, as a watcher was told it. */
export interface WatchedChange {
  readonly key: string;
  /** null: it was removed. */
  readonly value: string | null;
}

/** Lines of a recorded history. A return without its invocation does not occur; an invocation without a return may. */
export type HistoryEvent =
  | ({ readonly type: 'invoke'; readonly number: number; readonly atMs: number } & OperationInit)
  | ({ readonly type: 'return'; readonly process: string; readonly number: number; readonly atMs: number } & Outcome)
  /** From here on the watcher is told every commit after the version; `everything`, not only those of some objects. */
  | {
      readonly type: 'watch';
      readonly watcher: string;
      readonly after: number;
      readonly everything: boolean;
      readonly atMs: number;
    }
  | {
      readonly type: 'commit';
      readonly watcher: string;
      readonly version: number;
      readonly changes: readonly WatchedChange[];
      readonly atMs: number;
    }
  | { readonly type: 'unwatch'; readonly watcher: string; readonly atMs: number };

/** Milliseconds of a clock that all processes of one machine share and that never goes back. */
export function machineMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** One event a line; the last line may be cut off, as by a killed process. */
export function parseHistory(text: string): readonly HistoryEvent[] {
  const lines = text.split('\n');
  const whole = text.endsWith('\n') ? lines : lines.slice(0, -1);
  return whole.filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as HistoryEvent);
}

export function formatHistory(events: readonly HistoryEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** The operations of a history by the time of their invocation; those without a return have an unknown outcome. */
export function operationsOf(events: readonly HistoryEvent[]): readonly Operation[] {
  const operations = new Map<string, Operation>();
  for (const event of events) {
    if (event.type === 'invoke') {
      const { process, key, kind, value, expected, number, atMs } = event;
      operations.set(`${process} ${number}`, {
        ...{ process, key, kind, value, expected, number },
        invokedMs: atMs,
        returnedMs: Infinity,
        result: { outcome: 'unknown' },
      });
    } else if (event.type === 'return') {
      const id = `${event.process} ${event.number}`;
      const operation = operations.get(id);
      if (operation === undefined) throw new Error(`a return without an invocation: ${id}`);
      if (event.outcome !== 'unknown')
        operations.set(id, { ...operation, returnedMs: event.atMs, result: outcomeOf(event) });
    }
  }
  return [...operations.values()].sort((left, right) => left.invokedMs - right.invokedMs);
}

function outcomeOf(event: HistoryEvent & { type: 'return' }): Outcome {
  if (event.outcome !== 'ok') return { outcome: event.outcome };
  return { outcome: 'ok', value: event.value, version: event.version };
}
