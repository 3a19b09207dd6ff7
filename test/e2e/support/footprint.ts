/** What a host or a lab has on this machine: processes, cgroups, mounts, namespaces, files, rules. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { readCommandLine } from '#agent/kernel/process-status.ts';
import { hostProcesses } from '#src/lab/host-processes.ts';
import type { LabHost } from '#src/lab/lab-host.ts';

/** Of one host, by name rather than by number, so that a difference says what is left. */
export interface Footprint {
  /** Everything but the daemon: monitors, containers, helpers. */
  readonly processes: readonly string[];
  readonly cgroups: readonly string[];
  /** Root file systems, volumes and other mounts of containers, as the daemon sees them. */
  readonly mounts: readonly string[];
  /** Network namespaces are kept ready, so only their number counts. */
  readonly networkNamespaces: number;
  /** Below the state and the run directory, without images, the log and the database. */
  readonly files: readonly string[];
  /** Elements of maps and sets of nftables: published ports. */
  readonly rules: readonly string[];
}

export async function footprintOf(host: LabHost): Promise<Footprint> {
  const pid = (await host.daemon.pid()) ?? 0;
  const { runDirectory, stateDirectory, cgroup, cgroupParent, network } = host.paths;
  return {
    processes: (await hostProcesses(cgroup)).filter((one) => one !== pid).map((one) => `${one} ${commandOf(one)}`),
    cgroups: await cgroupsBelow(cgroupParent),
    mounts: (await mountsOf(pid)).filter(
      (point) => point.startsWith(`${runDirectory}/tasks/`) || point.startsWith(`${stateDirectory}/`),
    ),
    networkNamespaces: (await namesIn(`${runDirectory}/network/ns`)).length,
    files: (
      await Promise.all([
        filesBelow(`${runDirectory}/tasks`),
        filesBelow(`${runDirectory}/network/tasks`),
        filesBelow(`${stateDirectory}/tasks`),
        filesBelow(`${stateDirectory}/volumes`),
      ])
    ).flat(),
    rules: await elementsIn(network),
  };
}

const LAB_ROOTS = ['/run/starling-lab', '/var/lib/starling-lab'] as const;

/** Names of all labs that have left a directory. */
export async function labsOnThisMachine(): Promise<readonly string[]> {
  const names = await Promise.all(LAB_ROOTS.map(namesIn));
  return [...new Set(names.flat())];
}

/** Everything on the machine that carries the lab's name. */
export async function labTraces(lab: string): Promise<readonly string[]> {
  const found = (await mountsOf(process.pid)).filter((point) => point.includes(`/starling-lab/${lab}/`));
  for (const root of LAB_ROOTS) if ((await namesIn(root)).includes(lab)) found.push(`${root}/${lab}`);
  for (const hierarchy of await namesIn('/sys/fs/cgroup'))
    for (const group of await namesIn(`/sys/fs/cgroup/${hierarchy}`))
      if (group.startsWith(`starling-lab-${lab}-`)) found.push(`${hierarchy}/${group}`);
  for (const pid of (await namesIn('/proc')).filter((name) => /^\d+$/.test(name)).map(Number))
    if (commandOf(pid).includes(`/starling-lab/${lab}/`)) found.push(`process ${pid} ${commandOf(pid)}`);
  for (const device of (await namesIn('/sys/block')).filter((one) => one.startsWith('loop'))) {
    const file = await readFile(`/sys/block/${device}/loop/backing_file`, 'utf8').catch(() => '');
    if (file.includes(`/starling-lab/${lab}/`)) found.push(`${device} ${file.trim()}`);
  }
  return found;
}

function commandOf(pid: number): string {
  return readCommandLine(pid)?.join(' ') ?? '';
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(() => []);
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

async function cgroupsBelow(cgroup: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const hierarchy of ['', ...(await namesIn('/sys/fs/cgroup'))]) {
    const root = join('/sys/fs/cgroup', hierarchy, cgroup);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) if (entry.isDirectory()) found.push(join(entry.parentPath, entry.name));
  }
  return found.toSorted();
}

async function mountsOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => line.split(' ')[4] ?? []);
}

async function elementsIn(networkNamespace: string): Promise<readonly string[]> {
  const namespace = NetworkNamespace.open(networkNamespace);
  const nftables = Nftables.open(namespace);
  try {
    const found: string[] = [];
    for (const entry of await nftables.listJson('list rules', 'list ruleset', { elements: true })) {
      const { set, map } = entry as Record<string, { readonly name: string; readonly elem?: readonly unknown[] }>;
      for (const kind of [set, map])
        for (const element of kind?.elem ?? []) found.push(`${kind?.name} ${JSON.stringify(element)}`);
    }
    return found.toSorted();
  } finally {
    await nftables.close();
    namespace.close();
  }
}
