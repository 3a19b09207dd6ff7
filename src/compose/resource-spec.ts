/** Limits and reservations: `deploy.resources`, and the older keys of the service itself. */

import { parseSize } from '#common/size.ts';
import {
  BlockIo,
  BlockIoRate,
  BlockIoWeight,
  GenericResource,
  ResourceRequirements,
  Resources,
} from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured, type KeyTable } from './keys.ts';

const RESOURCE_KEYS = honoured('limits', 'reservations');
const LIMIT_KEYS: KeyTable = {
  ...honoured('cpus', 'memory', 'pids'),
  generic_resources: { refused: 'generic resources are reserved, not limited', hint: 'move them to reservations' },
};
const RESERVATION_KEYS: KeyTable = {
  ...honoured('cpus', 'memory', 'generic_resources', 'devices'),
  pids: { refused: 'processes are limited, not reserved', hint: 'move it to limits' },
};
const GENERIC_KEYS = honoured('discrete_resource_spec');
const DISCRETE_KEYS = honoured('kind', 'value');
const DEVICE_KEYS: KeyTable = {
  ...honoured('capabilities', 'count', 'driver'),
  device_ids: { refused: "which ones a task gets is the scheduler's choice", hint: 'use count' },
  options: { refused: 'devices are given as the node has them', hint: 'leave it out' },
};

/** The kind that nodes give their graphics cards. */
const GPU = 'GPU';

export function resourcesOf(service: Fields, deploy: Fields | undefined): ResourceRequirements | undefined {
  const resources = deploy?.fields('resources', RESOURCE_KEYS);
  const limits = resources?.fields('limits', LIMIT_KEYS);
  const reservations = resources?.fields('reservations', RESERVATION_KEYS);
  const generic = [...genericOf(reservations), ...devicesOf(reservations), ...gpusOf(service)];
  const requirements = ResourceRequirements.create({
    limits: Resources.create({
      cpuNanos:
        once(service, 'cpus', limits, 'cpus', (fields, key) => fields.cpuNanos(key)) ?? quotaNanos(service) ?? 0,
      memoryBytes: once(service, 'mem_limit', limits, 'memory', (fields, key) => fields.bytes(key)) ?? 0,
      pids: once(service, 'pids_limit', limits, 'pids', pids) ?? 0,
    }),
    reservations: Resources.create({
      cpuNanos: reservations?.cpuNanos('cpus') ?? 0,
      memoryBytes: once(service, 'mem_reservation', reservations, 'memory', (fields, key) => fields.bytes(key)) ?? 0,
      generic,
    }),
    memorySwapBytes: swapOf(service),
    memorySwappiness: service.integer('mem_swappiness'),
    cpuShares: service.integer('cpu_shares') ?? 0,
    cpusetCpus: service.text('cpuset') ?? '',
    blockIo: blockIoOf(service.fields('blkio_config', BLKIO_KEYS)),
  });
  const isEmpty = ResourceRequirements.encode(requirements).length === EMPTY_LENGTH;
  return isEmpty ? undefined : requirements;
}

const EMPTY_LENGTH = ResourceRequirements.encode(
  ResourceRequirements.create({ limits: Resources.create(), reservations: Resources.create() }),
).length;

/** The same in two places has to be the same. */
function once(
  service: Fields,
  key: string,
  other: Fields | undefined,
  otherKey: string,
  read: (fields: Fields, key: string) => number | undefined,
): number | undefined {
  const own = read(service, key);
  const value = other === undefined ? undefined : read(other, otherKey);
  if (own !== undefined && value !== undefined && own !== value)
    service.error(key, `it differs from ${other?.at(otherKey)}`, 'give it in one place');
  return value ?? own;
}

/** -1 is without limit, as 0 is. */
function pids(fields: Fields, key: string): number | undefined {
  const value = fields.integer(key, -1);
  return value === -1 ? 0 : value;
}

/** Microseconds of a period: `cpus` in other words. */
function quotaNanos(service: Fields): number | undefined {
  const quota = service.has('cpu_quota') ? (service.integer('cpu_quota', -1) ?? 0) : undefined;
  const periodUs = microseconds(service) ?? 100_000;
  if (quota === undefined || quota <= 0 || periodUs <= 0) return undefined;
  return Math.round((quota / periodUs) * 1e9);
}

function microseconds(service: Fields): number | undefined {
  const text = service.text('cpu_period');
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : (service.durationMs('cpu_period') ?? 0) * 1000;
}

function swapOf(service: Fields): number | undefined {
  const text = service.text('memswap_limit');
  return text === '-1' ? -1 : text === undefined || text === '0' ? undefined : service.bytes('memswap_limit');
}

function genericOf(reservations: Fields | undefined): readonly GenericResource[] {
  return (reservations?.maps('generic_resources', GENERIC_KEYS) ?? []).flatMap((fields) => {
    const spec = fields.fields('discrete_resource_spec', DISCRETE_KEYS);
    const kind = spec?.text('kind');
    const value = spec?.integer('value');
    if (kind === undefined || value === undefined) {
      fields.error('discrete_resource_spec', 'it has no kind and value', 'write {kind: SSD, value: 1}');
      return [];
    }
    return [GenericResource.create({ kind, value: { kind: 'count', value } })];
  });
}

function devicesOf(reservations: Fields | undefined): readonly GenericResource[] {
  return (reservations?.maps('devices', DEVICE_KEYS) ?? []).flatMap(gpuRequest);
}

function gpusOf(service: Fields): readonly GenericResource[] {
  const node = service.node('gpus');
  if (node === undefined) return [];
  if (node.kind === 'list') return service.maps('gpus', { ...DEVICE_KEYS }).flatMap((fields) => gpuRequest(fields));
  if (service.text('gpus') === 'all') {
    service.error('gpus', 'all of them are not one number on every node', 'say how many: gpus: [{count: 1}]');
    return [];
  }
  const count = service.integer('gpus', 1);
  return count === undefined ? [] : [GenericResource.create({ kind: GPU, value: { kind: 'count', value: count } })];
}

function gpuRequest(fields: Fields): readonly GenericResource[] {
  const capabilities = fields.texts('capabilities');
  if (capabilities.length > 0 && !capabilities.includes('gpu')) {
    fields.error(
      'capabilities',
      `${capabilities.join(', ')}: only gpu is known`,
      'use generic_resources, or devices of the service',
    );
    return [];
  }
  if (fields.text('count') === 'all') {
    fields.error('count', 'all of them are not one number on every node', 'say how many');
    return [];
  }
  const count = fields.integer('count', 1) ?? 1;
  return [GenericResource.create({ kind: GPU, value: { kind: 'count', value: count } })];
}

const BLKIO_KEYS = honoured(
  'weight',
  'weight_device',
  'device_read_bps',
  'device_write_bps',
  'device_read_iops',
  'device_write_iops',
);
const WEIGHT_KEYS = honoured('path', 'weight');
const RATE_KEYS = honoured('path', 'rate');

function blockIoOf(fields: Fields | undefined): BlockIo | undefined {
  if (fields === undefined) return undefined;
  const rates = (key: string): readonly BlockIoRate[] =>
    fields.maps(key, RATE_KEYS).map((one) => {
      const size = parseSize(one.text('rate') ?? '');
      if (!size.ok) one.error('rate', 'it is not a number or size', 'write 1000, or 12mb');
      return BlockIoRate.create({ path: one.text('path') ?? '', rate: size.ok ? size.bytes : 0 });
    });
  return BlockIo.create({
    weight: fields.integer('weight') ?? 0,
    deviceWeights: fields
      .maps('weight_device', WEIGHT_KEYS)
      .map((one) => BlockIoWeight.create({ path: one.text('path') ?? '', weight: one.integer('weight') ?? 0 })),
    readBytes: rates('device_read_bps'),
    writeBytes: rates('device_write_bps'),
    readOperations: rates('device_read_iops'),
    writeOperations: rates('device_write_iops'),
  });
}
