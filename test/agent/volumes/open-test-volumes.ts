/** The volumes of a pretended node below a directory, and what a daemon that starts again finds of them. */
import { join } from 'node:path';
import {
  mountsDirectoryOf,
  TaskVolumes,
  VOLUMES_DEFAULTS,
  VolumeDrivers,
  VolumeStore,
  type VolumesConfig,
} from '#agent/volumes/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';

export interface TestVolumes {
  readonly store: VolumeStore;
  readonly volumes: TaskVolumes;
}

export function openTestVolumes(directory: string, changes: Partial<VolumesConfig> = {}): TestVolumes {
  const config = {
    ...VOLUMES_DEFAULTS,
    pluginSocketDirectory: join(directory, 'plugins'),
    pluginSpecDirectories: [join(directory, 'specs')],
    ...changes,
  };
  const store = new VolumeStore(join(directory, 'volumes'), systemClock);
  const runDirectory = join(directory, 'run');
  const volumes = new TaskVolumes({
    store,
    drivers: new VolumeDrivers(store, mountsDirectoryOf(runDirectory), config),
    runDirectory,
    unmountTimeoutMs: config.unmountTimeoutMs,
    log: silentLogger,
  });
  return { store, volumes };
}
