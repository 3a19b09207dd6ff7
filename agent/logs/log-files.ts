/** The files of one log: `log` is written now, `log.1` was before it, the highest number is the oldest. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';

/** Path of the rotated file with a number; 0 is the current one. */
export function numberedFile(path: string, number: number): string {
  return number === 0 ? path : `${path}.${number}`;
}

/** Numbers of the files that exist, the oldest first. */
export async function existingNumbers(path: string): Promise<readonly number[]> {
  const name = basename(path);
  const entries = await readdir(dirname(path)).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const numbers: number[] = [];
  for (const entry of entries) {
    if (entry === name) numbers.push(0);
    else if (entry.startsWith(`${name}.`) && /^[1-9]\d{0,3}$/.test(entry.slice(name.length + 1)))
      numbers.push(Number(entry.slice(name.length + 1)));
  }
  return numbers.sort((left, right) => right - left);
}

/** Opens for reading, no link at its end; undefined when it is not there (any more). */
export async function openLogFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** All files of a log, opened: what is rotated away meanwhile can still be read. The oldest first. */
export async function openAll(path: string): Promise<FileHandle[]> {
  const handles: FileHandle[] = [];
  const inodes = new Set<bigint>();
  for (const number of await existingNumbers(path)) {
    const handle = await openLogFile(join(dirname(path), basename(numberedFile(path, number))));
    if (handle === undefined) continue;
    const { ino } = await handle.stat({ bigint: true });
    // A rotation between two opens shows the same file under two names.
    if (inodes.has(ino)) await handle.close();
    else {
      inodes.add(ino);
      handles.push(handle);
    }
  }
  return handles;
}
