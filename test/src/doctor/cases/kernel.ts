/** What the kernel lacks, or what it does not let the daemon do. */
import type { Case } from './case.ts';

const NFT = '/sbin/nft';

export const KERNEL_CASES: readonly Case[] = [
  {
    check: 'privileges',
    name: 'a full set of capabilities',
    facts: { files: { '/proc/self/status': 'Name:\tnode\nCapEff:\t000001ffffffffff\n' } },
    says: /^OK/,
  },
  {
    check: 'privileges',
    name: 'a daemon in an ordinary container',
    facts: { files: { '/proc/self/status': 'CapEff:\t00000000a80425fb\n' } },
    says: /^FAIL the daemon lacks CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN -> run it as root/,
  },
  { check: 'kernel', name: 'no /proc', facts: {}, says: /^FAIL Linux of an unknown version/ },
  {
    check: 'kernel',
    name: 'an old kernel',
    facts: { files: { '/proc/sys/kernel/osrelease': '5.4.0-200-generic\n' } },
    says: /^FAIL Linux 5.4.0-200-generic is older than 5.6 -> install/,
  },
  {
    check: 'kernel',
    name: 'a kernel with two digits',
    facts: { files: { '/proc/sys/kernel/osrelease': '5.10.0-28-amd64\n' } },
    says: /^OK Linux 5.10/,
  },
  {
    check: 'namespaces',
    name: 'one kind that cannot be made',
    facts: {
      programs: {
        'unshare --mount --fork -- true': '',
        'unshare --net --fork -- true': '',
        'unshare --pid --fork -- true': '',
        'unshare --ipc --fork -- true': '',
        'unshare --uts --fork -- true': '',
        'unshare --mount --net --pid --ipc --uts --cgroup --fork -- true': {
          exitCode: 1,
          stderr: 'unshare: unshare failed: Invalid argument\n',
        },
      },
    },
    says: /^FAIL no cgroup namespace can be made: unshare: unshare failed: Invalid argument -> /,
  },
  {
    check: 'namespaces',
    name: 'no unshare',
    facts: {},
    says: /^FAIL unshare is not installed -> install the package util-linux/,
  },
  {
    check: 'cgroups',
    name: 'cgroup v2',
    facts: {
      files: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n' },
      fileSystem: { kind: 'cgroup2', availableBytes: 0 },
    },
    says: /^OK cgroup v2, with cpu, memory and pids/,
  },
  {
    check: 'cgroups',
    name: 'cgroup v2 without the memory controller',
    facts: {
      files: { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n' },
      fileSystem: { kind: 'cgroup2', availableBytes: 0 },
    },
    says: /^WARN cgroup v2 without memory: --limit-memory will do nothing -> enable it/,
  },
  {
    check: 'cgroups',
    name: 'hybrid hierarchies',
    facts: {
      files: {
        '/proc/self/mountinfo': [
          '30 24 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755',
          '31 30 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw',
          '32 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct',
          '33 30 0:28 / /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory',
          '34 30 0:29 / /sys/fs/cgroup/pids rw shared:8 - cgroup cgroup rw,pids',
        ].join('\n'),
      },
      fileSystem: { kind: 'tmpfs', availableBytes: 0 },
    },
    says: /^OK cgroup v1 \(hybrid\), with/,
  },
  { check: 'cgroups', name: 'none', facts: {}, says: /^FAIL no cgroup hierarchy is mounted/ },
  {
    check: 'cgroups',
    name: 'a read-only hierarchy',
    facts: {
      files: { '/sys/fs/cgroup/cgroup.controllers': 'cpu memory pids\n' },
      fileSystem: { kind: 'cgroup2', availableBytes: 0 },
      unwritable: ['/sys/fs/cgroup'],
    },
    says: /^FAIL \/sys\/fs\/cgroup cannot be written/,
  },
  {
    check: 'overlayfs',
    name: 'a state directory on an overlay',
    facts: {
      programs: {
        'mkdir /nonexistent/starling/scratch/lower /nonexistent/starling/scratch/upper /nonexistent/starling/scratch/work /nonexistent/starling/scratch/all':
          '',
        'unshare x': '',
      },
      fileSystem: { kind: 'overlay', availableBytes: 0 },
    },
    says: /^FAIL overlayfs cannot be mounted below \/nonexistent\/starling: exit code 1 -> it lies on an overlay itself/,
  },
  {
    check: 'vxlan',
    name: 'a kernel without VXLAN',
    facts: {
      programs: {
        'ip x': '',
        'unshare --net -- ip link add probe0 type vxlan id 4097 dstport 4789 local 127.0.0.1 nolearning': {
          exitCode: 2,
          stderr: 'Error: Unknown device type.\n',
        },
      },
    },
    says: /^FAIL VXLAN devices cannot be made: Error: Unknown device type. -> load the module \(`modprobe vxlan`\)/,
  },
  { check: 'nftables', name: 'no nft', facts: {}, says: /^FAIL nft is not installed -> install the package nftables/ },
  {
    check: 'nftables',
    name: 'a kernel that lacks a part',
    facts: { programs: { 'unshare x': '', [`nft ${NFT}`]: '' } },
    says: /^FAIL nftables lacks something: exit code 1 -> load the modules/,
  },
  { check: 'seccomp', name: 'no filters', facts: {}, says: /^WARN the kernel has no seccomp filters/ },
];
