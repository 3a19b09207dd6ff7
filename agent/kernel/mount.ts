/** mount(2), umount2(2) and the file-descriptor based mount calls. */
import { callAsync, checked, closeDescriptor, hasErrno, libcFunction } from './libc.ts';

export const MOUNT_FLAGS = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExecution: 8,
  remount: 32,
  bind: 4096,
  recursive: 16384,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
} as const;

/** mount(2) copies this many bytes of options at most, the terminator included. */
export const MOUNT_DATA_BYTES = 4096;

const UMOUNT_DETACH = 2;
const AT_FDCWD = -100;
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

const mountFunction = libcFunction<[string | null, string, string | null, number, string | null]>('mount', 'int', [
  'str',
  'str',
  'str',
  'ulong',
  'str',
]);
const umountFunction = libcFunction<[string, number]>('umount2', 'int', ['str', 'int']);
const fsopen = libcFunction<[number, string, number]>('syscall', 'long', ['long', 'str', 'uint']);
const fsconfig = libcFunction<[number, number, number, string | null, string | null, number]>('syscall', 'long', [
  'long',
  'int',
  'uint',
  'str',
  'str',
  'int',
]);
const fsmount = libcFunction<[number, number, number, number]>('syscall', 'long', ['long', 'int', 'uint', 'uint']);
const moveMount = libcFunction<[number, number, string, number, string, number]>('syscall', 'long', [
  'long',
  'int',
  'str',
  'int',
  'str',
  'uint',
]);

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** MOUNT_FLAGS, or-ed. */
  readonly flags: number;
  /** The file system's own options, comma separated; at most MOUNT_DATA_BYTES with its terminator. */
  readonly data?: string;
}

/** mount(2), on the thread pool. Throws a KernelError. */
export async function mount(request: MountRequest): Promise<void> {
  const { source, target, type, flags, data } = request;
  await callAsync(mountFunction, [source, target, type, flags, data ?? null], 'mount', target);
}

/** Changes the propagation of a mount (one of private, slave, shared, with or without recursive). */
export async function setPropagation(target: string, flags: number): Promise<void> {
  await callAsync(mountFunction, [null, target, null, flags, null], 'mount', target);
}

/**
 * Unmounts. On the thread pool, since a file system that is synced first may take long. A busy mount is detached
 * (it goes when its last user does). Says what happened; nothing mounted there is no error.
 */
export async function unmount(target: string): Promise<'unmounted' | 'detached' | 'absent'> {
  try {
    await callAsync(umountFunction, [target, 0], 'umount2', target);
    return 'unmounted';
  } catch (error) {
    if (hasErrno(error, 'EINVAL', 'ENOENT')) return 'absent';
    if (!hasErrno(error, 'EBUSY')) throw error;
  }
  await callAsync(umountFunction, [target, UMOUNT_DETACH], 'umount2', target);
  return 'detached';
}

export interface FileSystemOptions {
  readonly type: string;
  /** In order; a key without value is a flag; keys may repeat (overlay's `lowerdir+`). No limit on their length. */
  readonly options: readonly (readonly [key: string, value?: string])[];
  /** MOUNT_FLAGS among readOnly, noSuid, noDevices, noExecution: they have the same bits here. */
  readonly attributes: number;
  readonly target: string;
}

/** Mounts through fsopen(2), which takes each option in a call of its own. Synchronous: 2 ms for 150 options. */
export function mountFileSystem(request: FileSystemOptions): void {
  const context = checked(fsopen(SYS_FSOPEN, request.type, FSOPEN_CLOEXEC), 'fsopen', request.type);
  try {
    for (const [key, value] of request.options) {
      const command = value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
      checked(fsconfig(SYS_FSCONFIG, context, command, key, value ?? null, 0), 'fsconfig', key);
    }
    checked(fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0), 'fsconfig', request.target);
    const mounted = checked(fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, request.attributes), 'fsmount');
    try {
      const moved = moveMount(SYS_MOVE_MOUNT, mounted, '', AT_FDCWD, request.target, MOVE_MOUNT_F_EMPTY_PATH);
      checked(moved, 'move_mount', request.target);
    } finally {
      closeDescriptor(mounted);
    }
  } finally {
    closeDescriptor(context);
  }
}
