/** What the network of a node needs to know of the cluster's networks: the seam to the tables and to overlay networks. */
import type { OverlayAttacher } from './overlay/overlay-attach.ts';
import type { DnsSettings, NetworkMembership } from './task-network.ts';

export interface ClusterNetworks {
  readonly overlay: OverlayAttacher;
  /** Whether names are answered at the host's end of the cable. */
  readonly answersNames: boolean;
  /** Whether the network is the ingress network; undefined: its table has not come yet. */
  isIngress(networkId: string): boolean | undefined;
  /** Resolves when these networks are in the kernel; rejects when the signal aborts. */
  ready(networkIds: readonly string[], signal: AbortSignal): Promise<void>;
  /** Tasks that are there after a restart, before any table is applied. */
  adopt(taskIds: readonly string[], places: readonly TaskPlace[]): void;
  /** A task has its place, and may ask for names from now on. */
  placed(place: TaskPlace): Promise<void>;
  gone(taskId: string): Promise<void>;
}

/** Where a task is, for the answers to names. */
export interface TaskPlace {
  readonly taskId: string;
  /** The task's own on the gateway network: questions come from it. */
  readonly address: string;
  readonly networks: readonly NetworkMembership[];
  readonly dns: DnsSettings | undefined;
}
