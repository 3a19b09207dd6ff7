export { Backups, type BackupsOptions, type SaveInProgress } from './backups.ts';
export { type BackupConfig, DEFAULT_BACKUP_CONFIG } from './config.ts';
export { foundLog, type NewLog } from './found-log.ts';
export { type RestoredState, type RestoreInit, restoredState } from './restored-state.ts';
export { SaveSchedule, type SaveScheduleOptions, type SaveStatus } from './save-schedule.ts';
export { SavedFiles, timeInName } from './saved-files.ts';
export { keyName } from './saved-header.ts';
export {
  describeSnapshot,
  openSnapshot,
  type Pace,
  type SavedSnapshot,
  type SnapshotToSave,
  sealSnapshot,
} from './saved-snapshot.ts';
export { formatSnapshotKey, parseSnapshotKey } from './snapshot-key.ts';
