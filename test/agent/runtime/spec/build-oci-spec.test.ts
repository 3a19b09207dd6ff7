/** Goal: config.json says what was asked for, with secure defaults. Method: the builder is pure: look at what it makes. */
import assert from 'node:assert/strict';
import { buildOciSpec, type OciSpecInput } from '#agent/runtime/spec/build-oci-spec.ts';
import { capabilitiesOfMask, chooseCapabilities } from '#agent/runtime/spec/capabilities.ts';
import {
  type ContainerSpec,
  EMPTY_CONTAINER_SPEC,
  type ImageDefaults,
  NO_IMAGE_DEFAULTS,
} from '#agent/runtime/spec/container-spec.ts';
import { readMachineFacts } from '#agent/runtime/spec/machine-facts.ts';
import { serializeOciSpec } from '#agent/runtime/spec/oci-spec.ts';
import { cleanAbsolutePath } from '#agent/runtime/spec/paths.ts';
import { cpuQuota, NO_DEVICES } from '#agent/runtime/spec/resources.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';

const LIMITS_TEXT = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max core file size        0                    unlimited            bytes
Max open files            1024                 20000                files
Max locked memory         65536                65536                bytes
`;

const MACHINE = readMachineFacts({
  status: 'Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n',
  limits: LIMITS_TEXT,
  oomScoreAdjust: '0\n',
  cgroups: { swap: true, swappiness: true, oomKillDisable: true, blockIoWeight: true, blockIoRate: true },
  appArmor: false,
  seLinux: false,
  kernelRelease: '6.18.0',
  architecture: 'amd64',
});

function build(
  spec: Partial<ContainerSpec> = {},
  image: Partial<ImageDefaults> = {},
  changes: Partial<OciSpecInput> = {},
) {
  return buildOciSpec({
    spec: { ...EMPTY_CONTAINER_SPEC, command: ['/bin/true'], ...spec },
    image: { ...NO_IMAGE_DEFAULTS, ...image },
    user: { uid: 0, gid: 0, additionalGids: [], home: '/root' },
    rootPath: '/r',
    network: { kind: 'none' },
    cgroupPath: '/p/x',
    files: {},
    initBinary: '/usr/bin/tini-static',
    seccomp: undefined,
    machine: MACHINE,
    devices: NO_DEVICES,
    ...changes,
  });
}

function refused(work: () => unknown): SwarmError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof SwarmError);
    return error;
  }
  assert.fail('it was not refused');
}

const args = (spec: Partial<ContainerSpec>, image: Partial<ImageDefaults> = {}) =>
  build({ command: [], ...spec }, image).oci.process.args;

describe('runtime: config.json', () => {
  it('merges entrypoint and command as Docker does', () => {
    const image = { entrypoint: ['/entry'], command: ['a', 'b'] };
    assert.deepEqual(args({}, image), ['/entry', 'a', 'b']);
    assert.deepEqual(args({ args: ['x'] }, image), ['/entry', 'x']);
    assert.deepEqual(args({ command: ['/own'] }, image), ['/own']);
    assert.deepEqual(args({ command: ['/own'], args: ['x'] }, image), ['/own', 'x']);
    assert.deepEqual(args({ args: ['sh'] }), ['sh']);
    assert.equal(refused(() => args({})).reason, 'command-not-found');
    assert.deepEqual(args({ args: ['sh'], init: true }), ['/dev/init', '--', 'sh']);
  });

  it('merges environments; later ones win, a name alone removes', () => {
    const { env } = build(
      { env: ['A=2', 'B', 'EMPTY=', 'EQ=a=b', 'A=3'], hostname: 'h', tty: true },
      { env: ['A=1', 'B=1', 'PATH=/x'] },
    ).oci.process;
    assert.deepEqual(env, ['PATH=/x', 'HOSTNAME=h', 'TERM=xterm', 'A=3', 'EMPTY=', 'EQ=a=b', 'HOME=/root']);
    assert.equal(refused(() => build({ env: ['=x'] })).field, 'env');
    assert.equal(refused(() => build({ env: ['A=\0'] })).field, 'env');
    const large = refused(() => build({ env: [`A=${'x'.repeat(LIMITS.ENV_ENTRY_BYTES)}`] }));
    assert.deepEqual([large.reason, large.limit], ['too-large', 'ENV_ENTRY_BYTES']);
    const many = refused(() =>
      build({ env: Array.from({ length: 20 }, (_unused, index) => `A${index}=${'x'.repeat(100_000)}`) }),
    );
    assert.equal(many.limit, 'ENV_TOTAL_BYTES');
  });

  it('has the defaults of Docker', () => {
    const { linux, process, root } = build().oci;
    assert.equal(process.noNewPrivileges, false);
    assert.deepEqual(process.capabilities.bounding, capabilitiesOfMask('00000000a80425fb'));
    assert.deepEqual(Object.keys(process.capabilities).toSorted(), ['bounding', 'effective', 'permitted']);
    assert.equal(root.readonly, false);
    assert.deepEqual(linux.namespaces.map(({ type }) => type).toSorted(), [
      'cgroup',
      'ipc',
      'mount',
      'network',
      'pid',
      'uts',
    ]);
    for (const path of ['/proc/kcore', '/proc/keys', '/sys/firmware', '/proc/timer_list'])
      assert.ok(linux.maskedPaths.includes(path));
    for (const path of ['/proc/sys', '/proc/sysrq-trigger']) assert.ok(linux.readonlyPaths.includes(path));
    assert.deepEqual(linux.resources.devices[0], { allow: false, access: 'rwm' });
    assert.ok(
      linux.resources.devices
        .slice(1)
        .every((rule) => rule.access === 'm' || rule.major === 1 || rule.major === 5 || rule.major === 136),
    );
    assert.equal(linux.rootfsPropagation, 'rprivate');
  });

  it('joins the network it is told to', () => {
    const of = (network: OciSpecInput['network']) =>
      build({}, {}, { network }).oci.linux.namespaces.find(({ type }) => type === 'network');
    assert.deepEqual(of({ kind: 'namespace', path: '/run/netns/x' }), { type: 'network', path: '/run/netns/x' });
    assert.deepEqual(of({ kind: 'none' }), { type: 'network' });
    assert.equal(of({ kind: 'host' }), undefined);
    assert.match(
      refused(() => build({ sysctls: { 'net.core.somaxconn': '1' } }, {}, { network: { kind: 'host' } })).field ?? '',
      /net/,
    );
    assert.deepEqual(build({ sysctls: { 'net.core.somaxconn': '1' } }).oci.linux.sysctl, { 'net.core.somaxconn': '1' });
  });

  it('lowers what this machine cannot give, and says so', () => {
    const { oci, warnings } = build({
      capabilityAdd: ['SYS_RESOURCE', 'net_admin'],
      ulimits: [
        { name: 'memlock', soft: 1, hard: -1 },
        { name: 'core', soft: -1, hard: -1 },
      ],
      oomScoreAdjust: -500,
    });
    assert.ok(oci.process.capabilities.bounding.includes('CAP_NET_ADMIN'));
    assert.ok(!oci.process.capabilities.bounding.includes('CAP_SYS_RESOURCE'));
    assert.equal(oci.process.oomScoreAdj, 0);
    assert.deepEqual(oci.process.rlimits, [
      { type: 'RLIMIT_NOFILE', soft: 1024, hard: 20000 },
      { type: 'RLIMIT_MEMLOCK', soft: 1, hard: 65536 },
      { type: 'RLIMIT_CORE', soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n },
    ]);
    assert.equal(warnings.length, 3);
    assert.match(serializeOciSpec(oci), /"soft":18446744073709551615/);
  });

  it('refuses ulimits that do not exist or do not fit', () => {
    for (const ulimit of [
      { name: 'nonsense', soft: 1, hard: 1 },
      { name: 'nofile', soft: 2, hard: 1 },
      { name: 'nofile', soft: -1, hard: 1 },
      { name: 'nofile', soft: 1.5, hard: 2 },
      { name: 'nofile', soft: -2, hard: 2 },
    ])
      assert.match(refused(() => build({ ulimits: [ulimit] })).field ?? '', /^ulimits/);
  });

  it('writes resource limits', () => {
    const resources = {
      ...EMPTY_CONTAINER_SPEC.resources,
      cpuNanos: 1.5e9,
      memoryBytes: 64 << 20,
      pids: 10,
      cpuset: '0-1',
      cpuShares: 512,
    };
    const built = build({ resources }).oci.linux.resources;
    assert.deepEqual(built.memory, { limit: 64 << 20, swap: 64 << 20 });
    assert.deepEqual(built.cpu, { quota: 150_000, period: 100_000, shares: 512, cpus: '0-1' });
    assert.deepEqual(built.pids, { limit: 10 });
    assert.deepEqual(build({ resources: { ...resources, memorySwapBytes: -1 } }).oci.linux.resources.memory?.swap, -1);
    assert.equal(
      build({ resources }, {}, { machine: { ...MACHINE, cgroups: { ...MACHINE.cgroups, swap: false } } }).oci.linux
        .resources.memory?.swap,
      undefined,
    );
    assert.deepEqual(build().oci.linux.resources.memory, undefined);
    for (const bad of [
      { memoryBytes: 1000 },
      { memoryBytes: 64 << 20, memorySwapBytes: 1 << 20 },
      { cpuset: '0;reboot' },
      { cpuShares: 1 },
    ])
      assert.match(
        refused(() => build({ resources: { ...EMPTY_CONTAINER_SPEC.resources, ...bad } })).field ?? '',
        /^resources/,
      );
  });

  it('finds a quota and a period that the kernel takes for every share of a CPU', () => {
    for (const nanos of [1e6, 5e6, 1e7, 0.33e9, 1e9, 64e9]) {
      const { quota, period } = cpuQuota(nanos);
      assert.ok(quota >= 1000 && period >= 1000 && period <= 1e6, `${nanos}`);
      assert.ok(Math.abs((quota / period) * 1e9 - nanos) <= nanos * 0.01);
    }
  });

  it('orders mounts, and lets users replace ours', () => {
    const bind = { kind: 'bind', source: '/s', readOnly: true, propagation: 'rslave', recursive: true } as const;
    const { mounts } = build(
      {
        mounts: [
          { ...bind, target: '/a/b/c' },
          { ...bind, target: '/etc/hosts' },
          { ...bind, target: '/a', recursive: false },
          { kind: 'tmpfs', target: '/dev/shm/', readOnly: true, sizeBytes: 4096, mode: 0o700, options: [] },
        ],
      },
      {},
      { files: { '/etc/hosts': '/f/hosts', '/etc/hostname': '/f/hostname' } },
    ).oci;
    const targets = mounts.map(({ destination }) => destination);
    assert.equal(new Set(targets).size, targets.length);
    assert.ok(targets.indexOf('/a') < targets.indexOf('/a/b/c'));
    assert.ok(targets.indexOf('/dev') < targets.indexOf('/dev/shm'));
    assert.ok(targets.indexOf('/sys') < targets.indexOf('/sys/fs/cgroup'));
    const at = (target: string) => mounts.find(({ destination }) => destination === target);
    assert.equal(at('/etc/hosts')?.source, '/s');
    assert.equal(at('/etc/hostname')?.source, '/f/hostname');
    assert.deepEqual(at('/a')?.options, ['bind', 'rslave', 'ro']);
    assert.deepEqual(at('/dev/shm')?.options, ['nosuid', 'nodev', 'noexec', 'rprivate', 'mode=700', 'size=4096', 'ro']);
    for (const name of ['/proc', '/sys']) assert.ok(at(name)?.options.includes('nosuid'));
  });

  it('refuses host names and settings that are none', () => {
    for (const hostname of ['', '-x', 'a_b', 'x'.repeat(64), 'a b', 'a\n'])
      assert.equal(refused(() => build({ hostname })).field, 'hostname');
    assert.equal(refused(() => build({ oomScoreAdjust: 1001 })).field, 'oomScoreAdjust');
    assert.equal(refused(() => build({ init: true }, {}, { initBinary: undefined })).field, 'init');
  });

  it('cleans paths', () => {
    assert.equal(cleanAbsolutePath('x', '/a//b/./c/../d/'), '/a/b/d');
    assert.equal(cleanAbsolutePath('x', '/../..'), '/');
    for (const path of ['', 'a', './a', '/a\0b', '/a\nb']) refused(() => cleanAbsolutePath('x', path));
  });
});

describe('runtime: capabilities', () => {
  const all = capabilitiesOfMask('000001ffffffffff');
  const choose = (add: readonly string[], drop: readonly string[], available = all) =>
    chooseCapabilities(add, drop, available);

  it('follows the rules of Docker', () => {
    assert.equal(choose([], []).granted.length, 14);
    assert.deepEqual(choose(['CAP_CHOWN'], ['all']).granted, ['CAP_CHOWN']);
    assert.deepEqual(
      choose(['ALL'], ['chown']).granted,
      all.filter((name) => name !== 'CAP_CHOWN'),
    );
    assert.ok(choose(['chown'], ['chown']).granted.includes('CAP_CHOWN'));
    assert.equal(refused(() => choose(['nonsense'], [])).field, 'capabilityAdd');
    assert.equal(refused(() => choose([], ['CAP_'])).field, 'capabilityDrop');
  });

  it('grants no more than the machine has', () => {
    assert.deepEqual(choose(['bpf'], ['ALL'], ['CAP_CHOWN']), { granted: [], withheld: ['CAP_BPF'] });
    assert.deepEqual(choose(['ALL'], [], ['CAP_CHOWN']), { granted: ['CAP_CHOWN'], withheld: [] });
  });
});
