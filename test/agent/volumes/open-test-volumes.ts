/** The volumes of a pretended node below a directory, and what a daemon that starts again finds of them. */
import { join } from 'node:path';
import {
  mountsDirectoryOf,
  TaskVolumes,
  VOLUMES_DEFAULTS,
  VolumeDrivers,
  type VolumeRecord,
  VolumeStore,
  type VolumesConfig,
} from '#agent/volumes/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';

/** After its death a daemon writes nothing more. */
export class MortalStore extends VolumeStore {
  isDead = false;

  override async write(record: VolumeRecord): Promise<VolumeRecord> {
    return this.isDead ? new Promise(() => {}) : super.write(record);
  }

  override async discard(name: string): Promise<void> {
    return this.isDead ? new Promise(() => {}) : super.discard(name);
  }
}

export interface TestVolumes {
  readonly store: MortalStore;
  readonly volumes: TaskVolumes;
}

export function openTestVolumes(directory: string, changes: Partial<VolumesConfig> = {}): TestVolumes {
  const config = {
    ...VOLUMES_DEFAULTS,
    pluginSocketDirectory: join(directory, 'plugins'),
    pluginSpecDirectories: [join(directory, 'specs')],
    ...changes,
  };
  const store = new MortalStore(join(directory, 'volumes'), systemClock);
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
