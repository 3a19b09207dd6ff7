import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';

/** A port of loopback that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const STOP_TIMEOUT_MS = 5_000;

/** Ends the process, by force when it takes too long. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

const TICKS_PER_SECOND = 100;

/** Processor time that the processes have used so far, in milliseconds. */
export async function processorMs(children: readonly ChildProcess[]): Promise<number> {
  const stats = await Promise.all(children.map(({ pid }) => readFile(`/proc/${pid}/stat`, 'utf8')));
  let ticks = 0;
  for (const stat of stats) {
    // After the name, which may hold anything: state is the third field of all, user and system time 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks / TICKS_PER_SECOND) * 1000;
}
