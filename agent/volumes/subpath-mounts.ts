/**
 * A path below a volume, held fast for the time in which a container is made. The runtime resolves paths of its own
 * accord, and whoever else has the volume may lay links in it meanwhile: so the path is resolved once, inside the volume,
 * and what was found is bound to a place that nobody else reaches.
 */
import { mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_FLAGS, mount, unmount } from '#agent/kernel/mount.ts';
import { closeOpened, O_PATH, openInRoot } from '#agent/kernel/openat2.ts';
import { SwarmError } from '#common/errors.ts';
import { mountTargetsBelow } from './mounts.ts';

const TASK_ID = /^[a-zA-Z0-9_-]{1,64}$/;

export class SubpathMounts {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Where the path below `root` is until `release`. Throws `bad-field` where there is nothing. */
  async hold(taskId: string, volume: string, root: string, subpath: string): Promise<string> {
    const descriptor = await openSubpath(volume, root, subpath);
    try {
      const source = `/proc/self/fd/${descriptor}`;
      const directory = await this.#directoryOf(taskId);
      const target = `${directory}/${(await mountTargetsBelow(directory)).length}`;
      if ((await stat(source)).isDirectory()) await mkdir(target);
      else await writeFile(target, '');
      await mount({ source, target, type: 'none', flags: MOUNT_FLAGS.bind | MOUNT_FLAGS.recursive });
      return target;
    } finally {
      await closeOpened(descriptor);
    }
  }

  /** The container has mounts of its own, or there is none. */
  async release(taskId: string): Promise<void> {
    if (!TASK_ID.test(taskId)) return;
    await this.#clear(`${this.#directory}/${taskId}`);
  }

  /** What a crash left. */
  async sweep(): Promise<void> {
    await this.#clear(this.#directory);
  }

  async #directoryOf(taskId: string): Promise<string> {
    if (!TASK_ID.test(taskId)) throw new TypeError(`${JSON.stringify(taskId)} is no id of a task`);
    const directory = `${this.#directory}/${taskId}`;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  async #clear(directory: string): Promise<void> {
    for (const target of await mountTargetsBelow(directory)) {
      await unmount(target);
      // A directory that something is mounted on would be busy: nothing of a volume is reached by this.
      await rmdir(target).catch(() => rm(target, { force: true }).catch(() => {}));
    }
    if ((await mountTargetsBelow(directory)).length === 0) await rm(directory, { recursive: true, force: true });
  }
}

/** Links are followed as a container with the volume as its root would: never out of it. */
async function openSubpath(volume: string, root: string, subpath: string): Promise<number> {
  try {
    return await openInRoot(root, subpath, O_PATH);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    throw new SwarmError({
      code: 'precondition',
      reason: 'bad-field',
      field: 'mounts.volume.subpath',
      message: `volume ${volume} has nothing at ${JSON.stringify(subpath)}`,
      hint: 'make the directory in the volume first: a subpath is not made by mounting it',
      cause: error,
    });
  }
}
