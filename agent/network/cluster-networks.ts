/** What the network of a node needs to know of the cluster's networks: the seam to the tables and to overlay networks. */

import type { OverlayAttacher } from './overlay/overlay-attach.ts';
import type { NetworkMembership } from './task-network.ts';

export interface ClusterNetworks {
  readonly overlay: OverlayAttacher;
  /** Whether the network is the ingress network; undefined: its table has not come yet. */
  isIngress(networkId: string): boolean | undefined;
  /** Resolves when these networks are in the kernel; rejects when the signal aborts. */
  ready(networkIds: readonly string[], signal: AbortSignal): Promise<void>;
  /** Tasks that are there after a restart, before any table is applied. */
  adopt(taskIds: readonly string[]): void;
  /** Tasks that came or went, for the answers to names. */
  placed(place: TaskPlace): Promise<void>;
  gone(taskId: string): Promise<void>;
  /** Where names are answered for tasks; undefined: they ask the host's servers themselves. */
  readonly nameserver: { readonly address: string } | undefined;
}

export interface TaskPlace {
  readonly taskId: string;
  /** The task's own on the gateway network: questions come from it. */
  readonly address: string;
  readonly networks: readonly NetworkMembership[];
}
