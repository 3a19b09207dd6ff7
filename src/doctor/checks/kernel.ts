/** What the kernel has to be able to do, tried in namespaces that vanish with the try. */
import { type Check, EVERYWHERE, fail, ok, type Verdict, warn } from '../check.ts';
import { DOCTOR_CONFIG } from '../config.ts';
import type { ProgramResult } from '../host.ts';
import { isAtLeast } from '../version.ts';

export const privileges: Check = {
  name: 'privileges',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const status = (await host.read('/proc/self/status')) ?? '';
    const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
    const missing = NEEDED_CAPABILITIES.filter(({ bit }) => (effective & (1n << bit)) === 0n).map(({ name }) => name);
    if (missing.length === 0) return ok('the daemon has the capabilities that it needs');
    return fail(`the daemon lacks ${missing.join(', ')}`, 'run it as root, outside of containers that take them away');
  },
};

/** Numbers of linux/capability.h. */
const NEEDED_CAPABILITIES: readonly { readonly name: string; readonly bit: bigint }[] = [
  { name: 'CAP_CHOWN', bit: 0n },
  { name: 'CAP_DAC_OVERRIDE', bit: 1n },
  { name: 'CAP_KILL', bit: 5n },
  { name: 'CAP_SETGID', bit: 6n },
  { name: 'CAP_SETUID', bit: 7n },
  { name: 'CAP_NET_ADMIN', bit: 12n },
  { name: 'CAP_NET_RAW', bit: 13n },
  { name: 'CAP_SYS_CHROOT', bit: 18n },
  { name: 'CAP_SYS_PTRACE', bit: 19n },
  { name: 'CAP_SYS_ADMIN', bit: 21n },
];

export const kernelVersion: Check = {
  name: 'kernel',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const release = ((await host.read('/proc/sys/kernel/osrelease')) ?? '').trim();
    if (isAtLeast(release, DOCTOR_CONFIG.kernelMinimum)) return ok(`Linux ${release}`);
    return fail(
      `Linux ${release || 'of an unknown version'} is older than ${DOCTOR_CONFIG.kernelMinimum}`,
      'install a later kernel of your distribution',
    );
  },
};

const NAMESPACE_FLAGS = ['--mount', '--net', '--pid', '--ipc', '--uts', '--cgroup'];

export const namespaces: Check = {
  name: 'namespaces',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const all = await host.run('unshare', ...NAMESPACE_FLAGS, '--fork', '--', 'true');
    if (all === undefined) return notInstalled('unshare', 'util-linux');
    if (all.exitCode === 0) return ok('mount, net, pid, ipc, uts and cgroup namespaces can be made');
    const failed: string[] = [];
    for (const flag of NAMESPACE_FLAGS) {
      const one = await host.run('unshare', flag, '--fork', '--', 'true');
      if (one?.exitCode !== 0) failed.push(flag.slice(2));
    }
    return fail(
      `no ${failed.join(', ') || 'combined'} namespace can be made: ${lastLine(all)}`,
      'use a kernel with CONFIG_NAMESPACES, and run the daemon where unshare is allowed',
    );
  },
};

export const overlayFileSystem: Check = {
  name: 'overlayfs',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: ({ host, stateDirectory }) =>
    host.withScratch(stateDirectory, async (scratch): Promise<Verdict> => {
      const made = await host.run('mkdir', ...['lower', 'upper', 'work', 'all'].map((name) => `${scratch}/${name}`));
      if (made?.exitCode !== 0)
        return fail(`nothing can be written below ${stateDirectory}`, 'use another --state-dir');
      const options = `lowerdir=${scratch}/lower,upperdir=${scratch}/upper,workdir=${scratch}/work`;
      const mounting = ['mount', '-t', 'overlay', 'overlay', '-o', options, `${scratch}/all`];
      const result = await host.run('unshare', '--mount', '--', ...mounting);
      if (result === undefined) return notInstalled('unshare', 'util-linux');
      if (result.exitCode === 0) return ok(`containers' file systems can be mounted below ${stateDirectory}`);
      const { kind } = (await host.fileSystem(stateDirectory)) ?? { kind: 'other' };
      return fail(
        `overlayfs cannot be mounted below ${stateDirectory}: ${lastLine(result)}`,
        kind === 'overlay'
          ? 'it lies on an overlay itself: put --state-dir on a volume or another file system'
          : 'load the module (`modprobe overlay`), or put --state-dir on ext4 or xfs (with ftype=1)',
      );
    }),
};

function linkCheck(name: string, what: string, ...add: string[]): Check {
  return {
    name,
    purposes: EVERYWHERE,
    containersOnly: true,
    run: async ({ host }) => {
      const result = await host.run('unshare', '--net', '--', 'ip', 'link', 'add', ...add);
      if (result === undefined) return notInstalled('unshare', 'util-linux');
      if (result.exitCode === 0) return ok(`${what} can be made`);
      if ((await host.find('ip')) === undefined) return notInstalled('ip', 'iproute2');
      return fail(
        `${what} cannot be made: ${lastLine(result)}`,
        `load the module (\`modprobe ${name}\`), or use a kernel that has it`,
      );
    },
  };
}

export const vethDevices = linkCheck('veth', 'veth pairs', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1');

export const vxlanDevices = linkCheck(
  ...(['vxlan', 'VXLAN devices', 'probe0', 'type', 'vxlan', 'id', '4097'] as const),
  ...['dstport', '4789', 'local', '127.0.0.1', 'nolearning'],
);

/** Every feature of nftables that the data plane is made of, once. */
const NFT_PROBE = [
  'add table ip probe',
  'add map ip probe services { type ipv4_addr : verdict; }',
  'add map ip probe endpoints { typeof ip daddr . numgen random mod 2 : ip daddr; }',
  'add chain ip probe two',
  'add rule ip probe two ct mark set ct mark or 0x4000 dnat to ip daddr . numgen random mod 2 map @endpoints',
  'add chain ip probe pre { type nat hook prerouting priority dstnat; }',
  'add rule ip probe pre fib daddr type local ip daddr vmap @services',
  'add chain ip probe post { type nat hook postrouting priority srcnat; }',
  'add rule ip probe post oifname "probe0" masquerade',
].join('; ');

export const nftables: Check = {
  name: 'nftables',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    if ((await host.find('nft')) === undefined) return notInstalled('nft', 'nftables');
    const result = await host.run('unshare', '--net', '--', 'nft', NFT_PROBE);
    if (result === undefined) return notInstalled('unshare', 'util-linux');
    if (result.exitCode === 0) return ok('maps, address translation and connection marks work');
    return fail(
      `nftables lacks something: ${firstLine(result)}`,
      'load the modules (`modprobe -a nf_tables nft_nat nft_masq nft_fib_ipv4 nft_numgen nft_ct`), or use another kernel',
    );
  },
};

export const seccomp: Check = {
  name: 'seccomp',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const actions = (await host.read('/proc/sys/kernel/seccomp/actions_avail')) ?? '';
    if (actions.split(/\s+/).includes('errno')) return ok('system calls of containers are filtered');
    return warn(
      'the kernel has no seccomp filters: containers may make every system call',
      'use a kernel with CONFIG_SECCOMP_FILTER',
    );
  },
};

function notInstalled(program: string, debianPackage: string): Verdict {
  return fail(`${program} is not installed`, `install the package ${debianPackage}`);
}

function firstLine(result: ProgramResult): string {
  return linesOf(result)[0] ?? `exit code ${result.exitCode}`;
}

function lastLine(result: ProgramResult): string {
  return linesOf(result).at(-1) ?? `exit code ${result.exitCode}`;
}

function linesOf({ stderr }: ProgramResult): readonly string[] {
  return stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('dmesg('));
}
