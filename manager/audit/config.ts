import type { BackoffOptions } from '#common/backoff.ts';

/** Tuning values of the audit log. */
export interface AuditConfig {
  /** A file is put aside when it would grow beyond. */
  readonly fileBytes: number;
  /** Files that are kept, the one that is written included. */
  readonly files: number;
  /** Entries that are written at once at most, and that may wait for it; beyond, who reads the events waits. */
  readonly waiting: number;
  /** How long an event waits for others, to be written with them. */
  readonly gatherMs: number;
  /** After the disk failed. */
  readonly retry: BackoffOptions;
  /** Refused calls that are noted: so many a second, and so many at once. */
  readonly refusalsPerSecond: number;
  readonly refusalsBurst: number;
}

export const DEFAULT_AUDIT_CONFIG: AuditConfig = {
  // An entry takes about 600 bytes: some 28,000 in a file, which is read in half a second.
  fileBytes: 16 * 1024 * 1024,
  // 280,000 entries: years of an ordinary swarm, and a bound that no disk of a manager minds.
  files: 10,
  // Their lines take the event loop 4 ms, the hashes above all; what waits longer is in the table of events anyway.
  waiting: 250,
  // Four flushes a second at most, whatever happens. Whoever asks the daemon for the log does not wait for it, and what a
  // crash takes away within that time is written at the next start.
  gatherMs: 250,
  // A full disk is emptied by people.
  retry: { baseMs: 1000, maxMs: 60_000, factor: 2, jitter: 0.5 },
  // Somebody who tries tokens must not push the record of what was done off the disk: a day of it is 864,000 entries at ten
  // a second, 4,300 at one every 20 s.
  refusalsPerSecond: 0.05,
  refusalsBurst: 50,
};
