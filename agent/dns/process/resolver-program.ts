/** The program of the resolver: how it is started, and how a process of an earlier daemon is found again. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import { spawnProcess } from '#agent/kernel/spawn.ts';

const SIGKILL = 9;

export interface ResolverProgram {
  /** Node.js, absolute. */
  readonly node: string;
  /** The built entry, or its source; absolute. */
  readonly entry: string;
  /** Differs between releases: a process of another one is replaced. */
  readonly version: string;
}

/** Little memory rather than the last bit of speed. */
const NODE_ARGUMENTS = ['--max-semi-space-size=2', '--v8-pool-size=1'];
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', UV_THREADPOOL_SIZE: '2', MALLOC_ARENA_MAX: '1' };

interface ProcessRecord {
  readonly pid: number;
  readonly startTicks: number;
}

function recordPath(directory: string): string {
  return join(directory, 'process.json');
}

/**
 * Starts a process that outlives us: in a session of its own, without a descriptor or the working directory of ours. It
 * stays in our cgroup, where the service manager leaves it alone (KillMode=process).
 */
export async function startResolver(
  program: ResolverProgram,
  directory: string,
  next: boolean,
): Promise<{ readonly ended: Promise<unknown> }> {
  const { node, entry, version } = program;
  const args = ['--directory', directory, '--program-version', version, ...(next ? ['--next'] : [])];
  const started = await spawnProcess({
    file: node,
    args: [...NODE_ARGUMENTS, entry, ...args],
    env: ENVIRONMENT,
    directory: '/',
    descriptors: ['null', 'null', 'null'],
    session: true,
  });
  const startTicks = readProcess(started.pid)?.startTicks;
  if (startTicks !== undefined) {
    const record: ProcessRecord = { pid: started.pid, startTicks };
    await writeFile(recordPath(directory), JSON.stringify(record), { mode: 0o600 });
  }
  return started;
}

/** Kills the process that was started last, if it still lives, and waits for its end. */
export async function killResolver(directory: string): Promise<void> {
  const handle = await openRecorded(directory);
  if (handle === undefined) return;
  handle.signal(SIGKILL);
  await handle.ended;
  handle.close();
}

async function openRecorded(directory: string): Promise<ProcessHandle | undefined> {
  const text = await readFile(recordPath(directory), 'utf8').catch(() => '');
  await rm(recordPath(directory), { force: true });
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof record !== 'object' || record === null || !('pid' in record) || !('startTicks' in record))
    return undefined;
  const { pid, startTicks } = record;
  return typeof pid === 'number' && typeof startTicks === 'number'
    ? ProcessHandle.openExact(pid, startTicks)
    : undefined;
}
