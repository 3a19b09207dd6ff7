import { open } from 'node:fs/promises';
import koffi from 'koffi';
import { SwarmError } from '#common/errors.ts';
import type { DiskLock } from './disk.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

// From the process itself, so that it is found with any C library.
const flock = koffi.load(null).func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;

/**
 * Locks a file with flock(2): held by the open file, so the kernel releases it when the process ends in whatever way,
 * and children do not inherit it. The holder's process id stands in the file for the message to the other.
 */
export async function lockFile(path: string): Promise<DiskLock> {
  const handle = await open(path, 'a+', 0o600);
  if (flock(handle.fd, LOCK_EX | LOCK_NB) !== 0) {
    const errno = koffi.errno();
    const holder = (await handle.readFile('utf8').catch(() => '')).trim();
    await handle.close();
    if (errno !== koffi.os.errno.EWOULDBLOCK && errno !== koffi.os.errno.EAGAIN)
      throw new SwarmError({
        code: 'unavailable',
        reason: 'log-failed',
        message: `cannot lock ${path} (errno ${errno})`,
        hint: 'the state directory must be on a file system that supports flock',
      });
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `another swarmd ${/^\d+$/.test(holder) ? `(process ${holder}) ` : ''}uses ${path}`,
      hint: 'stop the other daemon, or give this one a state directory of its own (--state-dir)',
    });
  }
  try {
    await handle.truncate(0);
    await handle.write(`${process.pid}\n`, 0);
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
  return { release: () => handle.close() };
}
