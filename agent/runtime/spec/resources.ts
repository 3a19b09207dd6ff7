/** Resource limits as the runtime wants them. Pure. */
import { invalidField } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { ResourceLimits } from './container-spec.ts';
import type { OciResources } from './oci-spec.ts';

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

/** What the machine's kernel can limit. */
export interface ResourceSupport {
  /** Whether swap is accounted for; v1 kernels may lack it, and then refuse the file. */
  readonly swap: boolean;
}

/** CPU time as quota and period of the completely fair scheduler. */
export function cpuQuota(cpuNanos: number): { readonly quota: number; readonly period: number } {
  const quota = Math.floor((cpuNanos * PERIOD_MICROS) / NANOS_PER_CPU);
  if (quota >= QUOTA_MICROS_MIN) return { quota, period: PERIOD_MICROS };
  const longQuota = Math.floor((cpuNanos * PERIOD_MICROS_MAX) / NANOS_PER_CPU);
  return { quota: Math.max(longQuota, QUOTA_MICROS_MIN), period: PERIOD_MICROS_MAX };
}

function memoryLimits(limits: ResourceLimits, support: ResourceSupport): OciResources['memory'] {
  const { memoryBytes, memorySwapBytes } = limits;
  if (memoryBytes === undefined) return undefined;
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
  return support.swap ? { limit: memoryBytes, swap: memorySwapBytes ?? memoryBytes } : { limit: memoryBytes };
}

function cpuLimits(limits: ResourceLimits): OciResources['cpu'] {
  const { cpuNanos, cpuShares, cpuset } = limits;
  if (cpuset !== undefined && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(cpuset))
    throw invalidField(
      'resources.cpuset',
      `resources.cpuset: ${JSON.stringify(cpuset)} is not a list of CPUs`,
      'use 0-2,4',
    );
  if (cpuShares !== undefined && (cpuShares < CPU_SHARES_MIN || cpuShares > CPU_SHARES_MAX))
    throw invalidField(
      'resources.cpuShares',
      `resources.cpuShares: ${cpuShares} is out of range`,
      `use ${CPU_SHARES_MIN} to ${CPU_SHARES_MAX}`,
    );
  if (cpuNanos === undefined && cpuShares === undefined && cpuset === undefined) return undefined;
  return {
    ...(cpuNanos === undefined ? {} : cpuQuota(cpuNanos)),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuset === undefined ? {} : { cpus: cpuset }),
  };
}

/** Throws `bad-field` for limits that no kernel would take. */
export function buildResources(limits: ResourceLimits, support: ResourceSupport): OciResources {
  const memory = memoryLimits(limits, support);
  const cpu = cpuLimits(limits);
  return {
    devices: ALLOWED_DEVICES,
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(limits.pids === undefined || limits.pids <= 0 ? {} : { pids: { limit: limits.pids } }),
  };
}
