import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Log, LogConfig } from '#manager/log/index.ts';
import { type StoreState, saveSnapshot } from '#manager/store/index.ts';

/** A log that was never used, and that may be told how often to take a snapshot. */
export type NewLog = Log & { tuneSnapshots(changes: Partial<Pick<LogConfig, 'snapshotEntries'>>): void };

/** As the store has them: well under a millisecond to encode. */
const CHUNK_BYTES = 64 * 1024;
/** A state of 100,000 tasks is on the disk within seconds; a slow disk may take a while. */
const TIMEOUT_MS = 60_000;
const POLL_MS = 10;

/**
 * Gives a new log the state as its first snapshot, and closes it: whoever opens it next finds the state. The one entry
 * that the log is given is covered by the snapshot, so that nobody ever applies it.
 */
export async function foundLog(log: NewLog, state: StoreState, clock: Clock): Promise<void> {
  try {
    await log.start({
      // A new log has nothing to restore.
      restore: () => Promise.resolve(),
      apply: () => {},
      snapshot: () => saveSnapshot(state, CHUNK_BYTES),
    });
    log.tuneSnapshots({ snapshotEntries: 1 });
    const { index } = await log.propose(new Uint8Array(1), { timeoutMs: TIMEOUT_MS });
    await snapshotUpTo(log, index, clock);
  } finally {
    await log.close();
  }
}

async function snapshotUpTo(log: NewLog, index: number, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonic() + TIMEOUT_MS;
  for (;;) {
    const { snapshotIndex, snapshotError, leadership } = log.status();
    if (snapshotIndex >= index) return;
    if (snapshotError !== undefined) throw snapshotError;
    if (leadership.state === 'stopped') throw leadership.error ?? late();
    if (clock.monotonic() >= deadlineMs) throw late();
    await new Promise<void>((resolve) => clock.setTimer(POLL_MS, resolve));
  }
}

function late(): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `the restored state was not on the disk within ${TIMEOUT_MS / 1000} s`,
    hint: 'look after the disk of the state directory and try again',
  });
}
