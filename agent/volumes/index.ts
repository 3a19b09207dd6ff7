export { VOLUMES_DEFAULTS, type VolumesConfig } from './config.ts';
export { NodeVolumes } from './node-volumes.ts';
export { checkTaskMounts, namedVolumes, type TaskMount, withImageVolumes } from './task-mounts.ts';
export { mountsDirectoryOf, type TasksFound, TaskVolumes, type TaskVolumesOptions } from './task-volumes.ts';
export { VolumeDrivers } from './volume-drivers.ts';
export type { VolumeRecord } from './volume-record.ts';
export { VolumeStore } from './volume-store.ts';
