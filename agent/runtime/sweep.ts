/** Finds and removes what belongs to this runtime and to no container that it knows. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { unmount } from '#agent/kernel/mount.ts';
import { killHelpers } from './conmon/kill-helpers.ts';
import { cgroupPathOf, type RuntimeContext } from './context.ts';
import { mountsBelow, parseMountInfo } from './mount-info.ts';
import { tearDown } from './tear-down.ts';

async function namesIn(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
}

/** Ids of all that left a trace: state of the OCI runtime, bundle, writable layer, exit file, cgroup. */
async function traces(context: RuntimeContext): Promise<ReadonlySet<string>> {
  const { paths, cgroups, cgroupParent, cgroupTag } = context;
  const directories = [paths.runtimeRoot, paths.bundles, paths.containers, paths.exits];
  const found = new Set((await Promise.all(directories.map(namesIn))).flat());
  const prefix = `${cgroupTag}-`;
  for (const name of await cgroups.children(cgroupParent))
    if (name.startsWith(prefix)) found.add(name.slice(prefix.length));
  return found;
}

/** Mounts of containers that nobody knows, innermost first. One that is in use goes with its last user. */
async function unmountStrays(context: RuntimeContext, isKnown: (id: string) => boolean): Promise<void> {
  const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
  for (const directory of [context.paths.containers, context.paths.bundles])
    for (const target of mountsBelow(mounts, directory)) {
      const [id = ''] = target.slice(directory.length + 1).split('/');
      if (!isKnown(id)) await unmount(target);
    }
}

/** Returns the ids whose traces were removed; logs those that could not be. */
export async function sweep(context: RuntimeContext, isKnown: (id: string) => boolean): Promise<readonly string[]> {
  const { paths, log, runtime } = context;
  await killHelpers(paths.runtimeRoot, isKnown);
  await unmountStrays(context, isKnown);
  const swept: string[] = [];
  for (const id of await traces(context)) {
    if (isKnown(id)) continue;
    try {
      const remains = { id, cgroupPath: cgroupPathOf(context, id), runtime: runtime.path, alive: true };
      if (await tearDown(context, remains)) {
        await rm(paths.container(id), { recursive: true, force: true });
        swept.push(id);
      } else log.warn('what is left of a container cannot be removed: its processes do not die', { container: id });
    } catch (error) {
      log.warn('cannot remove what is left of a container', { container: id, error: (error as Error).message });
    }
  }
  await context.layerLinks.sweep();
  return swept;
}
