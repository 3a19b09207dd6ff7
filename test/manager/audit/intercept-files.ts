/** Steps into what is done with files, so that something can happen in the middle of it. */
import files, { type FileHandle, open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

export interface Interception {
  /** How often it happened. */
  readonly count: number;
  restore(): void;
}

/** `instead` is awaited before each flush, which is not made when it rejects. */
export async function interceptFlushes(instead: () => Promise<void>): Promise<Interception> {
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const original = prototype.datasync;
  let count = 0;
  prototype.datasync = async function (this: FileHandle): Promise<void> {
    count++;
    await instead();
    await original.call(this);
  };
  return {
    get count() {
      return count;
    },
    restore: () => {
      prototype.datasync = original;
    },
  };
}

/** While `work` is under way, flushes wait until it calls `release`, and end when it does at the latest. */
export async function whileFlushesAreHeld(
  work: (flushes: Interception, release: () => void) => Promise<void>,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const flushes = await interceptFlushes(() => promise);
  try {
    await work(flushes, resolve);
  } finally {
    resolve();
    flushes.restore();
  }
}

/** `then` is awaited once a first file is open, before whoever opened it hears of it. */
export function interceptFirstOpen(then: () => Promise<void>): Interception {
  const original = files.open;
  let count = 0;
  const replace = (replacement: typeof original): void => {
    files.open = replacement;
    syncBuiltinESMExports();
  };
  replace(async (...options) => {
    const handle = await original(...options);
    if (++count === 1) await then();
    return handle;
  });
  return {
    get count() {
      return count;
    },
    restore: () => replace(original),
  };
}
