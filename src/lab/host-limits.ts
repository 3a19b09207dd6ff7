/**
 * What a host may use of the machine: processor time and writes to its own disk, limited by cgroups. Limits hold for the
 * daemon, what it starts outside of containers, and what `exec` runs; a daemon that is started later comes under them too.
 */
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import { type CgroupMount, cgroupMounts, hostProcessesDirectly } from './host-processes.ts';

/** The kernel's default period of cpu.cfs_quota_us and cpu.max: 100 ms. */
const CPU_PERIOD_US = 100_000;

type Controller = 'cpu' | 'blkio';

/** The controller's name in version 2. */
const IN_VERSION_2 = { cpu: 'cpu', blkio: 'io' } as const satisfies Record<Controller, string>;

/** So much processor time a second as this many processors have; undefined lifts the limit. */
export async function limitProcessor(cgroup: string, processors: number | undefined): Promise<void> {
  const quota = processors === undefined ? undefined : Math.max(1000, Math.round(processors * CPU_PERIOD_US));
  const group = await controlGroup(cgroup, 'cpu', quota !== undefined);
  if (group === undefined) return;
  if (group.version === 1) await writeFile(join(group.directory, 'cpu.cfs_quota_us'), String(quota ?? -1));
  else await writeFile(join(group.directory, 'cpu.max'), `${quota ?? 'max'} ${CPU_PERIOD_US}`);
}

/**
 * So many writes a second to the block device (MAJOR:MINOR); undefined lifts the limit. A durable write of a small record
 * is two to three of them: the record, and the file system's own notes.
 */
export async function limitWrites(cgroup: string, device: string, perSecond: number | undefined): Promise<void> {
  const group = await controlGroup(cgroup, 'blkio', perSecond !== undefined);
  if (group === undefined) return;
  if (group.version === 1)
    await writeFile(join(group.directory, 'blkio.throttle.write_iops_device'), `${device} ${perSecond ?? 0}`);
  else await writeFile(join(group.directory, 'io.max'), `${device} wiops=${perSecond ?? 'max'}`);
}

/** Files of limits that were set: a process that writes its id to each comes under them. */
export async function limitFiles(cgroup: string): Promise<readonly string[]> {
  const files: string[] = [];
  for (const mount of await cgroupMounts()) {
    if (mount.version !== 1 || !mount.controllers.some((name) => name === 'cpu' || name === 'blkio')) continue;
    const file = join(mount.path, cgroup, 'host', 'cgroup.procs');
    if (await exists(file)) files.push(file);
  }
  return files;
}

interface ControlGroup {
  readonly version: 1 | 2;
  readonly directory: string;
}

/** The host's group in the hierarchy that has the controller, with all of the host's processes in it. */
async function controlGroup(cgroup: string, controller: Controller, make: boolean): Promise<ControlGroup | undefined> {
  const mounts = await cgroupMounts();
  const first = mounts.find((mount) => mount.version === 1 && mount.controllers.includes(controller));
  if (first !== undefined) {
    const directory = join(first.path, cgroup, 'host');
    if (!(await exists(directory))) {
      if (!make) return undefined;
      await mkdir(directory, { recursive: true });
      for (const pid of await hostProcessesDirectly(cgroup)) await moveProcess(pid, directory);
    }
    return { version: 1, directory };
  }
  const second = mounts.find((mount) => mount.version === 2);
  if (!make && !(await exists(join(second?.path ?? '', cgroup, 'host', controller === 'cpu' ? 'cpu.max' : 'io.max'))))
    return undefined;
  if (second !== undefined && (await enable(second, cgroup, IN_VERSION_2[controller])))
    return { version: 2, directory: join(second.path, cgroup, 'host') };
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: `this machine has no cgroup controller ${controller}`,
    hint: 'mount it below /sys/fs/cgroup, or do without this limit',
  });
}

/** Version 2: a controller works where all groups above hand it down. */
async function enable(mount: CgroupMount, cgroup: string, controller: string): Promise<boolean> {
  const available = await readFile(join(mount.path, 'cgroup.controllers'), 'utf8').catch(() => '');
  if (!available.split(/\s/).includes(controller)) return false;
  for (const parent of [mount.path, join(mount.path, cgroup)])
    await writeFile(join(parent, 'cgroup.subtree_control'), `+${controller}`);
  return true;
}

async function moveProcess(pid: number, directory: string): Promise<void> {
  try {
    await writeFile(join(directory, 'cgroup.procs'), String(pid));
  } catch (error) {
    if (!hasErrno(error, 'ESRCH')) throw error;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
