/** Runs a program to its end and collects what it says. */
import type { Socket } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { spawnProcess } from './spawn.ts';

const SIGKILL = 9;

export interface ProcessRun {
  /** Absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** The program is killed after this. */
  readonly timeoutMs: number;
  /** What is kept of each of stdout and stderr, from the beginning; the rest is read and dropped. */
  readonly outputBytesMax: number;
}

export interface ProcessResult {
  /** 128 + signal when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

function collect(pipe: Socket | undefined, bytesMax: number): { text(): string } {
  const chunks: Buffer[] = [];
  let kept = 0;
  pipe?.on('data', (chunk: Buffer) => {
    if (kept >= bytesMax) return;
    const part = chunk.subarray(0, bytesMax - kept);
    chunks.push(part);
    kept += part.length;
  });
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}

/** Resolves with any exit code. Rejects when the program cannot be started, or with `timeout` when it was killed. */
export async function runProcess(run: ProcessRun): Promise<ProcessResult> {
  const { file, args, env, directory } = run;
  const started = await spawnProcess({
    file,
    args,
    env,
    ...(directory === undefined ? {} : { directory }),
    descriptors: ['null', 'read', 'read'],
  });
  const [, out, err] = started.pipes;
  const stdout = collect(out, run.outputBytesMax);
  const stderr = collect(err, run.outputBytesMax);
  const closed = [out, err].map((pipe) => new Promise<void>((resolve) => pipe?.once('close', () => resolve())));
  try {
    const end = await withDeadline(started.ended, run.timeoutMs, `${file} ${args.join(' ')}`);
    // A grandchild may hold the pipes open for ever: what has not come shortly after the end is not waited for.
    await withDeadline(Promise.all(closed), OUTPUT_GRACE_MS, 'output').catch((error: unknown) => {
      if (!(error instanceof SwarmError)) throw error;
    });
    const exitCode = end.exitCode ?? 128 + (end.signal ?? 0);
    return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
  } catch (error) {
    started.signal(SIGKILL);
    throw error;
  } finally {
    out?.destroy();
    err?.destroy();
  }
}

/** Enough for the kernel to hand over what was written before the end. */
const OUTPUT_GRACE_MS = 200;
