/** Takes away what a container holds of the machine. Everything here may be done twice. */
import { readdir, rm, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { RuntimeContext } from './context.ts';
import { deleteContainer } from './oci-runtime.ts';
import { removeRootFileSystem, rootFileSystemPaths } from './rootfs/root-file-system.ts';

/** Between two looks at a cgroup whose last processes are dying. */
const POLL_MS = 5;

export interface Remains {
  readonly id: string;
  readonly cgroupPath: string;
  /** Path of the runtime that made it. */
  readonly runtime: string;
  /** Whether something may still run: it is killed. */
  readonly alive: boolean;
}

async function exists(directory: string): Promise<boolean> {
  return readdir(directory).then(
    () => true,
    () => false,
  );
}

/** Kills all processes and waits for them to be gone; false when some are not after the time. */
async function killProcesses(context: RuntimeContext, cgroupPath: string): Promise<boolean> {
  const { cgroups, config } = context;
  const deadline = performance.now() + config.killTimeoutMs;
  for (;;) {
    if ((await cgroups.processes(cgroupPath)).length === 0) return true;
    if (performance.now() > deadline) return false;
    await cgroups.killAll(cgroupPath);
    await sleep(POLL_MS);
  }
}

/**
 * Has the runtime forget the container. Its processes are gone and its cgroup goes next: of runtimes whose ways are
 * known only a directory is left, and removing that ourselves saves a process (5 ms). Others are asked; where one
 * fails its state is removed for it.
 */
async function forget(context: RuntimeContext, remains: Remains): Promise<void> {
  const { paths, config, log, runtime } = context;
  const state = `${paths.runtimeRoot}/${remains.id}`;
  const isKnown = remains.runtime === runtime.path && runtime.startProtocol !== 'command';
  if (!isKnown && (await exists(state)))
    try {
      await deleteContainer(remains.runtime, paths.runtimeRoot, remains.id, remains.alive, config.deleteTimeoutMs);
    } catch (error) {
      log.warn('the runtime did not remove a container', { container: remains.id, error: (error as Error).message });
    }
  await rm(state, { recursive: true, force: true });
}

/** crun leaves these where it takes the v2 hierarchy of a hybrid machine to be: on our own tmpfs. */
async function removeUnifiedLeftovers(context: RuntimeContext, cgroupPath: string): Promise<void> {
  const { layout } = context.cgroups;
  if (layout.mode === 'hybrid' && !layout.unifiedVisible)
    await rm(`/sys/fs/cgroup/unified${cgroupPath}`, { recursive: true, force: true });
}

/** Whether all that an ended container held was taken away before: asked of each by an agent that comes back. */
export async function isTornDown({ paths }: RuntimeContext, id: string): Promise<boolean> {
  // A reboot takes the bundle and leaves the writable layer.
  const { upper } = rootFileSystemPaths(paths.container(id), paths.bundle(id));
  return !(await exists(paths.bundle(id))) && !(await exists(upper));
}

/**
 * Removes cgroup, runtime state, mounts, writable layer, exit file and bundle. False when processes do not die: then
 * all that they use stays as it is. The bundle goes last, so that its absence means that nothing is left.
 */
export async function tearDown(context: RuntimeContext, remains: Remains): Promise<boolean> {
  const { paths } = context;
  const { id, cgroupPath } = remains;
  if (!(await killProcesses(context, cgroupPath))) return false;
  await forget(context, remains);
  if (!(await context.cgroups.remove(cgroupPath))) return false;
  await removeUnifiedLeftovers(context, cgroupPath);
  await removeRootFileSystem(paths.container(id), paths.bundle(id));
  await unlink(paths.exitFile(id)).catch((error: unknown) => {
    if (!hasErrno(error, 'ENOENT')) throw error;
  });
  await rm(paths.bundle(id), { recursive: true, force: true });
  return true;
}
