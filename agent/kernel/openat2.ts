/** openat2(2): reading inside a root directory that somebody else filled, without being led out of it by links. */
import { close as closeCallback, constants, fstat as fstatCallback, read as readCallback } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { callAsync, hasErrno, KernelError, libcFunction } from './libc.ts';

const SYS_OPENAT2 = 437;
/** The same on x64 and arm64; Node does not name it. */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const OPEN_HOW_BYTES = 24;
/** The kernel answers EAGAIN when something was renamed above the path meanwhile; a storm of renames is an attack. */
const ATTEMPTS = 16;

const openat2 = libcFunction<[number, number, string, Uint8Array, number]>('syscall', 'long', [
  'long',
  'int',
  'str',
  'void *',
  'size_t',
]);
const fstat = promisify(fstatCallback);
const read = promisify(readCallback);
const close = promisify(closeCallback);

export const OPEN_IN_ROOT = {
  /** For reading a file; does not wait for the other end of a FIFO. */
  read: constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
  /** A reference to a directory, for /proc/self/fd and as a root of further calls. */
  directory: O_PATH | constants.O_DIRECTORY,
} as const;

/**
 * Opens a path as a process chrooted into `root` would: links, absolute ones and `..` too, stay inside. The caller
 * closes the descriptor. Throws Node's or this folder's errors (ENOENT, ELOOP, ENOTDIR, ...).
 */
export async function openInRoot(root: string, path: string, flags: number): Promise<number> {
  const directory: FileHandle = await open(root, O_PATH | constants.O_DIRECTORY);
  try {
    return await openBelow(directory.fd, path, flags);
  } finally {
    await directory.close();
  }
}

/** As `openInRoot`, below a directory that is open already. */
export async function openBelow(directory: number, path: string, flags: number): Promise<number> {
  const how = Buffer.alloc(OPEN_HOW_BYTES);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 16);
  for (let attempt = 1; ; attempt++) {
    try {
      return await callAsync(openat2, [SYS_OPENAT2, directory, path, how, OPEN_HOW_BYTES], 'openat2', path);
    } catch (error) {
      if (!hasErrno(error, 'EAGAIN') || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Closes what `openInRoot` gave. */
export async function closeOpened(descriptor: number): Promise<void> {
  await close(descriptor);
}

/**
 * The contents of regular files inside `root`; undefined where there is none at the path (nothing, a directory, a
 * device, a link that leads nowhere). Throws EFBIG when one is longer than `maxBytes`.
 */
export async function readFilesInRoot(
  root: string,
  paths: readonly string[],
  maxBytes: number,
): Promise<readonly (Buffer | undefined)[]> {
  const directory = await open(root, O_PATH | constants.O_DIRECTORY);
  try {
    return await Promise.all(paths.map((path) => readFileBelow(directory.fd, path, maxBytes)));
  } finally {
    await directory.close();
  }
}

/** As `readFilesInRoot`, for one. */
export async function readFileInRoot(root: string, path: string, maxBytes: number): Promise<Buffer | undefined> {
  const [contents] = await readFilesInRoot(root, [path], maxBytes);
  return contents;
}

async function readFileBelow(directory: number, path: string, maxBytes: number): Promise<Buffer | undefined> {
  let descriptor: number;
  try {
    descriptor = await openBelow(directory, path, OPEN_IN_ROOT.read);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined;
    throw error;
  }
  try {
    if (!(await fstat(descriptor)).isFile()) return undefined;
    return await readAll(descriptor, path, maxBytes);
  } finally {
    await close(descriptor);
  }
}

async function readAll(descriptor: number, path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    // One byte more than allowed tells a file that is too long from one that just fits.
    const chunk = Buffer.allocUnsafe(Math.min(64 * 1024, maxBytes + 1 - total));
    const { bytesRead } = await read(descriptor, chunk, 0, chunk.length, null);
    if (bytesRead === 0) return Buffer.concat(chunks, total);
    chunks.push(chunk.subarray(0, bytesRead));
    total += bytesRead;
    if (total > maxBytes) throw new KernelError('read', EFBIG, path);
  }
}

const EFBIG = 27;
