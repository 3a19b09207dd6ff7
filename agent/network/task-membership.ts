/** A task on the networks of the cluster: waiting for their tables, joining, leaving. */
import { containerDns } from '#agent/dns/index.ts';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import { canonicalAddress } from '../kernel/ip-address.ts';
import { addressOf, confinedAddresses, ingressAddresses, placeOf } from './attachment-addresses.ts';
import type { AttachmentRecord } from './attachment-records.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import type { Gateway } from './gateway.ts';
import { familyOfAddress } from './host-ports.ts';
import { formatAddress } from './ipv4.ts';
import type { RoutingMesh } from './mesh/routing-mesh.ts';
import { giveIngressAddresses, serveNames } from './task-cable.ts';
import { taskNamespacePath } from './task-namespace.ts';
import type { AttachRequest, NetworkMembership } from './task-network.ts';

export interface TaskMembershipOptions {
  /** As of the node's network. */
  readonly directory: string;
  /** Undefined where a task is on the gateway network alone. */
  readonly cluster: ClusterNetworks | undefined;
  /** How long a task waits for the tables of its networks. */
  readonly tablesWaitMs: number;
  readonly clock: Clock;
}

export class TaskMembership {
  readonly #options: TaskMembershipOptions;

  constructor(options: TaskMembershipOptions) {
    this.#options = options;
  }

  /** Resolves when this node has applied the tables of these networks. Throws `unknown-object` when they do not come. */
  async awaitTables(networks: readonly NetworkMembership[], signal: AbortSignal | undefined): Promise<void> {
    const { cluster, clock, tablesWaitMs } = this.#options;
    if (networks.length === 0) return;
    if (cluster === undefined) throw noTables(networks);
    const late = new AbortController();
    const cancel = clock.setTimer(tablesWaitMs, () => late.abort());
    const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    try {
      await cluster.ready(
        networks.map((one) => one.networkId),
        either,
      );
    } catch (error) {
      if (late.signal.aborted && signal?.aborted !== true) throw noTables(networks);
      throw error;
    } finally {
      cancel();
    }
  }

  /** Devices on the task's networks, its address for published ports, and the way to the one who answers names. */
  async join(
    draft: AttachmentRecord,
    { dns }: AttachRequest,
    networks: readonly NetworkMembership[],
    { gateway, mesh }: { readonly gateway: Gateway; readonly mesh: RoutingMesh },
  ): Promise<AttachmentRecord> {
    const { cluster, directory } = this.#options;
    const { taskId, number } = draft;
    assert(cluster !== undefined && number !== undefined, 'a task on networks of the cluster has a namespace');
    const overlays = networks.filter((one) => cluster.isIngress(one.networkId) !== true);
    const links = await cluster.overlay.attach({
      taskId,
      netnsPath: taskNamespacePath(directory, number),
      networks: overlays,
    });
    const given = networks.find((one) => cluster.isIngress(one.networkId) === true)?.addresses.map(canonicalAddress);
    const ingressAddress = given?.find((address) => familyOfAddress(address) === 4);
    const ingressAddress6 = given?.find((address) => familyOfAddress(address) === 6);
    // Published ports are no way out: what comes in by them is answered, and that is all.
    const confined = links.length > 0 && links.every((link) => link.internal);
    const record: AttachmentRecord = {
      ...draft,
      networks,
      confined,
      asksResolver: cluster.answersNames,
      ...(dns === undefined ? {} : { dns }),
      ...(ingressAddress === undefined ? {} : { ingressAddress }),
      ...(ingressAddress6 === undefined ? {} : { ingressAddress6 }),
    };
    assert(addressOf(record, gateway) !== undefined, 'a task on networks of the cluster is on the gateway network');
    try {
      await gateway.confine(confinedAddresses(record, gateway), true);
      const ofIngress = ingressAddresses(record);
      if (ofIngress.length > 0) {
        mesh.setLocal(ofIngress, true);
        await giveIngressAddresses(directory, number, gateway, ofIngress);
      }
      if (cluster.answersNames) {
        const serverAddress = formatAddress(gateway.plan.hostAddress);
        await serveNames(directory, number, containerDns({ serverAddress }));
        for (const place of placeOf(record, gateway)) await cluster.placed(place);
      }
    } catch (error) {
      await this.leave(record, gateway);
      mesh.setLocal(ingressAddresses(record), false);
      throw error;
    }
    return record;
  }

  /** What never joined leaves without an error. */
  async leave(record: AttachmentRecord, gateway: Gateway): Promise<void> {
    const { cluster } = this.#options;
    if (cluster === undefined || record.mode !== 'gateway') return;
    await cluster.overlay.detach(record.taskId);
    await cluster.gone(record.taskId);
    await gateway.confine(confinedAddresses(record, gateway), false);
  }
}

function noTables(networks: readonly NetworkMembership[]): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'unknown-object',
    message: `this node has not been told of the networks of the task: ${networks.map((one) => one.networkId).join(', ')}`,
    hint: 'managers send networks before the tasks that need them: look at the connection to them with `swarm info`',
  });
}
