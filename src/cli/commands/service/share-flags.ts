/** Flags of how a container shares memory, processors and disks with others. Create, update and run. */
import { BlockIo, type ContainerSpec, type ResourceRequirements } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, listFlag, stringFlag, valueFlag } from '../../flags.ts';
import { byteRate, diskWeight, operationRate } from '../../values/option-values.ts';
import { integer, sizeBytes, unsigned } from '../../values/scalars.ts';

const MEMORY_SWAPPINESS = valueFlag({
  name: 'memory-swappiness',
  type: 'int',
  usage: 'Tune memory swappiness (0 to 100), -1 for the default of the node',
  parse: integer,
});
/** Not Docker's name in services, where to reserve is to keep free. */
const MEMORY_SOFT_LIMIT = valueFlag({
  name: 'memory-soft-limit',
  type: 'bytes',
  usage: 'Memory that containers are pressed back to when the node runs short of it',
  parse: sizeBytes,
});
/** The same, as `docker run` calls it. */
const MEMORY_RESERVATION = { ...MEMORY_SOFT_LIMIT, name: 'memory-reservation', usage: 'Memory soft limit' };
const OOM_KILL_DISABLE = boolFlag({
  name: 'oom-kill-disable',
  usage: 'Let containers wait instead of killing them when they run out of memory',
});
const CPU_SHARES = valueFlag({
  name: 'cpu-shares',
  type: 'uint',
  usage: 'CPU shares (relative weight)',
  parse: unsigned,
});
const CPUSET_CPUS = stringFlag({ name: 'cpuset-cpus', usage: 'CPUs in which to allow execution (0-3, 0,1)' });
const CPUSET_MEMS = stringFlag({ name: 'cpuset-mems', usage: 'MEMs in which to allow execution (0-3, 0,1)' });
const BLKIO_WEIGHT = valueFlag({
  name: 'blkio-weight',
  type: 'uint16',
  usage: 'Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)',
  parse: unsigned,
});

/** A disk and what is said of it: create's flag, and the two of update. */
interface DiskFlags<T> {
  readonly set: Flag<T>;
  readonly add: Flag<T>;
  readonly remove: Flag<string>;
}

function diskFlags<T>(name: string, usage: string, parse: (text: string) => T): DiskFlags<T> {
  const what = usage.charAt(0).toLowerCase() + usage.slice(1);
  return {
    set: listFlag({ name, usage, parse }),
    add: listFlag({ name: `${name}-add`, usage: `Add or update the ${what}`, parse }),
    remove: listFlag({ name: `${name}-rm`, usage: `Remove the ${what} by its path` }),
  };
}

const WEIGHTS = diskFlags('blkio-weight-device', 'Block IO weight of a device', diskWeight);
const READ_BYTES = diskFlags('device-read-bps', 'Limit of the read rate (bytes per second) of a device', byteRate);
const WRITE_BYTES = diskFlags('device-write-bps', 'Limit of the write rate (bytes per second) of a device', byteRate);
const READ_OPERATIONS = diskFlags(
  'device-read-iops',
  'Limit of the read rate (IO per second) of a device',
  operationRate,
);
const WRITE_OPERATIONS = diskFlags(
  'device-write-iops',
  'Limit of the write rate (IO per second) of a device',
  operationRate,
);
const DISKS: readonly DiskFlags<unknown>[] = [WEIGHTS, READ_BYTES, WRITE_BYTES, READ_OPERATIONS, WRITE_OPERATIONS];

const SCALARS: readonly AnyFlag[] = [
  MEMORY_SWAPPINESS,
  OOM_KILL_DISABLE,
  CPU_SHARES,
  CPUSET_CPUS,
  CPUSET_MEMS,
  BLKIO_WEIGHT,
];

export const SHARE_FLAGS: readonly AnyFlag[] = [...SCALARS, MEMORY_SOFT_LIMIT, ...DISKS.map(({ set }) => set)];

export const SHARE_UPDATE_FLAGS: readonly AnyFlag[] = [
  ...SCALARS,
  MEMORY_SOFT_LIMIT,
  ...DISKS.flatMap(({ add, remove }) => [add, remove]),
];

/** Of `swarm run`, in the words of `docker run`. */
export const SHARE_RUN_FLAGS: readonly AnyFlag[] = [
  ...SCALARS.map((flag) => (flag.name === CPU_SHARES.name ? { ...flag, short: 'c' } : flag)),
  MEMORY_RESERVATION,
  ...DISKS.map(({ set }) => set),
];

/** The resources with what flags say of shares. */
export function sharesOf(flags: FlagValues, before: ResourceRequirements): ResourceRequirements {
  const swappiness = flags.value(MEMORY_SWAPPINESS);
  return {
    ...before,
    // -1 is how Docker says "as the node has it".
    memorySwappiness: swappiness === undefined ? before.memorySwappiness : swappiness === -1 ? undefined : swappiness,
    memorySoftBytes: flags.value(MEMORY_SOFT_LIMIT) ?? flags.value(MEMORY_RESERVATION) ?? before.memorySoftBytes,
    cpuShares: flags.value(CPU_SHARES) ?? before.cpuShares,
    cpusetCpus: flags.value(CPUSET_CPUS) ?? before.cpusetCpus,
    cpusetMems: flags.value(CPUSET_MEMS) ?? before.cpusetMems,
    blockIo: blockIoOf(flags, before.blockIo),
  };
}

function blockIoOf(flags: FlagValues, before: BlockIo | undefined): BlockIo | undefined {
  const old = before ?? BlockIo.create();
  const blockIo = {
    ...old,
    weight: flags.value(BLKIO_WEIGHT) ?? old.weight,
    deviceWeights: changed(flags, WEIGHTS, old.deviceWeights),
    readBytes: changed(flags, READ_BYTES, old.readBytes),
    writeBytes: changed(flags, WRITE_BYTES, old.writeBytes),
    readOperations: changed(flags, READ_OPERATIONS, old.readOperations),
    writeOperations: changed(flags, WRITE_OPERATIONS, old.writeOperations),
  };
  return BlockIo.encode(blockIo).length === 0 ? undefined : blockIo;
}

function changed<T extends { readonly path: string }>(
  flags: FlagValues,
  { set, add, remove }: DiskFlags<T>,
  before: readonly T[],
): readonly T[] {
  const added = [...flags.list(set), ...flags.list(add)];
  const gone = new Set([...flags.list(remove), ...added.map(({ path }) => path)]);
  return [...before.filter(({ path }) => !gone.has(path)), ...added];
}

/** What is said of the container itself. */
export function oomKillDisableOf(flags: FlagValues, before: Pick<ContainerSpec, 'oomKillDisable'>) {
  return { oomKillDisable: flags.value(OOM_KILL_DISABLE) ?? before.oomKillDisable };
}
