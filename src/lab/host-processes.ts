/**
 * All processes of one lab host, kept together by a cgroup: the daemon and what `lab exec` runs in `<cgroup>/host`,
 * monitors and containers below `<cgroup>/containers`. So they can all be killed at once.
 */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';
import { waitUntil } from './wait-until.ts';

export interface CgroupMount {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

export async function cgroupMounts(): Promise<readonly CgroupMount[]> {
  const mounts: CgroupMount[] = [];
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const path = left.split(' ')[4] ?? '';
    const [type, , options = ''] = right.split(' ');
    if (type === 'cgroup2') mounts.push({ path, version: 2, controllers: [] });
    if (type === 'cgroup') mounts.push({ path, version: 1, controllers: options.split(',') });
  }
  return mounts;
}

/** The hierarchy that keeps track: it must be one where everything can be stopped at once. */
async function trackingMount(): Promise<CgroupMount> {
  const mounts = await cgroupMounts();
  const freezer = mounts.find((mount) => mount.version === 1 && mount.controllers.includes('freezer'));
  const found = freezer ?? mounts.find((mount) => mount.version === 2);
  if (found !== undefined) return found;
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: 'the lab needs cgroup version 2, or the freezer of version 1, to keep track of processes',
    hint: 'mount one of them below /sys/fs/cgroup',
  });
}

/** Makes the host's cgroup. Answers with the file that a process writes its id to, to become one of the host's. */
export async function makeHostCgroup(cgroup: string): Promise<string> {
  const directory = join((await trackingMount()).path, cgroup, 'host');
  await mkdir(directory, { recursive: true });
  return join(directory, 'cgroup.procs');
}

/** Ids of all processes of the host. */
export async function hostProcesses(cgroup: string): Promise<readonly number[]> {
  const mount = await trackingMount();
  const pids: number[] = [];
  for (const directory of await cgroupTree(join(mount.path, cgroup))) pids.push(...(await processesOf(directory)));
  return pids;
}

/** Ids of the daemon, and of what runs on the host outside of containers. */
export async function hostProcessesDirectly(cgroup: string): Promise<readonly number[]> {
  return processesOf(join((await trackingMount()).path, cgroup, 'host'));
}

/** Power off: every process of the host at once, so that none sees another one die and acts on it. */
export async function killHostProcesses(cgroup: string): Promise<void> {
  const mount = await trackingMount();
  const root = join(mount.path, cgroup);
  if (mount.version === 2) {
    await write(join(root, 'cgroup.kill'), '1');
  } else {
    await freeze(root);
    await killAll(await cgroupTree(root));
    await thaw(await cgroupTree(root));
  }
  await waitUntil(`all processes of ${cgroup} to end`, LAB_CONFIG.killMs, async () => {
    const directories = await cgroupTree(root);
    // A container that was paused on its own, or a process that came in late.
    await killAll(directories);
    if (mount.version === 1) await thaw(directories);
    return (await hostProcesses(cgroup)).length === 0;
  });
}

/** Removes the host's cgroups from every hierarchy; containers have some in each. Their processes are gone. */
export async function removeHostCgroups(cgroup: string): Promise<void> {
  for (const mount of await cgroupMounts())
    await waitUntil(`the cgroups ${cgroup} to be removed`, LAB_CONFIG.killMs, async () => {
      for (const directory of (await cgroupTree(join(mount.path, cgroup))).toReversed())
        try {
          await rmdir(directory);
        } catch (error) {
          if (!hasErrno(error, 'ENOENT', 'EBUSY')) throw error;
        }
      return (await cgroupTree(join(mount.path, cgroup))).length === 0;
    });
}

/** Cgroups of the first level, in any hierarchy, that begin with the prefix. */
export async function findCgroups(prefix: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const mount of await cgroupMounts())
    for (const entry of await readdir(mount.path, { withFileTypes: true }))
      if (entry.isDirectory() && `/${entry.name}`.startsWith(prefix)) found.add(`/${entry.name}`);
  return [...found];
}

/** The directory and all below it, parents first; none when it is missing. */
async function cgroupTree(directory: string): Promise<readonly string[]> {
  try {
    const found = [directory];
    for (const entry of await readdir(directory, { withFileTypes: true }))
      if (entry.isDirectory()) found.push(...(await cgroupTree(join(directory, entry.name))));
    return found;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

async function processesOf(directory: string): Promise<readonly number[]> {
  try {
    return (await readFile(join(directory, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENODEV')) return [];
    throw error;
  }
}

/** Freezing a parent freezes all below it. A process in an uninterruptible wait may not freeze: then go on without. */
async function freeze(root: string): Promise<void> {
  const file = join(root, 'freezer.state');
  await write(file, 'FROZEN');
  const frozen = async (): Promise<boolean> => (await readFile(file, 'utf8').catch(() => 'FROZEN')).trim() === 'FROZEN';
  await waitUntil('the host to freeze', LAB_CONFIG.killMs / 5, frozen).catch(() => {});
}

async function thaw(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await write(join(directory, 'freezer.state'), 'THAWED');
}

async function killAll(directories: readonly string[]): Promise<void> {
  for (const directory of directories)
    for (const pid of await processesOf(directory)) {
      // 0 stands for a process of another pid namespace than ours: not reachable from here, and none of ours.
      if (pid <= 1 || pid === process.pid) continue;
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!hasErrno(error, 'ESRCH')) throw error;
      }
    }
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENODEV')) throw error;
  }
}
