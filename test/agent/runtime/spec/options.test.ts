/**
 * Goal: config.json sets a container apart as it was told, also on machines that this one is not: cgroup v2, AppArmor,
 * SELinux. Method: the builder is pure: look at what it makes of one option at a time.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { deviceNumbers } from '#agent/runtime/devices.ts';
import { machineCapabilities } from '#agent/runtime/index.ts';
import { buildOciSpec } from '#agent/runtime/spec/build-oci-spec.ts';
import { type ContainerSpec, EMPTY_CONTAINER_SPEC, NO_IMAGE_DEFAULTS } from '#agent/runtime/spec/container-spec.ts';
import { type MachineFacts, readMachineFacts } from '#agent/runtime/spec/machine-facts.ts';
import { type DeviceFacts, NO_DEVICES } from '#agent/runtime/spec/resources.ts';
import { buildCustomSeccomp } from '#agent/runtime/spec/seccomp.ts';
import { SwarmError } from '#common/errors.ts';

const MACHINE = readMachineFacts({
  status: 'CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n',
  limits: '',
  oomScoreAdjust: '0\n',
  cgroups: { swap: true, swappiness: true, oomKillDisable: true, blockIoWeight: true, blockIoRate: true },
  appArmor: false,
  seLinux: false,
  kernelRelease: '6.18.0',
  architecture: 'amd64',
});
/** A machine with one hierarchy, whose disks have no scheduler with weights. */
const V2: MachineFacts = {
  ...MACHINE,
  cgroups: { swap: true, swappiness: false, oomKillDisable: false, blockIoWeight: false, blockIoRate: true },
};
const OWN = EMPTY_CONTAINER_SPEC.namespaces;
const RESOURCES = EMPTY_CONTAINER_SPEC.resources;
const NO_BLOCK_IO = {
  weight: undefined,
  deviceWeights: [],
  readBytes: [],
  writeBytes: [],
  readOperations: [],
  writeOperations: [],
};

function build(spec: Partial<ContainerSpec>, machine: MachineFacts = MACHINE, devices: DeviceFacts = NO_DEVICES) {
  return buildOciSpec({
    spec: { ...EMPTY_CONTAINER_SPEC, command: ['/bin/true'], ...spec },
    image: NO_IMAGE_DEFAULTS,
    user: { uid: 0, gid: 0, additionalGids: [], home: '/root' },
    rootPath: '/r',
    network: { kind: 'none' },
    cgroupPath: '/p/x',
    files: {},
    initBinary: undefined,
    seccomp: undefined,
    machine,
    devices,
  }).oci;
}

function refusal(spec: Partial<ContainerSpec>, machine: MachineFacts = MACHINE): SwarmError {
  try {
    build(spec, machine);
  } catch (error) {
    assert.ok(error instanceof SwarmError);
    return error;
  }
  assert.fail('it was not refused');
}

describe('runtime: options in config.json', () => {
  it('privileged: all capabilities of the machine, nothing hidden, all writable', () => {
    const { process, linux, mounts } = build({ privileged: true });
    assert.deepEqual(process.capabilities.effective, MACHINE.capabilities);
    assert.deepEqual([linux.maskedPaths, linux.readonlyPaths], [[], []]);
    for (const { destination, options } of mounts)
      if (destination.startsWith('/sys')) assert.ok(options.includes('rw') && !options.includes('ro'), destination);
    assert.ok(build({}).linux.maskedPaths.length > 0);
  });

  it('namespaces of the host are left out, and their mounts are its own', () => {
    const kinds = (spec: Partial<ContainerSpec>): readonly string[] =>
      build(spec).linux.namespaces.map(({ type }) => type);
    assert.deepEqual(kinds({}), ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network']);
    const all = { pid: 'host', ipc: 'host', uts: 'host', cgroup: 'host' } as const;
    assert.deepEqual(kinds({ namespaces: all }), ['mount', 'network']);
    assert.equal('hostname' in build({ namespaces: { ...OWN, uts: 'host' } }), false);
    const shm = (ipc: 'own' | 'host' | 'none') =>
      build({ namespaces: { ...OWN, ipc } }).mounts.find(({ destination }) => destination === '/dev/shm');
    assert.equal(shm('own')?.type, 'tmpfs');
    assert.equal(shm('host')?.source, '/dev/shm');
    assert.equal(shm('none'), undefined);
  });

  it('devices come after the rules that deny all', () => {
    const node = { path: '/dev/x', type: 'c', major: 10, minor: 229, fileMode: 0o600, uid: 0, gid: 0 } as const;
    const rule = { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' };
    const { devices, resources } = build({}, MACHINE, { nodes: [node], rules: [rule], numbers: new Map() }).linux;
    assert.deepEqual(devices, [node]);
    assert.deepEqual(resources.devices[0], { allow: false, access: 'rwm' });
    assert.deepEqual(resources.devices.at(-1), rule);
  });

  it('AppArmor and SELinux, where the kernel enforces them', () => {
    const armored = { ...MACHINE, appArmor: true };
    assert.equal(build({ appArmorProfile: 'mine' }, armored).process.apparmorProfile, 'mine');
    assert.equal(build({ privileged: true }, armored).process.apparmorProfile, 'unconfined');
    assert.equal('apparmorProfile' in build({}, armored).process, false);
    const labelled = { ...MACHINE, seLinux: true };
    const { process, linux } = build({ seLinuxLabels: { type: 'mine_t', level: 's0:c1,c2' } }, labelled);
    assert.equal(process.selinuxLabel, 'system_u:system_r:mine_t:s0:c1,c2');
    assert.equal(linux.mountLabel, 'system_u:object_r:container_file_t:s0:c1,c2');
    const free = build({ seLinuxLabels: { disable: '' } }, labelled).process;
    assert.equal(free.selinuxLabel, 'system_u:system_r:spc_t:s0');
    assert.equal('selinuxLabel' in build({}, labelled).process, false);
  });

  it('shares of disks, by the numbers of their devices', () => {
    const blockIo = {
      ...NO_BLOCK_IO,
      weight: 300,
      deviceWeights: [{ path: '/dev/sda', value: 200 }],
      writeOperations: [{ path: '/dev/sdb', value: 9 }],
    };
    const numbers = new Map([
      ['/dev/sda', { major: 8, minor: 0 }],
      ['/dev/sdb', { major: 8, minor: 16 }],
    ]);
    const devices = { ...NO_DEVICES, numbers };
    const { blockIO } = build({ resources: { ...RESOURCES, blockIo } }, MACHINE, devices).linux.resources;
    assert.equal(blockIO?.weight, 300);
    assert.deepEqual(blockIO.weightDevice, [{ major: 8, minor: 0, weight: 200 }]);
    assert.deepEqual(blockIO.throttleWriteIOPSDevice, [{ major: 8, minor: 16, rate: 9 }]);
  });

  it('what this kernel cannot do is refused by the name of the flag, with a way out', () => {
    for (const [resources, field] of [
      [{ swappiness: 10 }, 'memory-swappiness'],
      [{ oomKillDisable: true }, 'oom-kill-disable'],
      [{ blockIo: { ...NO_BLOCK_IO, weight: 10 } }, 'blkio-weight'],
    ] as const) {
      const error = refusal({ resources: { ...RESOURCES, ...resources } }, V2);
      assert.deepEqual([error.field, error.reason], [field, 'not-supported']);
      assert.match(error.hint ?? '', /constraint/);
      build({ resources: { ...RESOURCES, ...resources } });
    }
    const soft = { ...RESOURCES, memorySoftBytes: 32 << 20 };
    assert.deepEqual(build({ resources: soft }, V2).linux.resources.memory, { reservation: 32 << 20 });
  });

  it('a machine says what it can do', () => {
    assert.deepEqual(machineCapabilities(V2), ['swap', 'block-io-rate']);
    assert.deepEqual(machineCapabilities({ ...V2, appArmor: true }), ['apparmor', 'swap', 'block-io-rate']);
  });

  it('a profile of its own is taken as it is, by architecture, capability and kernel', () => {
    const rule = { names: ['mount'], action: 'SCMP_ACT_ALLOW' };
    const profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 1,
      archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
      syscalls: [
        { name: 'read', action: 'SCMP_ACT_ALLOW' },
        { ...rule, includes: { caps: ['CAP_SYS_ADMIN'] } },
        { ...rule, names: ['bpf'], includes: { minKernel: '99.0' } },
        { ...rule, names: ['iopl'], excludes: { arches: ['amd64'] } },
      ],
    };
    const request = { architecture: 'amd64', with32Bit: true, capabilities: [], kernelRelease: '6.18.0' } as const;
    const filter = buildCustomSeccomp(profile, request);
    assert.deepEqual(filter.syscalls, [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }]);
    assert.deepEqual(filter.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    const admin = buildCustomSeccomp(profile, { ...request, capabilities: ['CAP_SYS_ADMIN'] });
    assert.deepEqual(
      admin.syscalls.map(({ names }) => names[0]),
      ['read', 'mount'],
    );
  });

  it('numbers of devices are those of the kernel', () => {
    const number = (limit: number) => fc.integer({ min: 0, max: limit });
    fc.assert(
      fc.property(number(0xfff), number(0xfffff), (major, minor) => {
        const packed = ((minor & 0xff) | (major << 8)) + ((minor & ~0xff) >>> 0) * 2 ** 12;
        assert.deepEqual(deviceNumbers(packed), { major, minor });
      }),
    );
    assert.deepEqual(deviceNumbers(0x0103), { major: 1, minor: 3 });
  });
});
