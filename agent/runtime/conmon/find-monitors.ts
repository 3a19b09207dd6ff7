/** The monitors among all processes of the machine. */
import { readdir } from 'node:fs/promises';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { readCommandLine } from '#agent/kernel/process-status.ts';

const SIGKILL = 9;

/** The container that a command line of conmon is for, if it belongs to the runtime root. Pure. */
export function monitoredContainer(commandLine: readonly string[], runtimeRoot: string): string | undefined {
  if (commandLine[0]?.endsWith('/conmon') !== true || !commandLine.includes(`--root=${runtimeRoot}`)) return undefined;
  const index = commandLine.indexOf('--cid');
  return index < 0 ? undefined : commandLine[index + 1];
}

/** Kills the monitors of this runtime root whose container is not to be kept; says how many. */
export async function killMonitors(runtimeRoot: string, keep: (id: string) => boolean): Promise<number> {
  let killed = 0;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The handle comes first: what is read afterwards is said of the very process that it means.
    const handle = ProcessHandle.open(Number(name));
    if (handle === undefined) continue;
    try {
      const commandLine = await readCommandLine(handle.pid);
      const id = commandLine === undefined ? undefined : monitoredContainer(commandLine, runtimeRoot);
      if (id !== undefined && !keep(id) && handle.signal(SIGKILL)) killed++;
    } finally {
      handle.close();
    }
  }
  return killed;
}
