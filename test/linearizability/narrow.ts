import type { Operation } from './history.ts';
import { mayHaveWritten, seenValue, writersOf } from './settle-unknown.ts';
import { type Cluster, narrowByZones } from './zones.ts';

/** When an operation can have taken effect. */
export interface Span {
  fromMs: number;
  toMs: number;
}

/** Each rule gives the others something to work with; more rounds hardly ever find more. */
const ROUNDS = 3;

/**
 * Narrows the time in which each operation of a key can have taken effect, by what must have come before what. Undefined
 * if that leaves no time for one of them: then there is no order. Otherwise whether there is one does not change, and
 * finding it becomes much quicker.
 */
export function narrow(operations: readonly Operation[]): readonly Operation[] | undefined {
  const informed = withSeenVersions(operations);
  const spans = informed.map(({ invokedMs, returnedMs }): Span => ({ fromMs: invokedMs, toMs: returnedMs }));
  const clusters = clustersOf(informed, spans);
  const mayCollapse = informed.every(({ kind }) => kind === 'write' || kind === 'read');
  for (let round = 0; round < ROUNDS; round++) {
    narrowByVersions(informed, spans);
    for (const cluster of clusters) narrowByCause(cluster);
    if (!narrowByZones(clusters, mayCollapse)) return undefined;
  }
  if (spans.some(({ fromMs, toMs }) => fromMs > toMs)) return undefined;
  return informed.map((operation, at) => {
    const { fromMs, toMs } = spans[at] as Span;
    return operation.returnedMs === Infinity ? operation : { ...operation, invokedMs: fromMs, returnedMs: toMs };
  });
}

/** Whoever read a value that one operation alone wrote tells the version that it got. */
function withSeenVersions(operations: readonly Operation[]): readonly Operation[] {
  const writers = writersOf(operations);
  const versions = new Map<string, number>();
  for (const { kind, result } of operations)
    if (kind === 'read' && result.outcome === 'ok' && result.version !== undefined && typeof result.value === 'string')
      versions.set(result.value, result.version);
  return operations.map((operation) => {
    const { value = '', returnedMs, result } = operation;
    const version = versions.get(value);
    if (version === undefined || !mayHaveWritten(operation) || writers.get(value) !== 1) return operation;
    if (returnedMs === Infinity || (result.outcome === 'ok' && result.version !== undefined)) return operation;
    return { ...operation, result: { outcome: 'ok', version } };
  });
}

/** For each value that one operation alone wrote, and for what was there at first: who wrote it, and who found it. */
function clustersOf(operations: readonly Operation[], spans: readonly Span[]): readonly Cluster[] {
  const writers = writersOf(operations);
  const clusters = new Map<string, Cluster>();
  operations.forEach((operation, at) => {
    const value = operation.value ?? '';
    if (operation.returnedMs !== Infinity && mayHaveWritten(operation) && writers.get(value) === 1)
      clusters.set(value, { writer: spans[at] as Span, finders: [] });
  });
  const first: Cluster = { writer: { fromMs: -Infinity, toMs: -Infinity }, finders: [] };
  operations.forEach((operation, at) => {
    const { kind, returnedMs, result } = operation;
    if (returnedMs === Infinity || result.outcome === 'refused' || result.outcome === 'failed') return;
    const isEmpty = kind === 'read' && result.outcome === 'ok' && (result.value ?? undefined) === undefined;
    const value = seenValue(operation);
    const cluster = isEmpty ? first : value === undefined ? undefined : clusters.get(value);
    const span = spans[at] as Span;
    // A compare-and-set of a value by itself finds what it writes; the search has to look at that.
    if (cluster !== undefined && cluster.writer !== span) cluster.finders.push(span);
  });
  const returnsToEmpty = operations.some(({ kind, result }) => kind === 'delete' && result.outcome !== 'failed');
  return [...(returnsToEmpty ? [] : [first]), ...clusters.values()];
}

/** A value was written before it was found. */
function narrowByCause({ writer, finders }: Cluster): void {
  for (const finder of finders) {
    writer.toMs = Math.min(writer.toMs, finder.toMs);
    finder.fromMs = Math.max(finder.fromMs, writer.fromMs);
  }
}

/** What shows a version comes after whatever shows an earlier one. */
function narrowByVersions(operations: readonly Operation[], spans: readonly Span[]): void {
  const versioned = operations.flatMap((operation, at) => {
    const version = shownVersion(operation);
    return version === undefined ? [] : [{ version, span: spans[at] as Span }];
  });
  versioned.sort((left, right) => left.version - right.version);
  let [fromMs, sameFromMs] = [-Infinity, -Infinity];
  versioned.forEach(({ version, span }, at) => {
    if (version !== versioned[at - 1]?.version) fromMs = sameFromMs;
    sameFromMs = Math.max(sameFromMs, span.fromMs);
    span.fromMs = Math.max(span.fromMs, fromMs);
  });
  let [toMs, sameToMs] = [Infinity, Infinity];
  for (let at = versioned.length - 1; at >= 0; at--) {
    const { version, span } = versioned[at] as (typeof versioned)[number];
    if (version !== versioned[at + 1]?.version) toMs = sameToMs;
    sameToMs = Math.min(sameToMs, span.toMs);
    span.toMs = Math.min(span.toMs, toMs);
  }
}

/** The version that the key has right after the operation, if it tells. */
export function shownVersion({ kind, result }: Operation): number | undefined {
  if (result.outcome !== 'ok') return undefined;
  return kind === 'read' && typeof result.value !== 'string' ? undefined : result.version;
}
