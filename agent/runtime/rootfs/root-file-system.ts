/** The root file system of one container: an overlay of its image's layers and a writable layer of its own. */
import { chmod, chown, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_DATA_BYTES, MOUNT_FLAGS, mount, mountFileSystem, unmount } from '#agent/kernel/mount.ts';
import { SwarmError } from '#common/errors.ts';
import type { LayerLinks } from './layer-links.ts';
import { checkOverlayPath, type OverlayDirectories, overlayData, overlayOptions } from './overlay-options.ts';

/** One-letter names: they count in the kernel's limit on mount options. */
const UPPER = 'u';
const WORK = 'w';
const MERGED = 'm';

/** Of nearly every image's root directory. */
const ROOT_MODE = 0o755;

export interface RootFileSystemPaths {
  readonly upper: string;
  readonly work: string;
  /** Where the overlay is mounted: the container's `/`. */
  readonly merged: string;
}

/**
 * `containerDirectory` is on a disk; the mount point lies in the bundle, which is lost at a reboot as the mount is.
 */
export function rootFileSystemPaths(containerDirectory: string, bundle: string): RootFileSystemPaths {
  return {
    upper: join(containerDirectory, UPPER),
    work: join(containerDirectory, WORK),
    merged: join(bundle, MERGED),
  };
}

/**
 * A task runs once, and its writable layer is thrown away with it, after a reboot too. So the overlay need not write
 * it through: without `volatile` each unmount would sync the whole disk below. Kernels before 5.10 refuse the option.
 */
let volatileWorks = true;

/**
 * Makes the directories and mounts. `containerDirectory` and `bundle` exist, have mode 0700 and hold none of them yet.
 * Returns the path of the container's `/`.
 */
export async function mountRootFileSystem(
  containerDirectory: string,
  bundle: string,
  layers: readonly string[],
  links: LayerLinks,
): Promise<string> {
  const paths = rootFileSystemPaths(containerDirectory, bundle);
  await Promise.all([paths.upper, paths.work, paths.merged].map((path) => mkdir(path, { mode: ROOT_MODE })));
  for (const layer of layers) {
    const refusal = checkOverlayPath('image.layers', layer);
    if (refusal !== undefined) throw refusal;
  }
  const lowers = layers.length > 0 ? layers : [await emptyLayer(containerDirectory)];
  await copyRootAttributes(lowers[0], paths.upper);
  const directories = { lowers, upper: paths.upper, work: paths.work };
  try {
    await mountOverlay(directories, paths.merged, links);
  } catch (error) {
    if (!volatileWorks || !hasErrno(error, 'EINVAL')) throw overlayError(error, lowers);
    volatileWorks = false;
    await mountOverlay(directories, paths.merged, links).catch((again: unknown) => {
      throw overlayError(again, lowers);
    });
  }
  return paths.merged;
}

/** An image without layers still has a root. */
async function emptyLayer(containerDirectory: string): Promise<string> {
  const path = join(containerDirectory, 'empty');
  await mkdir(path, { mode: 0o755 });
  return path;
}

/** The root directory's owner and mode are those of the writable layer: they have to be made equal to the image's. */
async function copyRootAttributes(top: string | undefined, upper: string): Promise<void> {
  if (top === undefined) return;
  const attributes = await stat(top).catch((error: unknown) => {
    throw overlayError(error, [top]);
  });
  if ((attributes.mode & 0o7777) !== ROOT_MODE) await chmod(upper, attributes.mode & 0o7777);
  if (attributes.uid !== 0 || attributes.gid !== 0) await chown(upper, attributes.uid, attributes.gid);
}

async function mountOverlay(directories: OverlayDirectories, target: string, links: LayerLinks): Promise<void> {
  const plain = overlayData(directories, volatileWorks);
  // Device nodes of an image are of no use to anyone: the container's own lie on the tmpfs at /dev.
  const flags = MOUNT_FLAGS.noDevices;
  if (fits(plain)) return mount({ source: 'overlay', target, type: 'overlay', flags, data: plain });
  const lowers = await Promise.all(directories.lowers.map((lower) => links.linkTo(lower)));
  const short = overlayData({ ...directories, lowers }, volatileWorks);
  if (fits(short)) return mount({ source: 'overlay', target, type: 'overlay', flags, data: short });
  mountFileSystem({ type: 'overlay', target, attributes: flags, options: overlayOptions(directories, volatileWorks) });
}

function fits(data: string): boolean {
  return Buffer.byteLength(data) < MOUNT_DATA_BYTES;
}

function overlayError(error: unknown, lowers: readonly string[]): SwarmError {
  const full = hasErrno(error, 'ENOSPC', 'EDQUOT');
  const missing = hasErrno(error, 'ENOENT', 'ENOTDIR');
  return new SwarmError({
    code: full ? 'exhausted' : 'internal',
    reason: full ? 'disk-full' : missing ? 'image-invalid' : 'runtime-failed',
    message: missing
      ? `a layer of the image is missing from the store (${lowers.length} layers)`
      : `cannot mount the root file system of ${lowers.length} layers: ${(error as Error).message}`,
    hint: missing ? 'remove the image and pull it again' : undefined,
    cause: error,
  });
}

/** Unmounts and removes the directories, also after half a mount. Nothing there is no error. */
export async function removeRootFileSystem(containerDirectory: string, bundle: string): Promise<void> {
  const paths = rootFileSystemPaths(containerDirectory, bundle);
  await unmount(paths.merged);
  for (const path of [paths.merged, paths.work, paths.upper, join(containerDirectory, 'empty')])
    await rm(path, { recursive: true, force: true });
}
