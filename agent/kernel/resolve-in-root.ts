/** Where a path leads inside a root that somebody else filled, also when its end does not exist yet. */
import { constants, fstat as fstatCallback } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { checked, hasErrno, KernelError, libcFunction } from './libc.ts';
import { closeOpened, O_PATH, openBelow } from './openat2.ts';

const readlinkat = libcFunction<[number, string, Uint8Array, number]>('readlinkat', 'long', [
  'int',
  'str',
  'void *',
  'size_t',
]);
const fstat = promisify(fstatCallback);
const PATH_BYTES = 4096;
/** As the kernel's own limit (MAXSYMLINKS). */
const LINKS_MAX = 40;
const ELOOP = 40;

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '' && segment !== '.');
}

function readLink(descriptor: number): string {
  const buffer = Buffer.alloc(PATH_BYTES);
  const length = checked(readlinkat(descriptor, '', buffer, buffer.length), 'readlinkat');
  return buffer.toString('utf8', 0, length);
}

/**
 * The absolute path, within `root`, that a process chrooted there would reach: every link followed, links to nowhere
 * too; from the first segment that does not exist on, the rest is taken as it stands. Throws ELOOP for a ring of links.
 */
export async function resolveInRoot(root: string, path: string): Promise<string> {
  const directory = await open(root, O_PATH | constants.O_DIRECTORY);
  try {
    const pending = segmentsOf(path);
    const resolved: string[] = [];
    let links = 0;
    for (let segment = pending.shift(); segment !== undefined; segment = pending.shift()) {
      if (segment === '..') {
        resolved.pop();
        continue;
      }
      const target = await linkAt(directory.fd, `/${[...resolved, segment].join('/')}`);
      if (target === undefined) {
        resolved.push(segment);
        continue;
      }
      if (++links > LINKS_MAX) throw new KernelError('openat2', ELOOP, path);
      if (target.startsWith('/')) resolved.length = 0;
      pending.unshift(...segmentsOf(target));
    }
    return `/${resolved.join('/')}`;
  } finally {
    await directory.close();
  }
}

/** The target when there is a link at the path; undefined for anything else and for nothing. */
async function linkAt(root: number, path: string): Promise<string | undefined> {
  let descriptor: number;
  try {
    descriptor = await openBelow(root, path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  try {
    return (await fstat(descriptor)).isSymbolicLink() ? readLink(descriptor) : undefined;
  } finally {
    await closeOpened(descriptor);
  }
}
