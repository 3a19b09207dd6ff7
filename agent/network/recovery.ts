/** What an earlier life of the daemon has left of the node's network, and what of it is taken over. */
import { join } from 'node:path';
import type { Logger } from '#common/log.ts';
import { isNetworkNamespace, listNetworkNamespaces, removeNetworkNamespace } from '../kernel/netns.ts';
import type { AttachmentRecord, AttachmentRecords } from './attachment-records.ts';
import type { Gateway } from './gateway.ts';
import { formatPrefix, type Prefix } from './ipv4.ts';
import { leaveLans } from './task-cable.ts';
import { taskNamespacePath } from './task-namespace.ts';

/** Whether the namespace of the attachment is still there, if it is to have one. */
export function hasNamespace(directory: string, { number }: AttachmentRecord): boolean {
  return number === undefined || isNetworkNamespace(taskNamespacePath(directory, number));
}

export interface PlanUse {
  /** Those that the operator allows now. */
  readonly pools: readonly Prefix[];
  /** Tasks have addresses of the plan. */
  readonly isInUse: boolean;
  readonly logger: Logger;
}

/** A pool that the operator has changed takes effect as soon as no task has an address of the old one. */
export async function dropObsoletePlan(gateway: Gateway, { pools, isInUse, logger }: PlanUse): Promise<void> {
  const plan = await gateway.savedPlan();
  const current = plan === undefined ? undefined : formatPrefix(plan.pool);
  const isObsolete = current !== undefined && pools.every((pool) => formatPrefix(pool) !== current);
  if (isObsolete && !isInUse) {
    await gateway.destroy(true);
    return;
  }
  await gateway.close();
  if (isObsolete) logger.warn('the gateway pool stays until no task of before is left', { pool: current });
}

/** Removes namespaces and records that belong to none of these attachments. */
export async function sweepNamespaces(
  directory: string,
  records: AttachmentRecords,
  alive: readonly AttachmentRecord[],
): Promise<void> {
  const namespaces = join(directory, 'ns');
  const numbers = new Set(alive.map((record) => String(record.number)));
  for (const name of await listNetworkNamespaces(namespaces))
    if (name !== 'gateway' && !numbers.has(name)) {
      await leaveLans(join(namespaces, name));
      removeNetworkNamespace(join(namespaces, name));
    }
  const tasks = new Set(alive.map((record) => record.taskId));
  for (const record of await records.readAll()) if (!tasks.has(record.taskId)) await records.remove(record.taskId);
}
