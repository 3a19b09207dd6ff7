/** The volumes of this host. */
import {
  mountsDirectoryOf,
  NodeVolumes,
  TaskVolumes,
  VOLUMES_DEFAULTS,
  VolumeDrivers,
  VolumeStore,
} from '#agent/volumes/index.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import type { Paths } from './paths.ts';

export interface OpenedVolumes {
  readonly store: VolumeStore;
  readonly taskVolumes: TaskVolumes;
  readonly nodeVolumes: NodeVolumes;
}

export function openVolumes(paths: Paths, logger: Logger): OpenedVolumes {
  const store = new VolumeStore(paths.volumes, systemClock);
  const log = logger.with({ part: 'volumes' });
  const taskVolumes = new TaskVolumes({
    store,
    drivers: new VolumeDrivers(store, mountsDirectoryOf(paths.volumesRun), VOLUMES_DEFAULTS),
    runDirectory: paths.volumesRun,
    unmountTimeoutMs: VOLUMES_DEFAULTS.unmountTimeoutMs,
    log,
  });
  return { store, taskVolumes, nodeVolumes: new NodeVolumes(taskVolumes, log) };
}
