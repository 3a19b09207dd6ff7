import { type Check, EVERYWHERE, fail, ok, warn } from '../check.ts';
import type { Host } from '../host.ts';

const ROOT = '/sys/fs/cgroup';
/** What a limit of a service needs to be a limit. */
const WANTED: readonly { readonly controller: string; readonly gives: string }[] = [
  { controller: 'cpu', gives: '--limit-cpu' },
  { controller: 'memory', gives: '--limit-memory' },
  { controller: 'pids', gives: '--limit-pids' },
];

interface Layout {
  readonly mode: string;
  readonly controllers: ReadonlySet<string>;
}

export const cgroups: Check = {
  name: 'cgroups',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const layout = await readLayout(host);
    if (layout === undefined)
      return fail(`no cgroup hierarchy is mounted below ${ROOT}`, `mount one: mount -t cgroup2 none ${ROOT}`);
    if (!(await host.writable(ROOT)))
      return fail(`${ROOT} cannot be written`, 'run the daemon on the host, not in a container with a read-only /sys');
    const missing = WANTED.filter(({ controller }) => !layout.controllers.has(controller));
    if (missing.length === 0) return ok(`${layout.mode}, with cpu, memory and pids`);
    return warn(
      `${layout.mode} without ${missing.map(({ controller }) => controller).join(', ')}: ${missing.map(({ gives }) => gives).join(', ')} will do nothing`,
      'enable it on the kernel command line (cgroup_enable=memory), or use a kernel that has it',
    );
  },
};

async function readLayout(host: Host): Promise<Layout | undefined> {
  if ((await host.fileSystem(ROOT))?.kind === 'cgroup2') {
    const names = (await host.read(`${ROOT}/cgroup.controllers`)) ?? '';
    return { mode: 'cgroup v2', controllers: new Set(names.trim().split(/\s+/)) };
  }
  const controllers = new Set<string>();
  let unified = false;
  for (const line of ((await host.read('/proc/self/mountinfo')) ?? '').split('\n')) {
    const [, type, , options = ''] = / - (\S+) (\S+) (\S+)$/.exec(line) ?? [];
    const target = line.split(' ')[4] ?? '';
    if (!target.startsWith(`${ROOT}/`)) continue;
    if (type === 'cgroup2') unified = true;
    if (type === 'cgroup') for (const option of options.split(',')) controllers.add(option);
  }
  if (controllers.size === 0) return undefined;
  return { mode: unified ? 'cgroup v1 (hybrid)' : 'cgroup v1', controllers };
}
