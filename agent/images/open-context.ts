/** Puts the parts of the store together, on directories of its own. */
import { mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { Buildah } from './buildah/buildah.ts';
import type { ImageStoreOptions } from './config.ts';
import { DiskReserve } from './disk/disk-reserve.ts';
import { EmergencySpace } from './disk/emergency-space.ts';
import { Holds } from './holds.ts';
import { LastUse } from './last-use.ts';
import { RegistryAccess } from './registry/registry-access.ts';
import { RegistryClient } from './registry/registry-client.ts';
import { StoreIndex } from './storage/store-index.ts';
import { NameLock, type StoreContext } from './store-context.ts';

export async function openStoreContext(options: ImageStoreOptions, logger: Logger): Promise<StoreContext> {
  checkDirectories(options);
  const { environment, runDirectory, stateDirectory, tuning } = options;
  for (const path of [stateDirectory, runDirectory]) await mkdir(path, { recursive: true, mode: 0o700 });
  const access = new RegistryAccess(options);
  const reserve = new DiskReserve(stateDirectory, tuning, systemClock);
  const file = options.buildah;
  const buildah = new Buildah({ file, stateDirectory, runDirectory, environment, access, reserve, tuning, logger });
  await buildah.prepare();
  const lastUse = new LastUse(join(stateDirectory, 'last-use'), systemClock, logger);
  await lastUse.prepare();
  const emergency = new EmergencySpace(join(stateDirectory, 'emergency-space'), tuning.emergencyBytes, logger);
  await emergency.take();
  const { requestTimeoutMs } = tuning;
  const { documentBytesMax } = tuning.archive;
  return {
    options,
    access,
    registry: new RegistryClient({ access, environment, requestTimeoutMs, documentBytesMax }),
    buildah,
    index: new StoreIndex(buildah.root),
    holds: new Holds(),
    lastUse,
    reserve,
    emergency,
    names: new NameLock(systemClock),
    clock: systemClock,
    random: systemRandom,
    logger,
  };
}

function checkDirectories(options: ImageStoreOptions): void {
  for (const path of [options.stateDirectory, options.runDirectory])
    if (!isAbsolute(path) || /[:,\\"\n]/.test(path))
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-flag',
        field: '--state-dir',
        message: `${JSON.stringify(path)} cannot hold images`,
        hint: 'use an absolute path without : , " and \\',
      });
}
