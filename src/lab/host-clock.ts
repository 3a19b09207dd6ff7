/**
 * A wall clock of the daemon's own, which can be set while it runs: libfaketime is loaded into it and reads the offset
 * from a file. The monotonic clock, which timers go by, is the machine's.
 */
import { glob, writeFile } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';

const LIBRARY = '/usr/lib/*/faketime/libfaketimeMT.so.1';

/** Path of the library; undefined where it is not installed. */
export async function findClockLibrary(): Promise<string | undefined> {
  for await (const file of glob(LIBRARY)) return file;
  return undefined;
}

/** What to start the daemon with, so that it goes by the clock in the file. Throws `preflight`. */
export async function clockEnvironment(file: string): Promise<Readonly<Record<string, string>>> {
  const library = await findClockLibrary();
  if (library === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: 'clocks of their own for hosts need libfaketime',
      hint: 'apt-get install libfaketime',
    });
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    // Seconds until a change of the file is seen.
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}

/** Sets the clock so many seconds ahead of the machine's (behind when negative). */
export function setClock(file: string, aheadSeconds: number): Promise<void> {
  return writeFile(file, `${aheadSeconds < 0 ? '' : '+'}${Math.trunc(aheadSeconds)}\n`);
}
