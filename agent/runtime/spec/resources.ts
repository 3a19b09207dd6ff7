/** Resource limits as the runtime wants them. Pure. */
import { isCpuList } from '#common/cpu-list.ts';
import { assert, invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { CgroupSupport } from '../cgroups/cgroups.ts';
import type { BlockIoLimits, BlockIoValue, ResourceLimits } from './container-spec.ts';
import type { OciBlockIo, OciDevice, OciDeviceRule, OciResources } from './oci-spec.ts';

/** Docker's period, and the longest that the kernel takes. A quota under 1 ms is refused: it needs the longer one. */
const PERIOD_MICROS = 100_000;
const PERIOD_MICROS_MAX = 1_000_000;
const QUOTA_MICROS_MIN = 1000;
const NANOS_PER_CPU = 1e9;
const CPU_SHARES_MIN = 2;
const CPU_SHARES_MAX = 262_144;

/** Numbers of the devices that every container has; all others are denied, except that nodes may be made. */
const ALLOWED_DEVICES: OciResources['devices'] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }, // null
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' }, // zero
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' }, // full
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' }, // random
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' }, // urandom
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' }, // tty
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' }, // console
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' }, // ptmx
  { allow: true, type: 'c', major: 136, access: 'rwm' }, // pts
];

/** CPU time as quota and period of the completely fair scheduler. */
export function cpuQuota(cpuNanos: number): { readonly quota: number; readonly period: number } {
  const quota = Math.floor((cpuNanos * PERIOD_MICROS) / NANOS_PER_CPU);
  if (quota >= QUOTA_MICROS_MIN) return { quota, period: PERIOD_MICROS };
  const longQuota = Math.floor((cpuNanos * PERIOD_MICROS_MAX) / NANOS_PER_CPU);
  return { quota: Math.max(longQuota, QUOTA_MICROS_MIN), period: PERIOD_MICROS_MAX };
}

function memoryLimits(limits: ResourceLimits, support: CgroupSupport): OciResources['memory'] {
  const { memoryBytes, memorySwapBytes } = limits;
  const others = memoryPressure(limits, support);
  if (memoryBytes === undefined) return others;
  if (memoryBytes < LIMITS.MIN_MEMORY_BYTES)
    throw invalidField(
      'resources.memory',
      `resources.memory: ${memoryBytes} bytes are too few for any process`,
      `allow at least ${LIMITS.MIN_MEMORY_BYTES} bytes`,
    );
  if (memorySwapBytes !== undefined && memorySwapBytes !== -1 && memorySwapBytes < memoryBytes)
    throw invalidField(
      'resources.memorySwap',
      `resources.memorySwap: ${memorySwapBytes} is less than the memory limit ${memoryBytes}, which it includes`,
      'give the sum of memory and swap, or -1 for unlimited swap',
    );
  return { limit: memoryBytes, ...(support.swap ? { swap: memorySwapBytes ?? memoryBytes } : {}), ...others };
}

/** What is asked for beside the limit itself. Throws for what no group of this machine can be told. */
function memoryPressure(limits: ResourceLimits, support: CgroupSupport): OciResources['memory'] {
  const { swappiness, memorySoftBytes, oomKillDisable } = limits;
  if (swappiness !== undefined && !support.swappiness)
    throw cannot('memory-swappiness', 'its control groups have no swappiness of their own (cgroup v2)');
  if (oomKillDisable && !support.oomKillDisable)
    throw cannot('oom-kill-disable', 'its control groups always end what runs out of memory (cgroup v2)');
  if (swappiness === undefined && memorySoftBytes === undefined && !oomKillDisable) return undefined;
  return {
    ...(memorySoftBytes === undefined ? {} : { reservation: memorySoftBytes }),
    ...(swappiness === undefined ? {} : { swappiness }),
    ...(oomKillDisable ? { disableOOMKiller: true } : {}),
  };
}

function cannot(field: string, because: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    field,
    message: `${field}: this node cannot do that: ${because}`,
    hint: 'leave it out, or keep the service to nodes that can with a constraint',
  });
}

function cpuLimits(limits: ResourceLimits): OciResources['cpu'] {
  const { cpuNanos, cpuShares, cpuset, cpusetMemories } = limits;
  for (const [field, list] of [
    ['cpuset', cpuset],
    ['cpusetMemories', cpusetMemories],
  ] as const)
    if (list !== undefined && !isCpuList(list))
      throw invalidField(
        `resources.${field}`,
        `resources.${field}: ${JSON.stringify(list)} is not a list of numbers`,
        'use 0-2,4',
      );
  if (cpuShares !== undefined && (cpuShares < CPU_SHARES_MIN || cpuShares > CPU_SHARES_MAX))
    throw invalidField(
      'resources.cpuShares',
      `resources.cpuShares: ${cpuShares} is out of range`,
      `use ${CPU_SHARES_MIN} to ${CPU_SHARES_MAX}`,
    );
  if ([cpuNanos, cpuShares, cpuset, cpusetMemories].every((one) => one === undefined)) return undefined;
  return {
    ...(cpuNanos === undefined ? {} : cpuQuota(cpuNanos)),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuset === undefined ? {} : { cpus: cpuset }),
    ...(cpusetMemories === undefined ? {} : { mems: cpusetMemories }),
  };
}

/** `numbers` are those of the devices that are named. Throws for what no group of this machine can be told. */
function blockIo(
  limits: BlockIoLimits,
  numbers: ReadonlyMap<string, DeviceNumbers>,
  support: CgroupSupport,
): OciBlockIo {
  const { weight, deviceWeights, readBytes, writeBytes, readOperations, writeOperations } = limits;
  const rates = [readBytes, writeBytes, readOperations, writeOperations];
  if ((weight !== undefined || deviceWeights.length > 0) && !support.blockIoWeight)
    throw cannot('blkio-weight', 'its kernel has no weights of disks (the scheduler of its disks is not BFQ)');
  if (rates.some((list) => list.length > 0) && !support.blockIoRate)
    throw cannot('device-read-bps', 'its kernel does not limit rates of disks');
  const throttles = (values: readonly BlockIoValue[]) =>
    values.map(({ path, value }) => ({ ...numbersOf(numbers, path), rate: value }));
  return {
    ...(weight === undefined ? {} : { weight }),
    weightDevice: deviceWeights.map(({ path, value }) => ({ ...numbersOf(numbers, path), weight: value })),
    throttleReadBpsDevice: throttles(readBytes),
    throttleWriteBpsDevice: throttles(writeBytes),
    throttleReadIOPSDevice: throttles(readOperations),
    throttleWriteIOPSDevice: throttles(writeOperations),
  };
}

function numbersOf(numbers: ReadonlyMap<string, DeviceNumbers>, path: string): DeviceNumbers {
  const found = numbers.get(path);
  assert(found !== undefined, `the numbers of ${path} were looked up`);
  return found;
}

export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

/** What the machine says about the devices that a container names. */
export interface DeviceFacts {
  /** Nodes that the container finds in its /dev. */
  readonly nodes: readonly OciDevice[];
  /** What it may do with which devices, beyond those that every container has. */
  readonly rules: readonly OciDeviceRule[];
  /** Numbers by path, of the disks whose use is limited. */
  readonly numbers: ReadonlyMap<string, DeviceNumbers>;
}

export const NO_DEVICES: DeviceFacts = { nodes: [], rules: [], numbers: new Map() };

/** Throws `bad-field` for limits that no kernel would take, `not-supported` for those that this one does not. */
export function buildResources(limits: ResourceLimits, support: CgroupSupport, devices: DeviceFacts): OciResources {
  const memory = memoryLimits(limits, support);
  const cpu = cpuLimits(limits);
  return {
    devices: [...ALLOWED_DEVICES, ...devices.rules],
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(limits.pids === undefined || limits.pids <= 0 ? {} : { pids: { limit: limits.pids } }),
    ...(limits.blockIo === undefined ? {} : { blockIO: blockIo(limits.blockIo, devices.numbers, support) }),
  };
}
