/** The OCI runtime's binary: which one it is, and the few calls that conmon does not make. */

import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { type ProcessResult, runProcess } from '#agent/kernel/run-process.ts';
import { SwarmError } from '#common/errors.ts';
import { PROGRAM_ENVIRONMENT } from './programs.ts';

/**
 * How a created container is started. The runtimes' own `start` costs a process (5 ms); what it does is to open a FIFO
 * at whose other end the container's first process waits. The protocol is internal: used for known versions only.
 */
export type StartProtocol =
  | 'write-fifo' // crun: one byte is written
  | 'read-fifo' // runc: one byte is read
  | 'command';

export interface OciRuntime {
  readonly name: string;
  readonly path: string;
  readonly version: string;
  readonly startProtocol: StartProtocol;
  /** Known holes of this version, for the operator. */
  readonly warnings: readonly string[];
}

/** Versions whose FIFO protocol was tried: major.minor. */
const KNOWN_PROTOCOLS: Readonly<Record<string, readonly [pattern: RegExp, protocol: StartProtocol]>> = {
  crun: [/^1\.8\b/, 'write-fifo'],
  runc: [/^1\.1\b/, 'read-fifo'],
};

const OUTPUT_BYTES = 16 * 1024;
const VERSION_TIMEOUT_MS = 10_000;
const FIFO_TIMEOUT_MS = 2000;
const FIFO_POLL_MS = 1;

/** Whether `version` is lower than `fixed`, both major.minor.patch. */
function isOlder(version: string, fixed: string): boolean {
  const numbers = (text: string): readonly number[] =>
    text
      .split(/[.+~-]/)
      .slice(0, 3)
      .map(Number);
  const [own, other] = [numbers(version), numbers(fixed)];
  for (let index = 0; index < 3; index++) {
    const difference = (own[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function warningsFor(name: string, version: string): readonly string[] {
  if (name !== 'runc') return [];
  // Distributions carry the first fix in older versions; the later ones came without backports.
  if (isOlder(version, '1.2.8'))
    return [`runc ${version} lacks the fixes for CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881`];
  return [];
}

/** Pure part of the probe: the first line of `--version`. */
export function describeRuntime(path: string, output: string): OciRuntime {
  const match = /^(\S+) version (\S+)/.exec(output);
  const name = match?.[1] ?? path.slice(path.lastIndexOf('/') + 1);
  const version = match?.[2] ?? 'unknown';
  const known = KNOWN_PROTOCOLS[name];
  const startProtocol = known?.[0].test(version) === true ? known[1] : 'command';
  return { name, path, version, startProtocol, warnings: warningsFor(name, version) };
}

/** Asks a binary what it is. Throws `preflight` when it does not run. */
export async function probeRuntime(path: string): Promise<OciRuntime> {
  const answer = await runProcess({
    file: path,
    args: ['--version'],
    env: PROGRAM_ENVIRONMENT,
    timeoutMs: VERSION_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES,
  });
  if (answer.exitCode === 0) return describeRuntime(path, answer.stdout);
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: `${path} does not run: ${answer.stderr.trim()}`,
    hint: 'install crun or runc anew',
  });
}

function call(runtime: string, root: string, args: readonly string[], timeoutMs: number): Promise<ProcessResult> {
  return runProcess({
    file: runtime,
    args: [`--root=${root}`, ...args],
    env: PROGRAM_ENVIRONMENT,
    timeoutMs,
    outputBytesMax: OUTPUT_BYTES,
  });
}

/** The FIFO at which a created container waits; it is gone once the container was started. */
export function startFifo(root: string, id: string): string {
  return `${root}/${id}/exec.fifo`;
}

async function readOneByte(fifo: FileHandle): Promise<boolean> {
  const deadline = performance.now() + FIFO_TIMEOUT_MS;
  while (performance.now() < deadline) {
    try {
      if ((await fifo.read(Buffer.alloc(1), 0, 1, null)).bytesRead === 1) return true;
    } catch (error) {
      if (!hasErrno(error, 'EAGAIN')) throw error;
    }
    await sleep(FIFO_POLL_MS);
  }
  return false;
}

/** False when nobody waits there, or not in the way that is known: then the runtime itself has to do it. */
async function startThroughFifo(path: string, protocol: StartProtocol): Promise<boolean> {
  if (protocol === 'command') return false;
  const flags = protocol === 'write-fifo' ? constants.O_WRONLY : constants.O_RDONLY;
  let fifo: FileHandle;
  try {
    fifo = await open(path, flags | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENXIO')) return false;
    throw error;
  }
  try {
    if (protocol === 'write-fifo') await fifo.write(Buffer.alloc(1));
    else if (!(await readOneByte(fifo))) return false;
  } finally {
    await fifo.close();
  }
  // As long as the FIFO is there the runtime takes the container for one that was never started.
  await unlink(path).catch((error: unknown) => {
    if (!hasErrno(error, 'ENOENT')) throw error;
  });
  return true;
}

/** Lets the created container's first process go on to the user's program. */
export async function startContainer(runtime: OciRuntime, root: string, id: string, timeoutMs: number): Promise<void> {
  if (await startThroughFifo(startFifo(root, id), runtime.startProtocol)) return;
  const answer = await call(runtime.path, root, ['start', id], timeoutMs);
  if (answer.exitCode === 0) return;
  throw new SwarmError({
    code: 'internal',
    reason: 'runtime-failed',
    message: `${runtime.name} cannot start the container: ${answer.stderr.trim()}`,
  });
}

/**
 * Removes the runtime's own state of the container, killing what still runs when forced. Not existing is no error;
 * any other failure is thrown as `runtime-failed`, a call that does not come back as `timeout`.
 */
export async function deleteContainer(
  runtime: string,
  root: string,
  id: string,
  force: boolean,
  timeoutMs: number,
): Promise<void> {
  const answer = await call(runtime, root, ['delete', ...(force ? ['-f'] : []), id], timeoutMs);
  if (answer.exitCode === 0 || /does not exist|no such file or directory/i.test(answer.stderr)) return;
  throw new SwarmError({
    code: 'internal',
    reason: 'runtime-failed',
    message: `the container runtime cannot remove the container: ${answer.stderr.trim()}`,
  });
}
