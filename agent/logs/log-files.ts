/** The files of one log: `log` is written now, `log.1` was before it, the highest number is the oldest. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';

/** Opens of all files that may be disturbed by a rotation. */
const ATTEMPTS_MAX = 10;

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

/** Whether these are the files that exist. */
export async function areNumbers(path: string, numbers: readonly number[]): Promise<boolean> {
  return (await existingNumbers(path)).join() === numbers.join();
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
  for (let attempt = 1; ; attempt++) {
    const numbers = await existingNumbers(path);
    const files = await openFiles(path, numbers);
    // A rotation between two opens shows one file under two names, and hides another.
    const isWhole = (await areInPlace(files)) && (await areNumbers(path, numbers));
    if (isWhole || attempt === ATTEMPTS_MAX) return distinct(files);
    for (const { handle } of files) await handle?.close();
  }
}

interface OpenedFile {
  readonly name: string;
  /** Undefined when it was not there any more. */
  readonly handle: FileHandle | undefined;
  readonly inode: bigint | undefined;
}

async function openFiles(path: string, numbers: readonly number[]): Promise<readonly OpenedFile[]> {
  const files: OpenedFile[] = [];
  for (const number of numbers) {
    const name = numberedFile(path, number);
    const handle = await openLogFile(name);
    files.push({ name, handle, inode: handle && (await handle.stat({ bigint: true })).ino });
  }
  return files;
}

async function areInPlace(files: readonly OpenedFile[]): Promise<boolean> {
  for (const { name, inode } of files) if (inode === undefined || (await inodeOf(name)) !== inode) return false;
  return true;
}

async function distinct(files: readonly OpenedFile[]): Promise<FileHandle[]> {
  const handles = new Map<bigint, FileHandle>();
  for (const { handle, inode } of files)
    if (handle === undefined || inode === undefined) continue;
    else if (handles.has(inode)) await handle.close();
    else handles.set(inode, handle);
  return [...handles.values()];
}

/** Undefined when there is no such file. */
export async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
