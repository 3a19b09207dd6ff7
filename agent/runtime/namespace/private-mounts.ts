/**
 * The agent's own mount namespace. Root file systems of containers are mounted there, out of the host's sight, and on
 * hybrid machines it hides the v2 hierarchy, without which crun works. It is pinned to a file, so that an agent that
 * comes back enters the same one and finds the mounts of its living containers.
 */
import { mkdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_FLAGS, mount, setPropagation, unmount } from '#agent/kernel/mount.ts';
import { runProcess } from '#agent/kernel/run-process.ts';
import { statfs } from '#agent/kernel/statfs.ts';
import { SwarmError } from '#common/errors.ts';
import { readCgroupLayout } from '../cgroups/layout.ts';
import { parseMountInfo } from '../mount-info.ts';
import { PROGRAM_ENVIRONMENT, requireProgram } from '../programs.ts';

const DIRECTORY = 'ns';
const PIN = 'mnt';
const UNIFIED = '/sys/fs/cgroup/unified';
/** Making it takes 3 ms; this is for a machine that swaps. */
const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES = 4096;
/** Ids come in small ranges: the next one is reached within it. */
const PIN_ATTEMPTS_PER_PROCESSOR = 24;

function pinDirectory(runDirectory: string): string {
  return join(runDirectory, DIRECTORY);
}

/** The file that names the namespace; for an operator: `nsenter --mount=FILE`. */
export function mountNamespaceFile(runDirectory: string): string {
  return join(pinDirectory(runDirectory), PIN);
}

/** Identity of the mount namespace that this process is in: "mnt:[4026531841]". */
export function currentMountNamespace(): Promise<string> {
  return readlink('/proc/self/ns/mnt');
}

async function isPinned(file: string): Promise<boolean> {
  try {
    return (await statfs(file)).kind === 'nsfs';
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function isMountPoint(directory: string): Promise<boolean> {
  const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
  return mounts.some((entry) => entry.target === directory);
}

/**
 * Makes the namespace unless this boot has it already, and returns the file that names it. Throws `preflight` where
 * the kernel or its policy does not allow it; an agent can then work in the host's namespace, with runc.
 * One caller at a time for each run directory.
 */
export async function ensureMountNamespace(runDirectory: string): Promise<string> {
  await mkdir(pinDirectory(runDirectory), { recursive: true, mode: 0o700 });
  const directory = await realpath(pinDirectory(runDirectory));
  const file = join(directory, PIN);
  if (await isPinned(file)) return file;
  const mountProgram = await requireProgram('mount', 'mount');
  const trueProgram = await requireProgram('true', 'coreutils');
  try {
    // A mount namespace can be bound to a file only on a mount that does not propagate into that very namespace.
    if (!(await isMountPoint(directory))) {
      await mount({ source: directory, target: directory, type: 'none', flags: MOUNT_FLAGS.bind });
      await setPropagation(directory, MOUNT_FLAGS.private);
    }
    await writeFile(file, '', { mode: 0o600 });
    const layout = readCgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'));
    // crun leaves files where it takes the v2 hierarchy to be. Covering it, rather than unmounting it, keeps them here.
    const program =
      layout.mode === 'hybrid'
        ? [mountProgram, '-t', 'tmpfs', '-o', 'size=4m,mode=755,nosuid,nodev,noexec', 'starling', UNIFIED]
        : [trueProgram];
    await pinNamespace(file, program);
    return file;
  } catch (error) {
    await removeMountNamespace(runDirectory);
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `cannot make a mount namespace: ${(error as Error).message}`,
      hint: 'run the daemon as root with CAP_SYS_ADMIN',
      cause: error,
    });
  }
}

/**
 * Makes the namespace and binds it to the file. The kernel binds one only inside a namespace with a smaller id, and each
 * processor gives out ids from a range of its own (Linux 6.11): inside another namespace than the machine's first, as in
 * a container, it takes the right processor, and sometimes a few ids of it.
 */
async function pinNamespace(file: string, program: readonly string[]): Promise<void> {
  const unshare = await requireProgram('unshare', 'util-linux');
  // Slave: what the host mounts later appears inside, nothing from inside appears on the host.
  const command = [unshare, `--mount=${file}`, '--propagation', 'slave', '--', ...program];
  const taskset = await requireProgram('taskset', 'util-linux');
  const processors = availableParallelism();
  let problem = '';
  for (let attempt = 0; attempt < processors * PIN_ATTEMPTS_PER_PROCESSOR; attempt++) {
    const made = await runProcess({
      file: taskset,
      args: ['--cpu-list', String(attempt % processors), ...command],
      env: PROGRAM_ENVIRONMENT,
      timeoutMs: TIMEOUT_MS,
      outputBytesMax: OUTPUT_BYTES,
    });
    if (made.exitCode === 0) return;
    problem = made.stderr.trim();
    if (!/Invalid argument/.test(problem)) break;
  }
  throw new Error(problem);
}

/**
 * Unpins the namespace: it goes, with every mount in it, when the last process in it ends. Nothing of it stays in the
 * run directory. Not existing is no error.
 */
export async function removeMountNamespace(runDirectory: string): Promise<void> {
  const directory = pinDirectory(runDirectory);
  await unmount(join(directory, PIN));
  await unmount(directory);
  await rm(directory, { recursive: true, force: true });
}
