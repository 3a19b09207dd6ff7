/** The real program `swarm` against one daemon. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type DaemonProcess, programOf } from './daemon-process.ts';

const TIMEOUT_MS = 90_000;

export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** Runs a command line to its end; words after the program's name. */
export async function swarm(daemon: DaemonProcess, words: readonly string[], input = ''): Promise<Answer> {
  const socket = join(daemon.directory, 'run/swarm.sock');
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      programOf('dist/swarm.cjs', 'src/cli/start.ts'),
      '--socket',
      socket,
      ...words,
    ],
    { cwd: daemon.directory, stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS },
  );
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (data: Buffer) => {
      output[name] += data.toString();
    });
  child.stdin.end(input);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { ...output, exitCode };
}
