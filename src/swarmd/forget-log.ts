/** A manager's log and key, as far as whether they are there at all. */
import { readdir, rename, rm } from 'node:fs/promises';
import type { Paths } from './paths.ts';

/** Whether the directory holds (some of) a log. */
export async function hasLog(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => []);
  return names.some((name) => name.endsWith('.wal') || name.endsWith('.snapshot'));
}

/**
 * Removes the log and its key. The log goes by one rename first: half a log would look like a damaged one at the next
 * start.
 */
export async function forgetLog(paths: Pick<Paths, 'log' | 'dataKey'>): Promise<void> {
  const gone = `${paths.log}.gone`;
  await sweepForgotten(paths);
  await rename(paths.log, gone).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rm(paths.dataKey, { force: true });
  await sweepForgotten(paths);
}

/** Removes what an interruption has left of a log that was forgotten. */
export async function sweepForgotten({ log }: Pick<Paths, 'log'>): Promise<void> {
  await rm(`${log}.gone`, { recursive: true, force: true });
}
