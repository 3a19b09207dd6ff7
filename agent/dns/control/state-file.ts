/** The copy of what the resolver was told, so that one that is started alone answers at once. */
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { ResolverUpdate } from '#gen/swarm/v1/resolver.ts';
import { FrameReader, frame } from './frames.ts';

/** In the run directory, which a reboot empties: written for the next process, not for the next boot, so never synced. */
export async function writeState(path: string, updates: Iterable<ResolverUpdate>): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    for (const update of updates) {
      await file.write(frame(ResolverUpdate.encode(update)));
      // Questions come first.
      await nextTurn();
    }
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/**
 * Hands on the updates of the copy, in order. False when there is none. Throws for a damaged one, after what was good of
 * it was handed on.
 */
export async function readState(path: string, take: (update: ResolverUpdate) => void): Promise<boolean> {
  const reader = new FrameReader();
  try {
    for await (const chunk of createReadStream(path)) {
      for (const message of reader.push(chunk as Buffer)) take(ResolverUpdate.decode(message));
    }
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
  return true;
}
