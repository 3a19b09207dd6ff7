import type { HistoryEvent, WatchedChange } from './history.ts';

export interface WatchedCommit {
  readonly version: number;
  readonly changes: readonly WatchedChange[];
  readonly atMs: number;
}

/** What one watcher was told from one beginning on. */
export interface WatchSession {
  readonly watcher: string;
  readonly after: number;
  readonly everything: boolean;
  readonly startedMs: number;
  readonly commits: readonly WatchedCommit[];
}

export function sessionsOf(events: readonly HistoryEvent[]): readonly WatchSession[] {
  const sessions: (WatchSession & { readonly commits: WatchedCommit[] })[] = [];
  const open = new Map<string, (typeof sessions)[number]>();
  for (const event of events) {
    if (event.type === 'watch') {
      const { watcher, after, everything, atMs } = event;
      const session = { watcher, after, everything, startedMs: atMs, commits: [] };
      sessions.push(session);
      open.set(watcher, session);
    } else if (event.type === 'commit') {
      const session = open.get(event.watcher);
      if (session === undefined) throw new Error(`${event.watcher} is told a commit without watching`);
      session.commits.push({ version: event.version, changes: event.changes, atMs: event.atMs });
    } else if (event.type === 'unwatch') open.delete(event.watcher);
  }
  return sessions;
}

/** The last version that the session was told; what it began after if it was told none. */
export function lastVersion(session: WatchSession): number {
  return session.commits.at(-1)?.version ?? session.after;
}
