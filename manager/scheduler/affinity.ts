/** Whether rules of services about being near one another, or apart, hold on a node. */
import type { AffinityRule } from './affinity-rule.ts';
import type { Neighbourhoods } from './neighbourhoods.ts';
import type { NodeRecord } from './node-record.ts';

/**
 * Whether a task of the service may be on the node as far as one hard rule is concerned.
 *
 * Near: a task of the other service is wanted nearby. The first task of a service that is to be near itself may go
 * anywhere. Apart: none is nearby, where tasks of other services count until they have ended; a service's own count
 * while they are wanted, for a task does not start before the one that it replaces has ended.
 */
export function ruleHolds(
  rule: AffinityRule,
  record: NodeRecord,
  serviceId: string,
  neighbourhoods: Neighbourhoods,
): boolean {
  const area = neighbourhoods.areaOf(record, rule.topology);
  if (rule.anti) {
    if (area === undefined) return true;
    return !area.active.has(rule.serviceId) && (rule.serviceId === serviceId || !area.stopping.has(rule.serviceId));
  }
  if (area === undefined) return false;
  return area.active.has(rule.serviceId) || (rule.serviceId === serviceId && !neighbourhoods.runs(serviceId));
}

/** Whether tasks nearby may have none of the service near them. A service's rules against itself are its own matter. */
export function isRepelled(record: NodeRecord, serviceId: string, neighbourhoods: Neighbourhoods): boolean {
  for (const topology of neighbourhoods.repellingTopologies(serviceId))
    if (neighbourhoods.areaOf(record, topology)?.repelled.has(serviceId) === true) return true;
  return false;
}

/** How well the node suits the wishes: the sum of the weights of those that hold, less those that are acted against. */
export function wishesMet(rules: readonly AffinityRule[], record: NodeRecord, neighbourhoods: Neighbourhoods): number {
  let sum = 0;
  for (const rule of rules)
    if (neighbourhoods.areaOf(record, rule.topology)?.active.has(rule.serviceId) === true)
      sum += rule.anti ? -rule.weight : rule.weight;
  return sum;
}
