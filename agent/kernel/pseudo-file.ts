/**
 * Files that the kernel makes up when they are read (/proc): no disk is behind them, so reading one at once takes
 * 10 microseconds, where a turn through the thread pool takes hundreds.
 */
import { checked, closeDescriptor, hasErrno, libcFunction } from './libc.ts';

const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;

const open = libcFunction<[string, number, number]>('open', 'int', ['str', 'int', 'uint']);
const read = libcFunction<[number, Uint8Array, number]>('read', 'long', ['int', 'void *', 'size_t']);

/** The text, cut at `bytesMax`; undefined when there is no such file, or its process is gone. */
export function readPseudoFile(path: string, bytesMax: number): string | undefined {
  try {
    const descriptor = checked(open(path, O_RDONLY | O_CLOEXEC, 0), 'open', path);
    try {
      const buffer = Buffer.allocUnsafe(bytesMax);
      return buffer.toString('utf8', 0, checked(read(descriptor, buffer, bytesMax), 'read', path));
    } finally {
      closeDescriptor(descriptor);
    }
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH', 'ENOTDIR')) return undefined;
    throw error;
  }
}
