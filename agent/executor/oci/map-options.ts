/** What a service says about its containers beyond program, files and network, in the words of the runtime. Pure. */
import {
  type BlockIoLimits,
  type DeviceSpec,
  EMPTY_CONTAINER_SPEC,
  type NamespaceChoice,
  type ContainerSpec as RuntimeSpec,
} from '#agent/runtime/index.ts';
import { deviceAccess, parseDeviceRule } from '#common/device-rule.ts';
import { invalidField } from '#common/errors.ts';
import { parseSeccompProfile } from '#common/seccomp-profile.ts';
import {
  type BlockIo,
  type BlockIoRate,
  type ContainerSpec,
  type DeviceMapping,
  type ResourceRequirements,
  SeccompMode,
} from '#gen/swarm/v1/specs.ts';

/** The part of the runtime's spec that is decided here. */
export type MappedOptions = Pick<
  RuntimeSpec,
  | 'privileged'
  | 'devices'
  | 'deviceRules'
  | 'namespaces'
  | 'seccomp'
  | 'appArmorProfile'
  | 'seLinuxLabels'
  | 'systemPathsUnconfined'
  | 'shmBytes'
  | 'domainName'
  | 'annotations'
  | 'runtime'
>;

/** Throws `bad-field` for what managers of this release would have refused. */
export function mapOptions(container: ContainerSpec): MappedOptions {
  const { security } = container;
  return {
    privileged: container.privileged,
    devices: container.devices.map(mapDevice),
    deviceRules: container.deviceCgroupRules.map((text) => {
      const rule = parseDeviceRule(text);
      if (rule !== undefined) return rule;
      throw invalidField('device-cgroup-rule', `device-cgroup-rule: ${JSON.stringify(text)} is not a rule`);
    }),
    namespaces: namespacesOf(container),
    seccomp: seccompOf(container),
    appArmorProfile: security?.apparmor ?? '',
    seLinuxLabels: security?.selinuxLabels ?? {},
    systemPathsUnconfined: security?.systemPathsUnconfined ?? false,
    shmBytes: container.shmSizeBytes > 0 ? container.shmSizeBytes : EMPTY_CONTAINER_SPEC.shmBytes,
    domainName: container.domainname,
    annotations: container.annotations,
    runtime: container.runtime === '' ? undefined : container.runtime,
  };
}

function mapDevice({ pathOnHost, pathInContainer, permissions }: DeviceMapping): DeviceSpec {
  return {
    source: pathOnHost,
    target: pathInContainer === '' ? pathOnHost : pathInContainer,
    access: deviceAccess(permissions === '' ? 'rwm' : permissions) ?? 'rwm',
    optional: false,
  };
}

/** `shareable` is one's own that others could join; no container of a swarm joins another. */
function namespacesOf({ pidMode, ipcMode, utsMode, cgroupnsMode }: ContainerSpec): NamespaceChoice {
  return {
    pid: hostOrOwn('pid', pidMode),
    ipc: ipcMode === 'none' ? 'none' : hostOrOwn('ipc', ipcMode),
    uts: hostOrOwn('uts', utsMode),
    cgroup: hostOrOwn('cgroupns', cgroupnsMode),
  };
}

function hostOrOwn(field: string, mode: string): 'host' | 'own' {
  if (mode === 'host') return 'host';
  if (mode === '' || mode === 'private' || mode === 'shareable') return 'own';
  throw invalidField(field, `${field}: ${JSON.stringify(mode)} is not a mode`);
}

function seccompOf({ security }: ContainerSpec): RuntimeSpec['seccomp'] {
  if (security?.seccomp === SeccompMode.UNCONFINED) return 'unconfined';
  if (security?.seccomp !== SeccompMode.CUSTOM) return 'default';
  const parsed = parseSeccompProfile(security.seccompProfile);
  if (parsed.ok) return parsed.profile;
  throw invalidField('security-opt', `security-opt: the seccomp profile cannot be used: ${parsed.problem}`);
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

export function mapResources(
  resources: ResourceRequirements | undefined,
  container: ContainerSpec,
): RuntimeSpec['resources'] {
  const limits = resources?.limits;
  return {
    cpuNanos: positive(limits?.cpuNanos),
    cpuShares: positive(resources?.cpuShares),
    cpuset: textOf(resources?.cpusetCpus),
    cpusetMemories: textOf(resources?.cpusetMems),
    memoryBytes: positive(limits?.memoryBytes),
    memorySwapBytes: resources?.memorySwapBytes,
    memorySoftBytes: positive(resources?.memorySoftBytes),
    swappiness: resources?.memorySwappiness,
    oomKillDisable: container.oomKillDisable,
    pids: positive(limits?.pids),
    blockIo: resources?.blockIo === undefined ? undefined : blockIoOf(resources.blockIo),
  };
}

function textOf(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function blockIoOf(blockIo: BlockIo): BlockIoLimits {
  const rates = (list: readonly BlockIoRate[]) => list.map(({ path, rate }) => ({ path, value: rate }));
  return {
    weight: positive(blockIo.weight),
    deviceWeights: blockIo.deviceWeights.map(({ path, weight }) => ({ path, value: weight })),
    readBytes: rates(blockIo.readBytes),
    writeBytes: rates(blockIo.writeBytes),
    readOperations: rates(blockIo.readOperations),
    writeOperations: rates(blockIo.writeOperations),
  };
}
