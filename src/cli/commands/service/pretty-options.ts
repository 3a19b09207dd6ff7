/** The lines of `service inspect --pretty` about how a container is set apart and what it shares. Docker's page has none. */
import { binarySize } from '#common/size.ts';
import { type BlockIo, type ContainerSpec, type ResourceRequirements, SeccompMode } from '#gen/swarm/v1/specs.ts';

/** Those that say something, each with its value. */
function lines(entries: readonly (readonly [title: string, value: string | number])[]): readonly string[] {
  return entries.filter(([, value]) => value !== '' && value !== 0).map(([title, value]) => ` ${title}: ${value}`);
}

function pairs(map: Readonly<Record<string, string>>): string {
  return Object.entries(map)
    .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
    .toSorted()
    .join(', ');
}

const SECCOMP: Readonly<Record<SeccompMode, string>> = {
  [SeccompMode.UNSPECIFIED]: '',
  [SeccompMode.DEFAULT]: 'seccomp=builtin',
  [SeccompMode.UNCONFINED]: 'seccomp=unconfined',
  [SeccompMode.CUSTOM]: 'seccomp=(a profile of its own)',
};

function securityOptions({ security, noNewPrivileges }: ContainerSpec): string {
  const labels = Object.entries(security?.selinuxLabels ?? {}).map(([key, value]) =>
    key === 'disable' ? 'label=disable' : `label=${key}:${value}`,
  );
  const options = [
    noNewPrivileges ? 'no-new-privileges' : '',
    SECCOMP[security?.seccomp ?? SeccompMode.UNSPECIFIED],
    security === undefined || security.apparmor === '' ? '' : `apparmor=${security.apparmor}`,
    security?.systemPathsUnconfined === true ? 'systempaths=unconfined' : '',
    ...labels,
  ];
  return options.filter((option) => option !== '').join(', ');
}

export function prettyOptions(spec: ContainerSpec): readonly string[] {
  const devices = spec.devices.map(({ pathOnHost, pathInContainer, permissions }) =>
    [pathOnHost, pathInContainer === '' ? pathOnHost : pathInContainer, permissions === '' ? 'rwm' : permissions].join(
      ':',
    ),
  );
  return lines([
    ['Privileged', spec.privileged ? 'true' : ''],
    ['Devices', devices.join(', ')],
    ['Device Cgroup Rules', spec.deviceCgroupRules.join(', ')],
    ['Security Options', securityOptions(spec)],
    ['Shm Size', spec.shmSizeBytes === 0 ? '' : binarySize(spec.shmSizeBytes)],
    ['PID Mode', spec.pidMode],
    ['IPC Mode', spec.ipcMode],
    ['UTS Mode', spec.utsMode],
    ['Userns Mode', spec.usernsMode],
    ['Cgroupns Mode', spec.cgroupnsMode],
    ['Domainname', spec.domainname],
    ['Runtime', spec.runtime],
    ['Annotations', pairs(spec.annotations)],
    ['OOM Kill Disable', spec.oomKillDisable ? 'true' : ''],
  ]);
}

function blockIoLines(blockIo: BlockIo | undefined): readonly (readonly [string, string | number])[] {
  if (blockIo === undefined) return [];
  const rates = (list: BlockIo['readBytes']): string => list.map(({ path, rate }) => `${path}:${rate}`).join(', ');
  return [
    ['Block IO Weight', blockIo.weight],
    ['Block IO Weight of Devices', blockIo.deviceWeights.map(({ path, weight }) => `${path}:${weight}`).join(', ')],
    ['Read Bytes/s', rates(blockIo.readBytes)],
    ['Write Bytes/s', rates(blockIo.writeBytes)],
    ['Read IO/s', rates(blockIo.readOperations)],
    ['Write IO/s', rates(blockIo.writeOperations)],
  ];
}

export function prettyShares(resources: ResourceRequirements | undefined): readonly string[] {
  if (resources === undefined) return [];
  const { memorySwapBytes, memorySwappiness, memorySoftBytes } = resources;
  return lines([
    [
      'Memory and Swap',
      memorySwapBytes === undefined ? '' : memorySwapBytes < 0 ? 'unlimited' : binarySize(memorySwapBytes),
    ],
    ['Memory Swappiness', memorySwappiness === undefined ? '' : String(memorySwappiness)],
    ['Memory Soft Limit', memorySoftBytes === 0 ? '' : binarySize(memorySoftBytes)],
    ['CPU Shares', resources.cpuShares],
    ['CPUs', resources.cpusetCpus],
    ['Memory Nodes', resources.cpusetMems],
    ...blockIoLines(resources.blockIo),
  ]);
}
