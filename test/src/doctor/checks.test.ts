/**
 * What each check says of hosts that lack something, against a host made of texts as real programs print them. That the
 * real host is read rightly is shown in system.test.ts.
 */
import assert from 'node:assert/strict';
import { CHECKS, type DoctorContext } from '#src/doctor/index.ts';
import { contextOf, type FakeFacts, fakeHost, say } from './fake-host.ts';

interface Case {
  readonly check: string;
  readonly name: string;
  readonly facts: FakeFacts;
  readonly context?: Partial<DoctorContext>;
  readonly says: RegExp | undefined;
}

const NFT = '/sbin/nft';
const chains = (...list: object[]): string =>
  JSON.stringify({ nftables: [{ metainfo: {} }, ...list.map((chain) => ({ chain }))] });
const FORWARD_DROP = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' };
const routes = (...list: object[]): FakeFacts => ({
  programs: { 'ip -j -4 route show table all': JSON.stringify(list), 'ip -j -6 route show table all': '[]' },
});
const RUNC = (version: string, commit = ''): string => `runc version ${version}\ncommit: ${commit}\nspec: 1.0.2-dev\n`;
const CRUN = 'crun version 1.8.1\ncommit: f8a0\n';
const MINUTE_MS = 60_000;

const CASES: readonly Case[] = [
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

  { check: 'oci-runtime', name: 'none', facts: {}, says: /^FAIL neither crun nor runc is installed/ },
  {
    check: 'oci-runtime',
    name: 'crun alone',
    facts: { programs: { 'crun --version': CRUN } },
    says: /^OK crun 1.8.1$/,
  },
  {
    check: 'oci-runtime',
    name: 'an old crun',
    facts: { programs: { 'crun --version': 'crun version 0.17\n' } },
    says: /^WARN crun 0.17 is older than 1.8.0/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of upstream alone',
    facts: { programs: { 'runc --version': RUNC('1.1.5', 'v1.1.5-0-gf19387a6') } },
    says: /^FAIL runc 1.1.5 has known holes: CVE-2024-21626 .* -> install runc 1.2.8, 1.3.3 or later, or use crun/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of Debian, which has the worst of it fixed',
    facts: { programs: { 'runc --version': RUNC('1.1.5+ds1', '1.1.5+ds1-1+deb12u1') } },
    says: /^WARN runc 1.1.5\+ds1 has known holes: CVE-2024-45310 .*CVE-2025-31133/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of Debian before the fix',
    facts: { programs: { 'runc --version': RUNC('1.1.5+ds1', '1.1.5+ds1-1+b1') } },
    says: /^FAIL .*CVE-2024-21626/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.15',
    facts: { programs: { 'runc --version': RUNC('1.1.15') } },
    says: /^WARN runc 1.1.15 has known holes: CVE-2025-31133(?!.*21626)/,
  },
  ...(['1.2.8', '1.3.3', '1.3.10', '1.4.0', '2.0.0'] as const).map((version) => ({
    check: 'oci-runtime',
    name: `runc ${version}`,
    facts: { programs: { 'runc --version': RUNC(version) } },
    says: new RegExp(`^OK runc ${version}$`),
  })),
  ...(['1.2.7', '1.3.2'] as const).map((version) => ({
    check: 'oci-runtime',
    name: `runc ${version}`,
    facts: { programs: { 'runc --version': RUNC(version) } },
    says: /^WARN runc .* CVE-2025-31133/,
  })),
  {
    check: 'oci-runtime',
    name: 'a hole in the runtime that is not used',
    facts: { programs: { 'runc --version': RUNC('1.1.5'), 'crun --version': CRUN } },
    says: /^WARN crun 1.8.1 is used; beside it, runc 1.1.5 has known holes/,
  },
  {
    check: 'oci-runtime',
    name: 'a chosen runtime that is not there',
    facts: { programs: { 'crun --version': CRUN } },
    context: { runtime: 'kata-runtime' },
    says: /^FAIL the OCI runtime kata-runtime is not installed/,
  },
  {
    check: 'oci-runtime',
    name: 'a chosen runc with holes, though crun is there',
    facts: { programs: { 'runc --version': RUNC('1.1.5'), 'crun --version': CRUN } },
    context: { runtime: 'runc' },
    says: /^FAIL runc 1.1.5 has known holes/,
  },
  { check: 'conmon', name: 'none', facts: {}, says: /^FAIL conmon is not installed: it watches/ },
  {
    check: 'conmon',
    name: 'an old one',
    facts: { programs: { 'conmon --version': 'conmon version 2.0.25\ncommit: unknown\n' } },
    says: /^WARN conmon 2.0.25 is older than 2.1.0/,
  },
  {
    check: 'buildah',
    name: 'a later one',
    facts: { programs: { 'buildah --version': 'buildah version 1.39.3 (image-spec 1.1.0, runtime-spec 1.2.0)\n' } },
    says: /^OK buildah 1.39.3$/,
  },
  {
    check: 'programs',
    name: 'some that are missing',
    facts: { programs: { 'nft x': '' } },
    says: /^FAIL ip is not installed: .*; conntrack is not installed: .* -> install iproute2 conntrack/,
  },
  {
    check: 'programs',
    name: 'no init',
    facts: { programs: { 'nft x': '', 'ip x': '', 'conntrack x': '' } },
    says: /^WARN no init for containers is installed/,
  },

  {
    check: 'disk',
    name: 'a full disk',
    facts: { fileSystem: { kind: 'other', availableBytes: 1000 } },
    says: /^FAIL only 0.0 GiB are free in .* -> make room/,
  },
  {
    check: 'disk',
    name: 'a small disk',
    facts: { fileSystem: { kind: 'other', availableBytes: 2 * 1024 ** 3 } },
    says: /^WARN only 2.0 GiB/,
  },
  {
    check: 'disk',
    name: 'memory',
    facts: { fileSystem: { kind: 'tmpfs', availableBytes: 9 * 1024 ** 3 } },
    says: /^WARN .* lies in memory/,
  },

  {
    check: 'clock',
    name: 'a machine without a battery',
    facts: {},
    context: { nowMs: 1000 },
    says: /^FAIL the clock says 1970-01-01/,
  },
  { check: 'clock', name: 'no manager', facts: {}, says: /^OK the clock says 2030-01-01.* no manager to compare/ },
  ...[
    { skewMs: 700, says: /^OK the clock is 700 ms ahead of the manager's/ },
    { skewMs: -5000, says: /^WARN the clock is 5.0 s behind the manager's -> keep the clock/ },
    { skewMs: 31 * MINUTE_MS, says: /^FAIL the clock is 31 min ahead of/ },
  ].map(({ skewMs, says }) => ({
    check: 'clock',
    name: `a difference of ${skewMs} ms`,
    facts: { clockSkews: { b: skewMs } },
    context: { managers: ['a', 'b', 'c'].map((host) => ({ host, port: 2377 })) },
    says,
  })),
  {
    check: 'clock',
    name: 'a known difference',
    facts: {},
    context: { clockSkewMs: async () => -3000 },
    says: /^WARN .*3.0 s behind/,
  },

  { check: 'cluster-port', name: 'a free port', facts: {}, says: /^OK 0.0.0.0:2377\/tcp is free/ },
  {
    check: 'cluster-port',
    name: 'a port in use',
    facts: {
      ports: { 'tcp 2377': 'EADDRINUSE' },
      programs: {
        'ss -H -l -n -p -t sport = :2377': 'LISTEN 0 4096 *:2377 *:* users:(("dockerd",pid=812,fd=20))\n',
      },
    },
    says: /^FAIL 0.0.0.0:2377\/tcp is in use by dockerd \(pid 812\) -> stop it, or choose another port with --listen-addr/,
  },
  {
    check: 'cluster-port',
    name: 'a port in use on a host that may become a worker',
    facts: { ports: { 'tcp 2377': 'EADDRINUSE' } },
    context: { purpose: 'join', manager: undefined },
    says: /^WARN 0.0.0.0:2377\/tcp is in use ->/,
  },
  {
    check: 'cluster-port',
    name: 'an address of another host',
    facts: { ports: { 'tcp 2377': 'EADDRNOTAVAIL' } },
    context: { listen: { host: '192.0.2.99', port: 2377 } },
    says: /^FAIL 192.0.2.99 is not an address of this host/,
  },
  {
    check: 'cluster-port',
    name: 'its own port',
    facts: { ports: { 'tcp 2377': 'EADDRINUSE' } },
    context: { purpose: 'doctor', serving: true },
    says: /^OK this daemon serves/,
  },
  {
    check: 'data-path-port',
    name: 'another swarm',
    facts: { ports: { 'udp 4789': 'EADDRINUSE' } },
    says: /^FAIL 4789\/udp is in use by a VXLAN device of the kernel: another swarm .*--data-path-port/,
  },
  {
    check: 'data-path-port',
    name: 'its own networks',
    facts: { ports: { 'udp 4789': 'EADDRINUSE' } },
    context: { purpose: 'doctor' },
    says: /^OK 4789\/udp is held by the kernel, for networks of this node/,
  },
  { check: 'manager-port', name: 'no managers', facts: {}, context: { purpose: 'doctor' }, says: undefined },
  {
    check: 'manager-port',
    name: 'a manager in reach',
    facts: {},
    context: { purpose: 'join', managers: [{ host: '192.0.2.1', port: 2377 }] },
    says: /^OK 1 manager reached, the farthest in 1.5 ms/,
  },
  ...(
    [
      ['ECONNREFUSED', /^FAIL \[fd00::1\]:2377: refused: nothing listens there -> check the address/],
      ['ETIMEDOUT', /^FAIL .* no answer: a firewall drops .* -> open the manager's port/],
      ['EHOSTUNREACH', /^FAIL .* no route to it/],
      ['ENOTFOUND', /^FAIL .* the name does not resolve -> give the manager's address/],
      ['EPROTO', /^FAIL .* not reached \(EPROTO\)/],
    ] as const
  ).map(([error, says]) => ({
    check: 'manager-port',
    name: `a manager that cannot be reached: ${error}`,
    facts: { connections: { 'fd00::1:2377': error } },
    context: { purpose: 'join', managers: [{ host: 'fd00::1', port: 2377 }] } as const,
    says,
  })),
  {
    check: 'manager-port',
    name: 'one manager of two',
    facts: { connections: { 'a:1': 'ECONNREFUSED' } },
    context: {
      purpose: 'join',
      managers: [
        { host: 'a', port: 1 },
        { host: 'b', port: 1 },
      ],
    },
    says: /^WARN a:1: refused.*another manager/,
  },

  { check: 'address-pools', name: 'a join', facts: {}, context: { addressPools: undefined }, says: undefined },
  {
    check: 'address-pools',
    name: 'no collision',
    facts: routes({ dst: 'default', dev: 'eth0' }, { dst: '192.168.1.0/24', dev: 'eth0' }),
    says: /^OK 10.0.0.0\/8 is free on this host/,
  },
  {
    check: 'address-pools',
    name: 'a LAN within the pool',
    facts: routes(
      { dst: '10.20.0.0/16', dev: 'eth0', scope: 'link' },
      { dst: '10.20.0.5', dev: 'eth0', type: 'local', table: 'local' },
      { dst: '10.20.255.255', dev: 'eth0', type: 'broadcast' },
      { dst: '172.17.0.0/16', dev: 'docker0' },
    ),
    says: /^FAIL 10.0.0.0\/8 overlaps the route 10.20.0.0\/16 \(eth0\) -> .*such as --default-addr-pool 192.168.0.0\/16$/,
  },
  {
    check: 'address-pools',
    name: 'a VPN that takes all of a block',
    facts: routes({ dst: '10.0.0.0/8', dev: 'wg0' }),
    context: { addressPools: ['172.20.0.0/14', '10.9.0.0/16'] },
    says: /^FAIL 10.9.0.0\/16 overlaps the route 10.0.0.0\/8 \(wg0\)/,
  },
  {
    check: 'address-pools',
    name: 'our own networks',
    facts: routes({ dst: '10.255.0.0/24', dev: 'sl-abcdefgh' }),
    says: /^OK/,
  },
  {
    check: 'address-pools',
    name: 'a host in all private blocks: parts of them are offered',
    facts: routes(
      { dst: '10.0.0.0/9', dev: 'a' },
      { dst: '172.16.0.0/12', dev: 'b' },
      { dst: '192.168.0.0/16', dev: 'c' },
      { dst: '100.64.0.0/10', dev: 'd' },
    ),
    says: /--default-addr-pool 10.128.0.0\/9$/,
  },
  {
    check: 'address-pools',
    name: 'a host in the whole of all private blocks',
    facts: routes(
      ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map((dst) => ({ dst, dev: 'a' })),
    ),
    says: /-> choose a pool that is free on all hosts: --default-addr-pool CIDR$/,
  },
  {
    check: 'address-pools',
    name: 'a swarm that exists: the pools are what they are',
    facts: routes({ dst: '10.1.0.0/16', dev: 'eth0' }),
    context: { purpose: 'doctor' },
    says: /^WARN 10.0.0.0\/8 overlaps .*choose --subnet/,
  },
  {
    check: 'address-pools',
    name: 'rubbish',
    facts: routes(),
    context: { addressPools: ['10.0.0.0/8', '10.0.0.0/33', 'x'] },
    says: /^FAIL "10.0.0.0\/33", "x" is not a block of addresses/,
  },

  {
    check: 'ip-forward',
    name: 'on',
    facts: { files: { '/proc/sys/net/ipv4/ip_forward': '1\n' } },
    says: /^OK this host forwards/,
  },
  {
    check: 'ip-forward',
    name: 'off for ever',
    facts: { files: { '/proc/sys/net/ipv4/ip_forward': '0\n' }, unwritable: ['/proc/sys/net/ipv4/ip_forward'] },
    says: /^FAIL this host does not forward packets/,
  },
  {
    check: 'forward-policy',
    name: 'none but ours',
    facts: { programs: { 'nft -j list chains': chains({ ...FORWARD_DROP, table: 'starling_ab' }) } },
    says: /^OK/,
  },
  {
    check: 'forward-policy',
    name: 'a chain that accepts by default, and a bridge’s',
    facts: {
      programs: {
        'nft -j list chains': chains({ ...FORWARD_DROP, policy: 'accept' }, { ...FORWARD_DROP, family: 'bridge' }),
      },
    },
    says: /^OK no other firewall/,
  },
  {
    check: 'forward-policy',
    name: 'dockerd’s',
    facts: { programs: { 'nft -j list chains': chains(FORWARD_DROP), 'nft list ruleset': '' } },
    says: /^WARN ip filter FORWARD drops forwarded packets.*iptables -I FORWARD -i sl-\+ -j ACCEPT; iptables -I FORWARD -o sl-\+/,
  },
  {
    check: 'forward-policy',
    name: 'an administrator’s, in the words of nft',
    facts: {
      programs: {
        'nft -j list chains': chains({ ...FORWARD_DROP, family: 'inet', name: 'fwd' }),
        'nft list ruleset': 'table ip starling_x {\n iifname "sl-x" accept\n oifname "sl-x" accept\n}\n',
      },
    },
    says: /^WARN inet filter fwd drops .*iifname "sl-\*" accept; oifname "sl-\*" accept/,
  },
  {
    check: 'forward-policy',
    name: 'one that lets our links pass',
    facts: {
      programs: {
        'nft -j list chains': chains(FORWARD_DROP),
        'nft list ruleset':
          'table ip filter {\n chain FORWARD {\n  iifname "sl-*" counter packets 0 bytes 0 accept\n  oifname "sl-*" counter accept\n }\n}\n',
      },
    },
    says: /^OK ip filter FORWARD drops by default, and lets the links of this node pass/,
  },
  {
    check: 'forward-policy',
    name: 'one that lets them pass one way only',
    facts: {
      programs: {
        'nft -j list chains': chains(FORWARD_DROP),
        'nft list ruleset': 'table ip filter {\n iifname "sl-*" accept\n}\n',
      },
    },
    says: /^WARN/,
  },
  {
    check: 'forward-policy',
    name: 'the older iptables',
    facts: {
      files: { '/proc/net/ip_tables_names': 'nat\nfilter\n' },
      programs: {
        'nft -j list chains': chains(),
        'nft list ruleset': '',
        'iptables-legacy -S FORWARD': '-P FORWARD DROP\n',
        'iptables-legacy -S': '-P FORWARD DROP\n',
      },
    },
    says: /^WARN ip filter \(legacy\) FORWARD drops/,
  },
  { check: 'forward-policy', name: 'no nft', facts: {}, says: /^WARN could not be checked: nft cannot list/ },
  {
    check: 'input-policy',
    name: 'a closed host',
    facts: {
      programs: {
        'nft -j list chains': chains({ family: 'inet', table: 'f', name: 'in', hook: 'input', policy: 'drop' }),
      },
    },
    says: /^WARN inet f in drops incoming packets: other nodes need 2377\/tcp and 4789\/udp of this one -> allow/,
  },

  {
    check: 'open-files',
    name: 'enough',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 1048576              files     \n',
      },
    },
    says: /^OK the daemon may open 1048576 files/,
  },
  {
    check: 'open-files',
    name: 'few',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 20000                files     \n',
      },
    },
    says: /^WARN .*20000 files.*LimitNOFILE/,
  },
  {
    check: 'open-files',
    name: 'too few',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 1024                 files     \n',
      },
    },
    says: /^FAIL/,
  },
  {
    check: 'inotify',
    name: 'few',
    facts: {
      files: { '/proc/sys/fs/inotify/max_user_instances': '16\n', '/proc/sys/fs/inotify/max_user_watches': '8192\n' },
    },
    says: /^WARN 16 inotify instances.* -> sysctl -w fs.inotify.max_user_instances=512/,
  },
  { check: 'conntrack', name: 'not loaded', facts: {}, says: /^OK connections are not tracked yet/ },
  {
    check: 'conntrack',
    name: 'a full table',
    facts: {
      files: {
        '/proc/sys/net/netfilter/nf_conntrack_max': '262144\n',
        '/proc/sys/net/netfilter/nf_conntrack_count': '250000\n',
      },
    },
    says: /^WARN 250000 of 262144 connections tracked: new ones will soon be dropped -> .*=524288/,
  },
  {
    check: 'conntrack',
    name: 'a small table',
    facts: { files: { '/proc/sys/net/netfilter/nf_conntrack_max': '8192\n' } },
    says: /^WARN 0 of 8192 connections tracked: that is few/,
  },

  { check: 'docker-engine', name: 'none', facts: {}, says: /^OK no Docker engine/ },
  {
    check: 'docker-engine',
    name: 'one without a swarm',
    facts: { docker: { version: '28.2.2', swarmState: 'inactive' } },
    says: /^OK Docker 28.2.2 runs beside/,
  },
  {
    check: 'docker-engine',
    name: 'one in a swarm',
    facts: { docker: { version: '28.2.2', swarmState: 'active' } },
    says: /^WARN Docker 28.2.2 .*docker swarm leave/,
  },
];

describe('doctor: checks', () => {
  for (const { check, name, facts, context, says } of CASES)
    it(`${check}: ${name}`, async () => {
      const said = await say(check, contextOf(fakeHost(facts), context));
      if (says === undefined) assert.equal(said, undefined);
      else assert.match(said ?? 'nothing', says);
    });

  it('have names of their own, and each has a case here or on the real host', () => {
    const names = CHECKS.map((check) => check.name);
    assert.equal(new Set(names).size, names.length);
    const covered = new Set(CASES.map((one) => one.check));
    assert.deepEqual(
      names.filter((name) => !covered.has(name)),
      ['veth', 'identity'],
    );
  });

  it('on a host that has nothing at all each say so, and none breaks', async () => {
    for (const { name } of CHECKS) {
      const said = await say(name, contextOf(fakeHost({}), { purpose: 'doctor' }));
      assert.match(said ?? 'OK', /^(OK|WARN|FAIL) ?/, name);
      assert.doesNotMatch(said ?? '', /undefined|\[object|NaN/, name);
    }
  });
});
