/** Addresses of a task, as they follow from its record. */
import { isIPv4 } from 'node:net';
import { assert } from '#common/errors.ts';
import type { AttachmentRecord } from './attachment-records.ts';
import type { TaskPlace } from './cluster-networks.ts';
import type { Gateway } from './gateway.ts';
import { prefixContains } from './ipv4.ts';
import { taskAddress } from './task-namespace.ts';

/** On the gateway network; undefined for a task that is not on it. */
export function addressOf(record: AttachmentRecord, gateway: Gateway): string | undefined {
  if (record.mode !== 'gateway' || record.number === undefined) return undefined;
  const { pool } = gateway.plan;
  assert(prefixContains(pool, pool.base + record.number), 'an attached task has an address of the pool');
  return taskAddress(pool, record.number);
}

/** The address that others know the task by: on its first network of the cluster. */
export function ownAddress({ networks, ingressAddress }: AttachmentRecord): string | undefined {
  return networks?.flatMap((one) => one.addresses).find((address) => isIPv4(address) && address !== ingressAddress);
}

/** Who asks for names from which address; empty for a task on no network of the cluster. */
export function placeOf(record: AttachmentRecord, gateway: Gateway): readonly TaskPlace[] {
  const { taskId, networks, dns } = record;
  const address = addressOf(record, gateway);
  return address === undefined || networks === undefined ? [] : [{ taskId, address, networks, dns }];
}

/** Addresses from which the task reaches nothing outside: all that it has there when it is confined. */
export function confinedAddresses(record: AttachmentRecord, gateway: Gateway): readonly string[] {
  if (record.confined !== true) return [];
  return [addressOf(record, gateway), record.ingressAddress].filter((address) => address !== undefined);
}
