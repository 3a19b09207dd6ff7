/** What a directory tree occupies on disk. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';

const BLOCK_BYTES = 512;

/**
 * Allocated bytes of all that lies below, hard links once. Follows no links; what vanishes meanwhile counts nothing.
 * Costs a system call an entry: for the operator's questions, not for every heartbeat.
 */
export async function diskUsage(directory: string): Promise<number> {
  const seen = new Set<string>();
  let bytes = 0;
  const pending = [directory];
  for (let current = pending.pop(); current !== undefined; current = pending.pop()) {
    for (const name of (await unlessGone(readdir(current))) ?? []) {
      const path = join(current, name);
      const status = await unlessGone(lstat(path));
      if (status === undefined) continue;
      if (status.isDirectory()) pending.push(path);
      else if (status.nlink > 1) {
        const key = `${status.dev}:${status.ino}`;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      bytes += status.blocks * BLOCK_BYTES;
    }
  }
  return bytes;
}

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
