/**
 * Network namespaces: made, pinned by a bind mount on a file of ours, entered for a moment, removed.
 *
 * setns(2) and unshare(2) change the calling thread only. Entering is therefore synchronous: the main thread goes in,
 * does work of well under a millisecond (opens a socket, writes a sysctl) and comes back before anything else of the
 * process can run. Sockets stay in the namespace they were opened in, whichever thread uses them later.
 */
import { closeSync, lstatSync, openSync, rmSync, statfsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { checked, hasErrno, libcFunction } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const NSFS_MAGIC = 0x6e736673;
/** Follows the calling thread, not the process: the right one also in a worker thread. */
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

const unshareFunction = libcFunction<[number]>('unshare', 'int', ['int']);
const setnsFunction = libcFunction<[number, number]>('setns', 'int', ['int', 'int']);
const mountFunction = libcFunction<[string, string, string | null, number, string | null]>('mount', 'int', [
  'str',
  'str',
  'str',
  'ulong',
  'str',
]);
const umountFunction = libcFunction<[string, number]>('umount2', 'int', ['str', 'int']);

/** The namespace that this thread belongs to and always returns to. */
let home: number | undefined;

function homeDescriptor(): number {
  home ??= openSync(OWN_NAMESPACE, 'r');
  return home;
}

function goHome(): void {
  // A thread left in a foreign namespace would open every later socket there. There is no safe way to go on.
  if (setnsFunction(homeDescriptor(), CLONE_NEWNET) !== 0) process.abort();
}

/** An open network namespace. It exists at least as long as this handle is open. */
export class NetworkNamespace {
  /** For netlink attributes that name a namespace by descriptor. Owned by this object. */
  readonly descriptor: number;
  #closed = false;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /** The namespace pinned at the path, or that of a process (`/proc/<pid>/ns/net`). Throws ENOENT and the like. */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(openSync(path, 'r'));
  }

  /** The namespace this process runs in. */
  static own(): NetworkNamespace {
    return new NetworkNamespace(openSync(OWN_NAMESPACE, 'r'));
  }

  /**
   * Runs `work` with the calling thread inside the namespace. `work` must be synchronous and short. Throws a
   * KernelError when the namespace cannot be entered, else what `work` throws.
   */
  run<T>(work: () => T): T {
    homeDescriptor();
    checked(setnsFunction(this.descriptor, CLONE_NEWNET), 'setns');
    try {
      return work();
    } finally {
      goHome();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.descriptor);
  }
}

/**
 * A new namespace (only `lo`, down), pinned at `path`: it lives until `removeNetworkNamespace` and the end of its last
 * process. The path must not exist. About 0.6 ms. Throws EEXIST, and KernelErrors of unshare and mount.
 */
export function createNetworkNamespace(path: string): NetworkNamespace {
  homeDescriptor();
  closeSync(openSync(path, 'wx', 0o600));
  try {
    checked(unshareFunction(CLONE_NEWNET), 'unshare', path);
    try {
      checked(mountFunction(OWN_NAMESPACE, path, null, MS_BIND, null), 'mount', path);
      return NetworkNamespace.own();
    } finally {
      goHome();
    }
  } catch (error) {
    removeNetworkNamespace(path);
    throw error;
  }
}

/**
 * Unpins the namespace and removes its file. With no process left in it the kernel tears it down soon after, and with it
 * every device inside and their peers outside. Says whether there was one; nothing there is no error.
 */
export function removeNetworkNamespace(path: string): boolean {
  let found = false;
  // A crash between two steps can leave a mount on a mount.
  while (umountFunction(path, MNT_DETACH) === 0) found = true;
  rmSync(path, { force: true });
  return found;
}

/** Whether a namespace is pinned at the path (a mere file left over after a reboot is none). */
export function isNetworkNamespace(path: string): boolean {
  try {
    return lstatSync(path).isFile() && statfsSync(path).type === NSFS_MAGIC;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Names of the files in a directory of namespaces, pinned or left over; none when the directory is missing. */
export async function listNetworkNamespaces(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
