/** Small files and directories of a cgroup hierarchy. */
import { readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { readPseudoFile } from '#agent/kernel/pseudo-file.ts';
import { parsePids } from './statistics.ts';

/** A group of ten thousand processes lists them in less. */
const FILE_BYTES_MAX = 256 * 1024;

/** The file's text; undefined when it, or its cgroup, does not exist (any more). */
export function readCgroupFile(directory: string, file: string): string | undefined {
  try {
    return readPseudoFile(join(directory, file), FILE_BYTES_MAX);
  } catch (error) {
    if (hasErrno(error, 'ENOTSUP', 'EINVAL')) return undefined;
    throw error;
  }
}

/** Writes; false when the file or its cgroup does not exist. */
export async function writeCgroupFile(directory: string, file: string, text: string): Promise<boolean> {
  try {
    // Without O_CREAT: on a plain directory (a test, a hierarchy that is gone) nothing shall appear.
    await writeFile(join(directory, file), text, { flag: 'r+' });
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
}

/** Names of the cgroups directly below; empty when the cgroup does not exist. */
export async function childCgroups(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

/** Processes of the cgroup and of all below it. */
export async function processesOf(directory: string): Promise<readonly number[]> {
  const pids = [...parsePids(readCgroupFile(directory, 'cgroup.procs') ?? '')];
  for (const child of await childCgroups(directory)) pids.push(...(await processesOf(join(directory, child))));
  return pids;
}

/** Removes the cgroup and all below it; false when a process in it keeps one of them. */
export async function removeCgroup(directory: string): Promise<boolean> {
  let removed = true;
  for (const child of await childCgroups(directory)) if (!(await removeCgroup(join(directory, child)))) removed = false;
  try {
    await rmdir(directory);
    return removed;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return removed;
    if (hasErrno(error, 'EBUSY', 'ENOTEMPTY')) return false;
    throw error;
  }
}
