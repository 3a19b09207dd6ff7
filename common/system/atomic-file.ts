/** Files that are either the old ones or the new ones, whole, whenever the power goes. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SwarmError } from '../errors.ts';

/**
 * Writes beside the file, syncs, renames over it and syncs the directory. `mode` holds whatever the umask is.
 * Errors: `disk-full` when there is no space, else `corrupt-state` with the system's words.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await writeFileSynced(temporary, data, mode);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(error, `write ${path}`);
  }
}

/** Writes a new file and waits until it is on the disk. The directory entry is not: see `syncDirectory`. */
export async function writeFileSynced(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Waits until creations, renames and removals in the directory are on the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes the directory, with its parents, so that only its owner can look into it. */
export async function makePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const directory = await open(path, 'r');
  try {
    await directory.chmod(0o700);
  } finally {
    await directory.close();
  }
}

/** The error of a file operation as a SwarmError. `action` completes "cannot ...". */
export function fileError(error: unknown, action: string): SwarmError {
  if (error instanceof SwarmError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new SwarmError({
      code: 'exhausted',
      reason: 'disk-full',
      message: `cannot ${action}: no space left on the disk`,
      hint: 'free some space and try again',
      cause: error,
    });
  return new SwarmError({
    code: 'internal',
    reason: 'corrupt-state',
    message: `cannot ${action}: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });
}
