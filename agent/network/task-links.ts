/** The ways to tasks in the gateway namespace, their devices and routes: how they are put right. */
import type { Clock } from '#common/clock.ts';
import { deleteLink } from '../kernel/netlink-link.ts';
import { gatewayAddresses, ingressAddresses } from './attachment-addresses.ts';
import type { AttachmentRecord } from './attachment-records.ts';
import type { Gateway } from './gateway.ts';
import { familyOfAddress } from './host-ports.ts';
import { giveIngressAddresses, replugNamespace, routedAddresses, routeToTask } from './task-cable.ts';
import { gatewayLinkName } from './task-namespace.ts';

/** What there is. */
export interface SeenLinks {
  readonly links: ReadonlyMap<string, { readonly up: boolean }>;
  /** Addresses that a route leads to. */
  readonly routed: ReadonlySet<string>;
}

export async function seeLinks(gateway: Gateway): Promise<SeenLinks> {
  return { links: await gateway.taskLinks(), routed: await gateway.taskAddresses() };
}

/** Puts the way to an attached task right. Whether there was something to do. */
export async function repairLink(
  directory: string,
  record: AttachmentRecord & { readonly number: number },
  gateway: Gateway,
  seen: SeenLinks,
): Promise<boolean> {
  const { number } = record;
  const ofIngress = ingressAddresses(record);
  const missing = routedAddresses(gateway, gatewayAddresses(record, gateway)).filter(
    (address) => !seen.routed.has(address),
  );
  const link = seen.links.get(gatewayLinkName(number));
  if (link === undefined) {
    await replugNamespace(directory, number, gateway);
    if (ofIngress.length > 0) await giveIngressAddresses(directory, number, gateway, ofIngress);
  } else if (missing.some((address) => familyOfAddress(address) === 6))
    // Also what the task has had since before this node had IPv6.
    await giveIngressAddresses(directory, number, gateway, ofIngress);
  else if (!link.up || missing.length > 0) await routeToTask(number, gateway, ofIngress);
  else return false;
  return true;
}

/**
 * Devices of namespaces that were removed. One that was just removed takes a moment to go; one that somebody else keeps
 * alive does not go at all.
 */
export class LingeringLinks {
  readonly #clock: Clock;
  readonly #lingerMs: number;
  /** When each was first seen (monotonic milliseconds). */
  #since: ReadonlyMap<string, number> = new Map();

  constructor(clock: Clock, lingerMs: number) {
    this.#clock = clock;
    this.#lingerMs = lingerMs;
  }

  /** Removes those of them that have been there for too long, and says which. */
  async remove(names: readonly string[], gateway: Gateway): Promise<readonly string[]> {
    const now = this.#clock.monotonic();
    const since = new Map(names.map((name) => [name, this.#since.get(name) ?? now]));
    const overdue = names.filter((name) => now - (since.get(name) ?? now) >= this.#lingerMs);
    await gateway.socket.execute(overdue.map(deleteLink));
    for (const name of overdue) since.delete(name);
    this.#since = since;
    return overdue.map((name) => `device ${name} of a task that is gone`);
  }
}
