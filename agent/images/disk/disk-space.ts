import { statfs } from 'node:fs/promises';

export interface DiskSpace {
  /** What ordinary files may use in all: used and available. */
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Of what may be used, as df shows it; 0 to 100. */
  readonly usedPercent: number;
  /** 0 on file systems that do not count inodes. */
  readonly usedInodesPercent: number;
}

export async function diskSpace(path: string): Promise<DiskSpace> {
  const found = await statfs(path);
  const usedBlocks = found.blocks - found.bfree;
  const totalBlocks = usedBlocks + found.bavail;
  return {
    totalBytes: totalBlocks * found.bsize,
    availableBytes: found.bavail * found.bsize,
    usedPercent: totalBlocks === 0 ? 0 : (usedBlocks / totalBlocks) * 100,
    usedInodesPercent: found.files === 0 ? 0 : ((found.files - found.ffree) / found.files) * 100,
  };
}
