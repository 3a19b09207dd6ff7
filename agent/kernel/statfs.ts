/** statfs(2): what kind of file system a path lies on, and how full it is. */
import { statfs as nodeStatfs } from 'node:fs/promises';

export type FileSystemKind = 'cgroup2' | 'cgroup' | 'tmpfs' | 'overlay' | 'nsfs' | 'proc' | 'other';

const KINDS: ReadonlyMap<number, FileSystemKind> = new Map([
  [0x63677270, 'cgroup2'],
  [0x27e0eb, 'cgroup'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlay'],
  [0x6e736673, 'nsfs'],
  [0x9fa0, 'proc'],
]);

export interface FileSystemStatus {
  readonly kind: FileSystemKind;
  readonly totalBytes: number;
  /** What a process without privileges may still write. */
  readonly availableBytes: number;
  readonly totalInodes: number;
  readonly availableInodes: number;
}

export async function statfs(path: string): Promise<FileSystemStatus> {
  const found = await nodeStatfs(path);
  return {
    kind: KINDS.get(found.type) ?? 'other',
    totalBytes: found.blocks * found.bsize,
    availableBytes: found.bavail * found.bsize,
    totalInodes: found.files,
    availableInodes: found.ffree,
  };
}
