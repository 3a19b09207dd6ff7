/** A daemon in a chroot: entering a mount namespace leads to the namespace's own root, which is another directory. */
import { stat } from 'node:fs/promises';
import { runProcess } from '#agent/kernel/run-process.ts';
import { SwarmError } from '#common/errors.ts';
import { parseMountInfo } from '../mount-info.ts';
import { PROGRAM_ENVIRONMENT, requireProgram } from '../programs.ts';

const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES = 4 * 1024 * 1024;

async function runInside(file: string, program: string, ...args: string[]): Promise<string> {
  const result = await runProcess({
    file: await requireProgram('nsenter', 'util-linux'),
    args: [`--mount=${file}`, '--', await requireProgram(program, 'coreutils'), ...args],
    env: PROGRAM_ENVIRONMENT,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES,
  });
  return result.stdout;
}

/**
 * Where this process's root directory lies in the namespace; undefined when it is the namespace's own root, as on every
 * machine without a chroot. A chroot has to be a mount point, by which it is found. Throws `preflight` otherwise.
 */
export async function rootInside(file: string): Promise<string | undefined> {
  const { dev, ino } = await stat('/', { bigint: true });
  const own = `${dev}:${ino}`;
  const identify = async (...paths: string[]): Promise<readonly string[]> =>
    (await runInside(file, 'stat', '--format', '%d:%i %n', ...paths)).split('\n');
  if ((await identify('/')).includes(`${own} /`)) return undefined;
  const targets = parseMountInfo(await runInside(file, 'cat', '/proc/self/mountinfo')).map(({ target }) => target);
  const found = (await identify(...new Set(targets))).find((line) => line.startsWith(`${own} `));
  if (found !== undefined) return found.slice(own.length + 1);
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: 'the daemon runs in a chroot that is not a mount point, so its mount namespace cannot be entered',
    hint: 'make it one: mount --bind DIR DIR, before chroot DIR',
  });
}
