/**
 * `swarmd destroy`: removes everything of a stopped daemon from this host: containers, networks, cgroups, mounts, then
 * its two directories. Can be repeated after a failure.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { unmount } from '#agent/kernel/mount.ts';
import { DEFAULT_NETWORK_CONFIG, NodeNetwork } from '#agent/network/index.ts';
import { DEFAULT_RUNTIME_CONFIG, openRuntime } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { openClusterNetworking } from './cluster-networking.ts';
import { openVolumes } from './open-volumes.ts';
import type { DaemonOptions } from './options.ts';
import { pathsOf } from './paths.ts';
import { acquireLock, releaseLock } from './process-lock.ts';

export async function destroyHost(options: DaemonOptions, logger: Logger): Promise<void> {
  if ((await readdir(options.runDir).catch(() => [])).length > 0) await acquireLock(options.runDir);
  if (options.executor === 'oci') await removeContainers(options, logger);
  await releaseLock();
  await unmountBelow(options.stateDir);
  await rm(options.stateDir, { recursive: true, force: true });
  await removeRunDirectory(options.runDir);
}

async function removeContainers(options: DaemonOptions, logger: Logger): Promise<void> {
  const paths = pathsOf(options.stateDir, options.runDir);
  const { runtime } = await openRuntime({
    stateDirectory: paths.runtimeState,
    runDirectory: paths.runtimeRun,
    cgroupParent: options.cgroupParent,
    runtime: options.runtime,
    seccompProfile: undefined,
    config: DEFAULT_RUNTIME_CONFIG,
    clock: systemClock,
    log: logger,
  });
  const failures: string[] = [];
  for (const { record } of runtime.list())
    await runtime.remove(record.id).catch((thrown: unknown) => {
      failures.push(`container ${record.id}: ${SwarmError.from(thrown).message}`);
    });
  const { cgroups } = runtime.context;
  for (const child of await cgroups.children(options.cgroupParent)) {
    await cgroups.killAll(`${options.cgroupParent}/${child}`);
    if (!(await cgroups.remove(`${options.cgroupParent}/${child}`)))
      failures.push(`cgroup ${child}: a process in it does not end`);
  }
  await cgroups.remove(options.cgroupParent);
  runtime.close();
  // Plugins are told that nobody has their volumes any more; what they keep is theirs.
  await openVolumes(paths, logger).taskVolumes.restore({ living: new Map(), all: new Set() });
  const network = new NodeNetwork({
    instance: options.stateDir,
    directory: paths.networkRun,
    config: DEFAULT_NETWORK_CONFIG,
    clock: systemClock,
    logger,
  });
  const networking = await openClusterNetworking(options, paths, logger, () => {});
  await networking.leave();
  await networking.close();
  await network.destroy();
  if (failures.length > 0)
    throw new SwarmError({
      code: 'internal',
      reason: 'runtime-failed',
      message: `not everything could be removed: ${failures.join('; ')}`,
      hint: 'run it again, or restart the host',
    });
}

/** Innermost first. What cannot be unmounted at once goes when its last user does. */
async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target === directory || target.startsWith(`${directory}/`));
  for (const target of mounts.reverse()) await unmount(target);
}

/** The pin of the mount namespace stays until the caller has left it. */
async function removeRunDirectory(runDir: string): Promise<void> {
  for (const name of await readdir(runDir).catch(() => []))
    if (name !== 'ns') {
      await unmountBelow(`${runDir}/${name}`);
      await rm(`${runDir}/${name}`, { recursive: true, force: true });
    }
}
