/**
 * The seam to the disk: just what a log needs, each method with what the implementer must guarantee. Beside the real
 * one (`node-disk.ts`) stands an in-memory twin that crashes, loses writes and fails on demand (`memory-disk.ts`).
 *
 * Durability is explicit. Content is durable after `sync`, or at once for a file opened `durable`. The existence and
 * the name of a file are durable only after `syncDirectory` of the directory that holds it.
 */
export interface Disk {
  /** Creates the directory and its parents, mode 0700, when they are missing. The result is durable. */
  makeDirectory(path: string): Promise<void>;

  /** Names in the directory, in no promised order. */
  list(directory: string): Promise<readonly string[]>;

  open(path: string, mode: OpenMode): Promise<DiskFile>;

  /** Replaces `to` when it exists. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;

  /** Durable after `syncDirectory`. Removing what does not exist is an error. */
  remove(path: string): Promise<void>;

  syncDirectory(path: string): Promise<void>;

  /**
   * Takes the lock of a directory for this process, or rejects with a SwarmError that says who holds it. The lock
   * vanishes with the process, however it ends.
   */
  lock(directory: string): Promise<DiskLock>;
}

/**
 * `read`: must exist. `create`: a new, empty file; an existing one is emptied. `durable`: must exist; every write is
 * durable when it resolves, which spares the separate sync.
 */
export type OpenMode = 'read' | 'create' | 'write' | 'durable';

export interface DiskFile {
  /** Reads up to `length` bytes at the offset; fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;

  /** Writes everything or rejects; after a rejection any part of it may be there. The buffer is not kept. */
  write(offset: number, data: Uint8Array): Promise<void>;

  /** Everything written before the call is durable when it resolves. After a rejection nothing is known. */
  sync(): Promise<void>;

  /** Cuts or extends with zeros. Durable after `sync`. */
  truncate(size: number): Promise<void>;

  size(): Promise<number>;

  close(): Promise<void>;
}

export interface DiskLock {
  release(): Promise<void>;
}
