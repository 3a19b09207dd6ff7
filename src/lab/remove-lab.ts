/** Takes a lab away, whatever state it is in: everything is found by its name, nothing is believed to exist. */
import { access, readFile, rm, rmdir } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { unmount } from '#agent/kernel/mount.ts';
import { LAB_CONFIG } from './config.ts';
import { findCgroups, killHostProcesses, removeHostCgroups } from './host-processes.ts';
import { cgroupPrefix, labPaths } from './names.ts';

/** Says whether there was anything to remove. */
export async function removeLab(name: string): Promise<boolean> {
  const paths = labPaths(name);
  const cgroups = await findCgroups(cgroupPrefix(name));
  for (const cgroup of cgroups) {
    await killHostProcesses(cgroup);
    await removeHostCgroups(cgroup);
  }
  const mounts = [...(await mountsBelow(paths.run)), ...(await mountsBelow(paths.state))];
  // Latest first: what is mounted upon something goes before it.
  for (const mount of mounts.toReversed()) await unmount(mount);
  const existed = cgroups.length + mounts.length > 0 || (await exists(paths.run)) || (await exists(paths.state));
  for (const directory of [paths.run, paths.state]) await rm(directory, { recursive: true, force: true });
  for (const root of [LAB_CONFIG.runRoot, LAB_CONFIG.stateRoot]) await removeIfEmpty(root);
  return existed;
}

/** Mount points at and below the directory, in the order they were made. */
async function mountsBelow(directory: string): Promise<readonly string[]> {
  const points: string[] = [];
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const point = line
      .split(' ')[4]
      ?.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (point !== undefined && (point === directory || point.startsWith(`${directory}/`))) points.push(point);
  }
  return points;
}

function exists(directory: string): Promise<boolean> {
  return access(directory).then(
    () => true,
    () => false,
  );
}

async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY')) throw error;
  }
}
