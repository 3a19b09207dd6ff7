/**
 * Files that the kernel makes up when they are read (/proc, cgroups): no disk is behind them, so reading one at once
 * takes 10 microseconds, where a turn through the thread pool takes hundreds on a busy machine.
 */
import { checked, closeDescriptor, hasErrno, libcFunction } from './libc.ts';

const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
/** The kernel hands such files out a page at a time. */
const CHUNK_BYTES = 4096;

const open = libcFunction<[string, number, number]>('open', 'int', ['str', 'int', 'uint']);
const read = libcFunction<[number, Uint8Array, number]>('read', 'long', ['int', 'void *', 'size_t']);

/** The text, cut at about `bytesMax`; undefined when there is no such file, or what it tells of is gone. */
export function readPseudoFile(path: string, bytesMax: number): string | undefined {
  try {
    const descriptor = checked(open(path, O_RDONLY | O_CLOEXEC, 0), 'open', path);
    try {
      return readAll(descriptor, path, bytesMax);
    } finally {
      closeDescriptor(descriptor);
    }
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH', 'ENOTDIR', 'ENODEV')) return undefined;
    throw error;
  }
}

function readAll(descriptor: number, path: string, bytesMax: number): string {
  const chunks: Buffer[] = [];
  for (let total = 0; total < bytesMax; ) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const bytes = checked(read(descriptor, chunk, CHUNK_BYTES), 'read', path);
    if (bytes === 0) break;
    chunks.push(chunk.subarray(0, bytes));
    total += bytes;
  }
  return (chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)).toString('utf8');
}
