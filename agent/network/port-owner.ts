/** Which process has a port open. A courtesy for error messages: whatever cannot be read is skipped. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import type { PublishedAt } from './task-network.ts';

const TCP_LISTEN = '0A';
/** A host with more processes than this gets no name in its message. */
const PROCESSES_MAX = 20_000;

/** "nginx (pid 4711)"; undefined when it cannot be told (another user's container, a kernel service). */
export async function findPortOwner(port: PublishedAt): Promise<string | undefined> {
  if (port.protocol === 'sctp') return undefined;
  const inodes = new Set<string>();
  for (const table of [port.protocol, `${port.protocol}6`])
    for (const inode of socketInodes(await textOf(`/proc/net/${table}`), port)) inodes.add(inode);
  if (inodes.size === 0) return undefined;
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  if (processes.length > PROCESSES_MAX) return undefined;
  for (const pid of processes) {
    if (!(await holdsSocket(pid, inodes))) continue;
    const name = (await textOf(`/proc/${pid}/comm`)).trim();
    return Number(pid) === process.pid ? 'this daemon' : `${name || 'a process'} (pid ${pid})`;
  }
  return undefined;
}

/** The sockets bound to the port, from the text of /proc/net/{tcp,udp}. */
export function socketInodes(table: string, port: Pick<PublishedAt, 'protocol' | 'publishedPort'>): readonly string[] {
  const inodes: string[] = [];
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [, local = '', , state] = fields;
    const inode = fields[9];
    if (inode === undefined || Number.parseInt(local.split(':')[1] ?? '', 16) !== port.publishedPort) continue;
    if (port.protocol === 'tcp' && state !== TCP_LISTEN) continue;
    inodes.push(inode);
  }
  return inodes;
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  let descriptors: readonly string[];
  try {
    descriptors = await readdir(`/proc/${pid}/fd`);
  } catch {
    return false;
  }
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
