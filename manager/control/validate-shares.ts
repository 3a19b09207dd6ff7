/** The rules for how a container shares memory, processors and disks with others. */
import { isCpuList } from '#common/cpu-list.ts';
import { invalidField } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { BlockIo, ContainerSpec, ResourceRequirements } from '#gen/swarm/v1/specs.ts';
import { atMost, checkPath } from './validate-options.ts';

const CPU_SHARES_MIN = 2;
const CPU_SHARES_MAX = 262_144;
const WEIGHT_MIN = 10;
const WEIGHT_MAX = 1000;

function validateMemory(resources: ResourceRequirements): void {
  const { memorySwapBytes, memorySwappiness, memorySoftBytes } = resources;
  const limit = resources.limits?.memoryBytes ?? 0;
  if (memorySwappiness !== undefined && (memorySwappiness < 0 || memorySwappiness > 100))
    throw invalidField('memory-swappiness', `memory-swappiness: ${memorySwappiness} is not 0 to 100`, 'use 0 to 100');
  if (memorySwapBytes !== undefined && memorySwapBytes < -1)
    throw invalidField('memory-swap', `memory-swap: ${memorySwapBytes} is not an amount`, 'use -1 for unlimited swap');
  if (memorySwapBytes !== undefined && memorySwapBytes > 0 && limit === 0)
    throw invalidField(
      'memory-swap',
      `memory-swap: ${memorySwapBytes} is memory and swap together, and there is no memory limit`,
      'give the limit of memory, too: --limit-memory',
    );
  if (memorySwapBytes !== undefined && memorySwapBytes > 0 && memorySwapBytes < limit)
    throw invalidField(
      'memory-swap',
      `memory-swap: ${memorySwapBytes} is less than the memory limit ${limit}, which it includes`,
      'give the sum of memory and swap, or -1 for unlimited swap',
    );
  if (memorySoftBytes < 0 || (memorySoftBytes > 0 && memorySoftBytes < LIMITS.MIN_MEMORY_BYTES))
    throw invalidField(
      'memory-soft-limit',
      `memory-soft-limit: ${memorySoftBytes} bytes are too few for any process`,
      `use ${LIMITS.MIN_MEMORY_BYTES} or more (MIN_MEMORY_BYTES)`,
    );
  if (limit > 0 && memorySoftBytes > limit)
    throw invalidField(
      'memory-soft-limit',
      `memory-soft-limit: ${memorySoftBytes} is more than the memory limit ${limit}`,
      'use less than --limit-memory',
    );
}

function validateProcessors({ cpuShares, cpusetCpus, cpusetMems }: ResourceRequirements): void {
  if (cpuShares !== 0 && (cpuShares < CPU_SHARES_MIN || cpuShares > CPU_SHARES_MAX))
    throw invalidField(
      'cpu-shares',
      `cpu-shares: ${cpuShares} is out of range`,
      `use ${CPU_SHARES_MIN} to ${CPU_SHARES_MAX}; 1024 is usual`,
    );
  for (const [field, list] of [
    ['cpuset-cpus', cpusetCpus],
    ['cpuset-mems', cpusetMems],
  ] as const)
    if (list !== '' && !isCpuList(list))
      throw invalidField(field, `${field}: ${JSON.stringify(list.slice(0, 64))} is not a list of numbers`, 'use 0-2,4');
}

function validateWeight(field: string, weight: number): void {
  if (weight < WEIGHT_MIN || weight > WEIGHT_MAX)
    throw invalidField(field, `${field}: ${weight} is out of range`, `use ${WEIGHT_MIN} to ${WEIGHT_MAX}`);
}

function validateBlockIo(blockIo: BlockIo): void {
  if (blockIo.weight !== 0) validateWeight('blkio-weight', blockIo.weight);
  atMost('blkio-weight-device', blockIo.deviceWeights.length, 'DEVICES_PER_SERVICE', 'name fewer');
  for (const { path, weight } of blockIo.deviceWeights) {
    checkPath('blkio-weight-device', path);
    validateWeight('blkio-weight-device', weight);
  }
  for (const [field, rates] of [
    ['device-read-bps', blockIo.readBytes],
    ['device-write-bps', blockIo.writeBytes],
    ['device-read-iops', blockIo.readOperations],
    ['device-write-iops', blockIo.writeOperations],
  ] as const) {
    atMost(field, rates.length, 'DEVICES_PER_SERVICE', 'name fewer');
    for (const { path, rate } of rates) {
      checkPath(field, path);
      if (rate === 0) throw invalidField(field, `${field}: 0 for ${path} would be no limit`, 'leave the device out');
    }
  }
}

/** @throws SwarmError for the first rule that is broken. */
export function validateShares(resources: ResourceRequirements | undefined, spec: ContainerSpec): void {
  if (spec.oomKillDisable && (resources?.limits?.memoryBytes ?? 0) <= 0)
    throw invalidField(
      'oom-kill-disable',
      'oom-kill-disable: without a memory limit the node itself would run out of memory',
      'give a limit: --limit-memory',
    );
  if (resources === undefined) return;
  validateMemory(resources);
  validateProcessors(resources);
  if (resources.blockIo !== undefined) validateBlockIo(resources.blockIo);
}
