export { DEFAULT_LOG_CONFIG, type LogConfig } from './config.ts';
export type { Disk, DiskFile, DiskLock, OpenMode } from './disk/disk.ts';
export { diskError, isDiskFull } from './disk/errors.ts';
export { MemoryDisk, type MemoryDiskOptions } from './disk/memory-disk.ts';
export { nodeDisk } from './disk/node-disk.ts';
export type {
  Leadership,
  Log,
  LogEntry,
  LogObserver,
  LogPosition,
  LogStatus,
  ProposeOptions,
  StateMachine,
  WaitOptions,
} from './log.ts';
export { DATA_KEY_BYTES, type DataKeys, KEY_ID_BYTES, keyId, keyName, SALT_BYTES, Sealer } from './sealing.ts';
export { type ChunkSeal, type ForwardReader, openChunks, sealChunks, writeSealed } from './snapshot/sealed-chunks.ts';
export { SnapshotFiles, type SnapshotFilesOptions } from './snapshot/snapshot-files.ts';
export { corruptSnapshot, snapshotName } from './snapshot/snapshot-header.ts';
export { RECORD_TYPES, type RecordType, type WalRecord } from './wal/frame.ts';
export { corruptLog } from './wal/segment-header.ts';
export { Wal, type WalOptions } from './wal/wal.ts';
