/** Runs a command in a running container, within bounds of time and output. */
import { readFile, unlink, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { type StartedProcess, spawnProcess } from '#agent/kernel/spawn.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { Container } from './container.ts';
import type { RuntimeContext } from './context.ts';
import { killTree } from './process-tree.ts';
import { PROGRAM_ENVIRONMENT } from './programs.ts';
import { parseOciProcess, serializeOciProcess } from './spec/oci-spec.ts';

export interface ExecRequest {
  readonly command: readonly string[];
  /** The command, and what it has started and not let go of, is killed after this. */
  readonly timeoutMs: number;
  /** Of both of its outputs together, from the beginning; the rest is read and dropped. */
  readonly outputBytesMax: number;
}

export interface ExecResult {
  /** 128 + signal when a signal ended it; undefined when it took too long. */
  readonly exitCode: number | undefined;
  readonly output: string;
}

/** Enough for the kernel to hand over what was written before the end; a process left behind may hold the pipe for ever. */
const OUTPUT_GRACE_MS = 100;
/** From the death of the command to that of the runtime that waits for it. */
const KILL_GRACE_MS = 1000;

/**
 * The command gets the user, the environment, the directory and the privileges of the container's own. Throws
 * `runtime-failed` when it cannot be tried at all; one that is not there ends with the runtime's code and words.
 */
export async function execInContainer(
  context: RuntimeContext,
  container: Container,
  request: ExecRequest,
  signal: AbortSignal | undefined,
): Promise<ExecResult> {
  const number = container.nextExec();
  const base = `${context.paths.bundle(container.id)}/exec-${number}`;
  const [processFile, pidFile] = [await processFileOf(context, container, request.command), `${base}.pid`];
  const started = await spawnProcess({
    file: container.record.runtime,
    args: [
      `--root=${context.paths.runtimeRoot}`,
      'exec',
      '--process',
      processFile,
      '--pid-file',
      pidFile,
      container.id,
    ],
    env: PROGRAM_ENVIRONMENT,
    descriptors: ['null', 'read', 'read'],
  });
  const output = collect(started, request.outputBytesMax);
  try {
    const exitCode = await endOf(started, pidFile, request.timeoutMs, signal);
    await withDeadline(output.closed, OUTPUT_GRACE_MS, 'output').catch(ignoreTimeout);
    return { exitCode, output: output.text() };
  } finally {
    output.close();
    await unlink(pidFile).catch(() => {});
  }
}

/** The exit code, or undefined when the command was killed for taking too long, or since nobody waits any more. */
async function endOf(
  started: StartedProcess,
  pidFile: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  let abort = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    abort = () => resolve(undefined);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) resolve(undefined);
  });
  try {
    const end = await withDeadline(Promise.race([started.ended, aborted]), timeoutMs, 'a command').catch(ignoreTimeout);
    if (end !== undefined) return end.exitCode ?? 128 + (end.signal ?? 0);
    await killCommand(started, pidFile);
    return undefined;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** The runtime waits outside; the command itself has to die, which SIGKILL to the runtime would not achieve. */
async function killCommand(started: StartedProcess, pidFile: string): Promise<void> {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim());
  if (pid > 0) killTree(pid, started.pid);
  else killTree(started.pid, process.pid);
  const end = await withDeadline(started.ended, KILL_GRACE_MS, 'a command to die').catch(ignoreTimeout);
  if (end === undefined) killTree(started.pid, process.pid);
}

function ignoreTimeout(error: unknown): undefined {
  if (error instanceof SwarmError && error.reason === 'timeout') return undefined;
  throw error;
}

/** What the runtime is told of the command: the container's own process with other arguments. Written once a command. */
function processFileOf(context: RuntimeContext, container: Container, command: readonly string[]): Promise<string> {
  const key = JSON.stringify(command);
  const known = container.execFiles.get(key);
  if (known !== undefined) return known;
  const bundle = context.paths.bundle(container.id);
  const write = async (): Promise<string> => {
    const own = parseOciProcess(await readFile(`${bundle}/config.json`, 'utf8'));
    const path = `${bundle}/exec-${container.nextExec()}.json`;
    // It holds the environment, as config.json does.
    await writeFile(path, serializeOciProcess({ ...own, terminal: false, args: command }), { mode: 0o600 });
    return path;
  };
  const written = write();
  container.execFiles.set(key, written);
  written.catch(() => container.execFiles.delete(key));
  return written;
}

interface Collected {
  /** Resolves when both outputs are closed. */
  readonly closed: Promise<unknown>;
  text(): string;
  close(): void;
}

function collect({ pipes }: StartedProcess, bytesMax: number): Collected {
  const outputs = pipes.filter((pipe): pipe is Socket => pipe !== undefined);
  const chunks: Buffer[] = [];
  let kept = 0;
  for (const output of outputs)
    output.on('data', (chunk: Buffer) => {
      const part = chunk.subarray(0, Math.max(0, bytesMax - kept));
      if (part.length > 0) chunks.push(part);
      kept += part.length;
    });
  return {
    closed: Promise.all(outputs.map((output) => new Promise<void>((resolve) => output.once('close', () => resolve())))),
    text: () => Buffer.concat(chunks).toString('utf8'),
    close: () => {
      for (const output of outputs) output.destroy();
    },
  };
}
