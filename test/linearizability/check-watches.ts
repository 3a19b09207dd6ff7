import { describeOperation } from './explain.ts';
import type { Operation, WatchedChange } from './history.ts';
import { lastVersion, type WatchedCommit, type WatchSession } from './watch-sessions.ts';

/**
 * What is wrong with what watchers were told, one line each; nothing is good.
 *
 * 1. Within a session versions rise: none twice, none going back; and without a gap where everything is watched.
 * 2. A watcher that begins again does not go back behind what it was told before.
 * 3. All watchers are told the same of the same version.
 * 4. What an operation did or saw is what watchers were told: a write that was acknowledged with a version is in that
 *    commit, a read saw what that commit made.
 * 5. Whatever watchers were told of a key that clients wrote was asked for, before, and happened once.
 */
export function checkWatches(sessions: readonly WatchSession[], operations: readonly Operation[]): readonly string[] {
  const problems: string[] = [];
  for (const session of sessions) checkOrder(session, problems);
  checkRestarts(sessions, problems);
  const commits = mergeCommits(sessions, problems);
  checkResults(operations, sessions, commits, problems);
  checkCauses(operations, commits, problems);
  return problems;
}

function checkOrder({ watcher, after, everything, commits }: WatchSession, problems: string[]): void {
  let previous = after;
  for (const { version } of commits) {
    if (version === previous) problems.push(`${watcher} is told version ${version} twice`);
    else if (version < previous) problems.push(`${watcher} goes back from version ${previous} to ${version}`);
    else if (everything && version !== previous + 1)
      problems.push(`${watcher} is told version ${version} after ${previous}: a gap`);
    previous = version;
  }
}

function checkRestarts(sessions: readonly WatchSession[], problems: string[]): void {
  const told = new Map<string, number>();
  for (const session of sessions) {
    const before = told.get(session.watcher) ?? 0;
    if (session.after < before)
      problems.push(`${session.watcher} begins again after version ${session.after}, but was told ${before} already`);
    told.set(session.watcher, Math.max(before, lastVersion(session)));
  }
}

/** By version, everything that anybody was told of it, and when first. */
function mergeCommits(sessions: readonly WatchSession[], problems: string[]): ReadonlyMap<number, WatchedCommit> {
  const commits = new Map<number, WatchedCommit & { readonly whole: boolean; readonly watcher: string }>();
  for (const { watcher, everything, commits: told } of sessions)
    for (const commit of told) {
      const other = commits.get(commit.version);
      if (other === undefined) {
        commits.set(commit.version, { ...commit, whole: everything, watcher });
        continue;
      }
      const problem = differenceOf(commit, everything, other, other.whole);
      if (problem !== undefined)
        problems.push(`version ${commit.version}: ${watcher} and ${other.watcher} differ: ${problem}`);
      commits.set(commit.version, {
        ...other,
        changes: merged(other.changes, commit.changes),
        atMs: Math.min(other.atMs, commit.atMs),
        whole: other.whole || everything,
      });
    }
  return commits;
}

function differenceOf(
  left: WatchedCommit,
  leftWhole: boolean,
  right: WatchedCommit,
  rightWhole: boolean,
): string | undefined {
  for (const { key, value } of left.changes) {
    const other = right.changes.find((change) => change.key === key);
    if (other === undefined ? rightWhole : other.value !== value)
      return `${key} is ${describe(value)} and ${other === undefined ? 'not in it' : describe(other.value)}`;
  }
  if (!leftWhole) return undefined;
  const missing = right.changes.find(({ key }) => left.changes.every((change) => change.key !== key));
  return missing && `${missing.key} is not in it and ${describe(missing.value)}`;
}

function merged(left: readonly WatchedChange[], right: readonly WatchedChange[]): readonly WatchedChange[] {
  return [...left, ...right.filter(({ key }) => left.every((change) => change.key !== key))];
}

function describe(value: string | null): string {
  return value === null ? 'removed' : JSON.stringify(value);
}

function checkResults(
  operations: readonly Operation[],
  sessions: readonly WatchSession[],
  commits: ReadonlyMap<number, WatchedCommit>,
  problems: string[],
): void {
  for (const operation of operations) {
    const { key, kind, result } = operation;
    if (result.outcome !== 'ok' || result.version === undefined) continue;
    const { version } = result;
    const expected = kind === 'read' ? result.value : kind === 'delete' ? null : (operation.value ?? '');
    if (kind === 'read' && (expected === undefined || expected === null)) continue;
    const told = commits.get(version)?.changes.find((change) => change.key === key);
    if (told === undefined) {
      const covered = sessions.find(
        (session) => session.everything && session.after < version && version <= lastVersion(session),
      );
      if (covered !== undefined)
        problems.push(
          `${describeOperation(operation)} is of ${key} in version ${version}, of which no watcher was told`,
        );
    } else if (told.value !== expected)
      problems.push(`${describeOperation(operation)} of ${key}: watchers were told ${describe(told.value)}`);
  }
}

/** Values that one operation alone wrote can be followed; keys that no operation is about are somebody else's. */
function checkCauses(
  operations: readonly Operation[],
  commits: ReadonlyMap<number, WatchedCommit>,
  problems: string[],
): void {
  const writers = new Map<string, Operation[]>();
  const keys = new Set<string>();
  for (const operation of operations) {
    keys.add(operation.key);
    if (operation.kind === 'read' || operation.kind === 'delete') continue;
    const name = JSON.stringify([operation.key, operation.value ?? '']);
    writers.set(name, [...(writers.get(name) ?? []), operation]);
  }
  const seen = new Map<string, number>();
  for (const { version, changes, atMs } of [...commits.values()].sort((a, b) => a.version - b.version))
    for (const { key, value } of changes) {
      if (value === null || !keys.has(key)) continue;
      const name = JSON.stringify([key, value]);
      const [writer, ...others] = writers.get(name) ?? [];
      if (writer === undefined)
        problems.push(`version ${version} sets ${key} to ${describe(value)}, which nobody asked for`);
      else if (others.length === 0) {
        const before = seen.get(name);
        seen.set(name, version);
        const complaint = complaintAbout(writer, version, atMs, before);
        if (complaint !== undefined) problems.push(`${describeOperation(writer)} of ${key}: ${complaint}`);
      }
    }
}

function complaintAbout(
  writer: Operation,
  version: number,
  atMs: number,
  before: number | undefined,
): string | undefined {
  const { result } = writer;
  if (before !== undefined) return `applied twice, in version ${before} and in ${version}`;
  if (result.outcome === 'refused' || result.outcome === 'failed') return `took effect in version ${version}`;
  if (atMs < writer.invokedMs) return `watched at ${atMs.toFixed(1)}, in version ${version}, before it was asked for`;
  return undefined;
}
