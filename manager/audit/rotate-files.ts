/** How a file of the audit log gives way to the next: `audit.log` becomes `audit.log.1`, that one `.2`, and so on. */
import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises';
import { ageOf, namesOfFiles, pathOfAge } from './audit-files.ts';

const MODE = 0o600;
/** What is to become `audit.log`, until the others have made way. */
const NEXT_FILE = 'audit.log.next';

/** Opens `audit.log`, and makes it where there is none. */
export async function openCurrent(directory: string): Promise<FileHandle> {
  await rm(`${directory}/${NEXT_FILE}`, { force: true });
  return openToAppend(pathOfAge(directory, 0), constants.O_CREAT);
}

/**
 * Begins an empty `audit.log`. The oldest goes when there would be more than so many. An attempt that fails takes nothing
 * away that a further one does not need the room of: however often it is made, one file goes at most.
 */
export async function beginNext(directory: string, files: number): Promise<FileHandle> {
  const next = `${directory}/${NEXT_FILE}`;
  await rm(next, { force: true });
  // First of all: whoever has no descriptor or no room for it must not put anything aside.
  const file = await openToAppend(next, constants.O_CREAT | constants.O_EXCL);
  try {
    const free = await freeAge(directory, files);
    for (let age = free - 1; age >= 0; age--) await rename(pathOfAge(directory, age), pathOfAge(directory, age + 1));
    await rename(next, pathOfAge(directory, 0));
    return file;
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

/** The lowest that no file has: there is a free one where an attempt ended halfway. Makes one where there is none. */
async function freeAge(directory: string, files: number): Promise<number> {
  const ages = new Set((await namesOfFiles(directory)).map(ageOf));
  for (let age = 0; age < files; age++) if (!ages.has(age)) return age;
  await rm(pathOfAge(directory, files - 1));
  return files - 1;
}

async function openToAppend(path: string, flags: number): Promise<FileHandle> {
  // Appending: whatever the position, nothing that is there is written over.
  const file = await open(path, constants.O_RDWR | constants.O_APPEND | flags, MODE);
  try {
    await file.chmod(MODE);
    return file;
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}
