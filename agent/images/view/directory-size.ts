import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

/** Enough for any build cache; beyond it the size is an underestimate, not an endless walk. */
const ENTRIES_MAX = 200_000;

/** What the files below take on the disk. 0 when there is no such directory; what vanishes meanwhile does not count. */
export async function directorySizeBytes(path: string): Promise<number> {
  const directory = await opendir(path, { recursive: true }).catch(() => undefined);
  if (directory === undefined) return 0;
  let bytes = 0;
  let entries = 0;
  for await (const entry of directory) {
    entries++;
    if (entries > ENTRIES_MAX) break;
    if (!entry.isFile()) continue;
    const found = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += (found?.blocks ?? 0) * 512;
  }
  return bytes;
}
