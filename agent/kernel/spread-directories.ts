/** ioctl(2) FS_IOC_SETFLAGS: where a file system puts the directories made in a directory. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { checked, hasErrno, libcFunction } from './libc.ts';

// The same on x64 and arm64.
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_TOPDIR_FL = 0x00020000;

const ioctl = libcFunction<[number, number, Uint8Array]>('ioctl', 'int', ['int', 'ulong', 'void *']);

/**
 * Has ext4 spread new subdirectories over the disk instead of keeping them beside each other. Where many are made and
 * removed, its search for an inode steps over every one that was freed lately: 5 ms of CPU for the dozen inodes of a
 * container, where spread it is 1. Other file systems have no such flag, and no such trouble: nothing happens there.
 */
export async function spreadSubdirectories(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const flags = Buffer.alloc(8);
    checked(ioctl(handle.fd, FS_IOC_GETFLAGS, flags), 'ioctl', directory);
    const wanted = flags.readUInt32LE(0) | FS_TOPDIR_FL;
    if (wanted === flags.readInt32LE(0)) return;
    flags.writeInt32LE(wanted, 0);
    checked(ioctl(handle.fd, FS_IOC_SETFLAGS, flags), 'ioctl', directory);
  } catch (error) {
    if (!hasErrno(error, 'ENOTTY', 'ENOTSUP', 'ENOSYS', 'EPERM', 'EINVAL')) throw error;
  } finally {
    await handle.close();
  }
}
