/** Holds or fails the flushes of files to the disk, so that something can happen while one is under way. */
import { type FileHandle, open } from 'node:fs/promises';

export interface DiskFlushes {
  /** How many were asked for. */
  readonly count: number;
  restore(): void;
}

/** `instead` is awaited before each flush, which is not made when it rejects. */
export async function interceptFlushes(instead: () => Promise<void>): Promise<DiskFlushes> {
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const original = prototype.datasync;
  let count = 0;
  prototype.datasync = async function (this: FileHandle): Promise<void> {
    count++;
    await instead();
    await original.call(this);
  };
  return {
    get count() {
      return count;
    },
    restore: () => {
      prototype.datasync = original;
    },
  };
}
