/** The number that the kernel gives a mount namespace (Linux 6.11), unique until the next boot. */
import { closeSync, openSync } from 'node:fs';
import { KernelError, lastErrno, libcFunction } from './libc.ts';

/** _IOR(0xb7, 5, __u64) */
const NS_GET_MNTNS_ID = 0x8008b705;

const ioctl = libcFunction<[number, number, Uint8Array]>('ioctl', 'int', ['int', 'ulong', 'void *']);

/**
 * The id of the mount namespace at the path; undefined where the kernel does not tell. A namespace can be pinned only
 * inside one with a smaller id, and ids do not grow with time: each processor gives them out from a range of its own.
 */
export function mountNamespaceId(path: string): bigint | undefined {
  const descriptor = openSync(path, 'r');
  try {
    const id = Buffer.alloc(8);
    if (ioctl(descriptor, NS_GET_MNTNS_ID, id) === 0) return id.readBigUInt64LE();
    const error = new KernelError('ioctl', lastErrno(), path);
    if (error.code === 'ENOTTY' || error.code === 'EINVAL') return undefined;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
