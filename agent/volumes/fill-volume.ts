/** Fills an empty volume with what the image has at its mount point, as Docker does. */
import { readdir, rm } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { closeOpened, OPEN_IN_ROOT, openInRoot } from '#agent/kernel/openat2.ts';
import { runProcess } from '#agent/kernel/run-process.ts';
import { PROGRAM_ENVIRONMENT, requireProgram } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';

/** A database image may bring gigabytes. */
const COPY_TIMEOUT_MS = 10 * 60_000;
const OUTPUT_BYTES = 4096;

/** The directory at `target` in the image; undefined when there is none. The caller closes it. */
async function openImageDirectory(rootPath: string, target: string): Promise<number | undefined> {
  try {
    return await openInRoot(rootPath, target, OPEN_IN_ROOT.directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}

/**
 * Copies owners, modes, times, links (as links) and extended attributes. Nothing runs yet in `rootPath` and nobody
 * else has the volume mounted, so that no path changes under the copy; links in the image lead nowhere outside it.
 */
export async function fillVolume(rootPath: string, target: string, dataDirectory: string): Promise<void> {
  const source = await openImageDirectory(rootPath, target);
  if (source === undefined) return;
  try {
    if ((await readdir(`/proc/self/fd/${source}`)).length === 0) return;
    const copy = await requireProgram('cp', 'coreutils');
    const result = await runProcess({
      file: copy,
      // The directory by its descriptor: whatever its path is, this is the one that was found inside the image.
      args: ['-a', '--', `/proc/${process.pid}/fd/${source}/.`, `${dataDirectory}/`],
      env: { ...PROGRAM_ENVIRONMENT, LC_ALL: 'C' },
      timeoutMs: COPY_TIMEOUT_MS,
      outputBytesMax: OUTPUT_BYTES,
    });
    if (result.exitCode === 0) return;
    // Half a copy would be taken for a filled volume the next time.
    for (const name of await readdir(dataDirectory))
      await rm(`${dataDirectory}/${name}`, { recursive: true, force: true });
    throw copyFailed(target, result.stderr.trim());
  } finally {
    await closeOpened(source);
  }
}

function copyFailed(target: string, complaint: string): SwarmError {
  const isFull = /no space left|quota exceeded/i.test(complaint);
  return new SwarmError({
    code: isFull ? 'exhausted' : 'internal',
    reason: isFull ? 'disk-full' : 'runtime-failed',
    message: `cannot fill the volume at ${target} from the image: ${complaint}`,
    hint: isFull ? 'free space below the state directory' : undefined,
  });
}
