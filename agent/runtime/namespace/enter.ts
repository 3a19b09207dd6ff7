/** Getting the daemon into its own mount namespace, before it does anything else. */

import { runProcess } from '#agent/kernel/run-process.ts';
import { assert, SwarmError } from '#common/errors.ts';
import { PROGRAM_ENVIRONMENT, requireProgram } from '../programs.ts';
import { currentMountNamespace, ensureMountNamespace } from './private-mounts.ts';
import { rootInside } from './root-inside.ts';

/** Set for the daemon that runs inside: the namespace that it has to find itself in. */
const NAMESPACE_VARIABLE = 'STARLING_MOUNT_NAMESPACE';
/** nsenter leaves its program in `/`. */
const DIRECTORY_VARIABLE = 'STARLING_WORKING_DIRECTORY';
const TIMEOUT_MS = 10_000;

/** Whether this process is the one that `enterMountNamespace` put inside. */
async function isInMountNamespace(): Promise<boolean> {
  return process.env[NAMESPACE_VARIABLE] === (await currentMountNamespace());
}

/**
 * Returns at once when the process is inside. Otherwise makes the namespace if need be and replaces the process's
 * program by itself, inside: same process id, arguments, environment and standard streams, so a service manager
 * notices nothing. Call it before sockets are opened or files written. Throws `preflight` where it cannot be done.
 */
export async function enterMountNamespace(runDirectory: string): Promise<void> {
  if (await isInMountNamespace()) {
    const directory = process.env[DIRECTORY_VARIABLE];
    delete process.env[NAMESPACE_VARIABLE];
    delete process.env[DIRECTORY_VARIABLE];
    if (directory !== undefined) process.chdir(directory);
    return;
  }
  const file = await ensureMountNamespace(runDirectory);
  const nsenter = await requireProgram('nsenter', 'util-linux');
  const readlink = await requireProgram('readlink', 'coreutils');
  const identity = await runProcess({
    file: nsenter,
    args: [`--mount=${file}`, '--', readlink, '/proc/self/ns/mnt'],
    env: PROGRAM_ENVIRONMENT,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: 256,
  });
  if (identity.exitCode !== 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `cannot enter the mount namespace ${file}: ${identity.stderr.trim()}`,
      hint: 'run the daemon as root with CAP_SYS_ADMIN',
    });
  const environment = {
    ...process.env,
    [NAMESPACE_VARIABLE]: identity.stdout.trim(),
    [DIRECTORY_VARIABLE]: process.cwd(),
  };
  const root = await rootInside(file);
  const changeRoot = root === undefined ? [] : [await requireProgram('chroot', 'coreutils'), root];
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const argv = [nsenter, `--mount=${file}`, '--', ...changeRoot, ...command];
  assert(process.execve !== undefined, 'this system can replace a program');
  process.execve(nsenter, argv, environment);
}
