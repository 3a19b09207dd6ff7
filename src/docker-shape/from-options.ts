/** How a container is set apart and what it shares, in Docker's shape. */
import type { StructData } from '#common/template/go-types.ts';
import {
  type BlockIoRate,
  type ClusterPolicy,
  type ContainerSpec,
  type ResourceRequirements,
  SeccompMode,
  type SecurityOptions,
} from '#gen/swarm/v1/specs.ts';

export function privilegesShape({ security, noNewPrivileges }: ContainerSpec): StructData | undefined {
  if (security === undefined && !noNewPrivileges) return undefined;
  return {
    SELinuxContext: selinuxShape(security),
    Seccomp: seccompShape(security),
    AppArmor: appArmorShape(security?.apparmor ?? ''),
    NoNewPrivileges: noNewPrivileges,
    SystemPathsUnconfined: security?.systemPathsUnconfined,
  };
}

function selinuxShape(security: SecurityOptions | undefined): StructData | undefined {
  const { user, role, type, level, disable } = security?.selinuxLabels ?? {};
  if ([user, role, type, level, disable].every((one) => one === undefined)) return undefined;
  return { Disable: disable !== undefined, User: user, Role: role, Type: type, Level: level };
}

const SECCOMP_MODES: Readonly<Record<SeccompMode, string>> = {
  [SeccompMode.UNSPECIFIED]: '',
  [SeccompMode.DEFAULT]: 'default',
  [SeccompMode.UNCONFINED]: 'unconfined',
  [SeccompMode.CUSTOM]: 'custom',
};

function seccompShape(security: SecurityOptions | undefined): StructData | undefined {
  const mode = SECCOMP_MODES[security?.seccomp ?? SeccompMode.UNSPECIFIED];
  if (security === undefined || mode === '') return undefined;
  return { Mode: mode, Profile: Buffer.from(security.seccompProfile) };
}

function appArmorShape(name: string): StructData | undefined {
  if (name === '') return undefined;
  return name === 'unconfined' ? { Mode: 'disabled' } : { Mode: 'profile', Profile: name };
}

export function containerOptionsShape(spec: ContainerSpec): StructData {
  return {
    Privileged: spec.privileged,
    Devices: spec.devices.map(({ pathOnHost, pathInContainer, permissions }) => ({
      PathOnHost: pathOnHost,
      PathInContainer: pathInContainer === '' ? pathOnHost : pathInContainer,
      CgroupPermissions: permissions === '' ? 'rwm' : permissions,
    })),
    DeviceCgroupRules: spec.deviceCgroupRules,
    ShmSize: spec.shmSizeBytes,
    PidMode: spec.pidMode,
    IpcMode: spec.ipcMode,
    UTSMode: spec.utsMode,
    UsernsMode: spec.usernsMode,
    CgroupnsMode: spec.cgroupnsMode,
    Domainname: spec.domainname,
    Runtime: spec.runtime,
    Annotations: spec.annotations,
    OomKillDisable: spec.oomKillDisable,
  };
}

export function sharesShape(resources: ResourceRequirements | undefined): StructData {
  const blockIo = resources?.blockIo;
  return {
    SwapBytes: resources?.memorySwapBytes,
    MemorySwappiness: resources?.memorySwappiness,
    MemorySoftLimit: resources?.memorySoftBytes,
    CpuShares: resources?.cpuShares,
    CpusetCpus: resources?.cpusetCpus,
    CpusetMems: resources?.cpusetMems,
    BlkioWeight: blockIo?.weight,
    BlkioWeightDevice: blockIo?.deviceWeights.map(({ path, weight }) => ({ Path: path, Weight: weight })),
    BlkioDeviceReadBps: ratesShape(blockIo?.readBytes),
    BlkioDeviceWriteBps: ratesShape(blockIo?.writeBytes),
    BlkioDeviceReadIOps: ratesShape(blockIo?.readOperations),
    BlkioDeviceWriteIOps: ratesShape(blockIo?.writeOperations),
  };
}

function ratesShape(rates: readonly BlockIoRate[] | undefined): readonly StructData[] | undefined {
  return rates?.map(({ path, rate }) => ({ Path: path, Rate: rate }));
}

export function policyShape(policy: ClusterPolicy | undefined): StructData | undefined {
  if (policy === undefined) return undefined;
  return {
    AllowPrivileged: policy.allowPrivileged,
    AllowDevices: policy.allowDevices,
    AllowHostNamespaces: policy.allowHostNamespaces,
    AllowUnconfined: policy.allowUnconfined,
    RequireNoNewPrivileges: policy.requireNoNewPrivileges,
  };
}
