/** Addresses of a task, as they follow from its record. */
import { isIPv4 } from 'node:net';
import { assert } from '#common/errors.ts';
import type { AttachmentRecord } from './attachment-records.ts';
import type { TaskPlace } from './cluster-networks.ts';
import type { Gateway } from './gateway.ts';
import { familyOfAddress } from './host-ports.ts';
import { prefixContains } from './ipv4.ts';
import { taskAddress, taskAddresses } from './task-namespace.ts';

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

/** Those that published ports of the cluster lead to, one per family. */
export function ingressAddresses({ ingressAddress, ingressAddress6 }: AttachmentRecord): readonly string[] {
  return [ingressAddress, ingressAddress6].filter((address) => address !== undefined);
}

/** All that the task has on the gateway network, of both families: its own, then those of published ports. */
export function gatewayAddresses(record: AttachmentRecord, gateway: Gateway): readonly string[] {
  if (record.mode !== 'gateway' || record.number === undefined) return [];
  return [...taskAddresses(gateway, record.number), ...ingressAddresses(record)];
}

/** The addresses, one per family, that it answers strangers from: ports of the host lead there. */
export function answeringAddresses(record: AttachmentRecord, gateway: Gateway): readonly string[] {
  const all = gatewayAddresses(record, gateway);
  return ([4, 6] as const).flatMap((family) => all.findLast((address) => familyOfAddress(address) === family) ?? []);
}

/** Addresses from which the task reaches nothing outside: all that it has there when it is confined. */
export function confinedAddresses(record: AttachmentRecord, gateway: Gateway): readonly string[] {
  return record.confined === true ? gatewayAddresses(record, gateway) : [];
}
