/** The processes that make and watch containers, found among all processes of the machine. */
import { readdir } from 'node:fs/promises';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { readCommandLine } from '#agent/kernel/process-status.ts';
import { withDeadline } from '#common/system/deadline.ts';

const SIGKILL = 9;
/** They hold nothing that could keep them from dying. */
const DEATH_TIMEOUT_MS = 2000;

/**
 * The container that a command line is for, if it is conmon's or the OCI runtime's and belongs to the runtime root.
 * A container's first process has the runtime's command line until it is started. Pure.
 */
export function helpedContainer(commandLine: readonly string[], runtimeRoot: string): string | undefined {
  if (!commandLine.includes(`--root=${runtimeRoot}`)) return undefined;
  const index = commandLine.indexOf('--cid');
  return index < 0 ? commandLine.at(-1) : commandLine[index + 1];
}

/**
 * Kills monitors and runtimes at work for containers that are not to be kept, and waits for their end: a create that
 * an agent left half-way does not go on while its traces are removed.
 */
export async function killHelpers(runtimeRoot: string, keep: (id: string) => boolean): Promise<void> {
  const killed: ProcessHandle[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The handle comes first: what is read afterwards is said of the very process that it means.
    const handle = ProcessHandle.open(Number(name));
    if (handle === undefined) continue;
    const commandLine = readCommandLine(handle.pid);
    const id = commandLine === undefined ? undefined : helpedContainer(commandLine, runtimeRoot);
    if (id !== undefined && !keep(id) && handle.signal(SIGKILL)) killed.push(handle);
    else handle.close();
  }
  const ended = Promise.all(killed.map((handle) => handle.ended));
  await withDeadline(ended, DEATH_TIMEOUT_MS, 'monitors to die').catch(() => {});
  for (const handle of killed) handle.close();
}
