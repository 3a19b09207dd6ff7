export { namedVolumes, type TaskMount, TaskVolumes, withImageVolumes } from './task-volumes.ts';
export type { VolumeRecord } from './volume-record.ts';
export { VolumeStore } from './volume-store.ts';
