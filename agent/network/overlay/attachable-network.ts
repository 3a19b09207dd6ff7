/** A network as tasks of this node join it: by a router of our own, or by a device of the host. */
import type { NetworkView } from '#agent/discovery/index.ts';
import type { ProbePlace } from '../probe/network-probe.ts';
import type { KernelNamespace } from './kernel/network-kernel.ts';
import type { TouchedItems, Underlay } from './network-view.ts';
import type { TaskLink } from './router-model.ts';

/** What was repaired, in words; empty when all was well. */
export type Repaired = readonly string[];

/** A network of this node as it is, for who looks into a problem. */
export interface NetworkSurvey {
  /** What the kernel has otherwise than it should, in words. */
  readonly differences: readonly string[];
  /** Largest packet of tasks, in bytes. */
  readonly mtu: number;
}

/** How the other nodes of a network are reached. */
export interface NetworkWays {
  readonly place: ProbePlace;
  readonly underlay: Underlay;
  readonly encrypted: boolean;
  /** Where a node is in the underlay; undefined for one that is not known. */
  addressOf(nodeId: string): string | undefined;
  /** Largest packet of the underlay to it, in bytes. */
  underlayMtuTo(nodeId: string): number;
}

export interface AttachableNetwork {
  /** For words: "network web". */
  readonly name: string;
  /** Tasks that are on it here, by task id. */
  readonly links: ReadonlyMap<string, TaskLink>;
  /**
   * Takes over what is known of the network now and makes the kernel agree. Throws when that could not be done; then the
   * next `repair` tries again.
   */
  apply(view: NetworkView, underlay: Underlay | undefined, touched?: TouchedItems): Promise<void>;
  /** Room for one more task; what it needs is reserved until `connect` or `abandon`. Throws `bad-field` for foreign addresses. */
  newLink(draft: Omit<TaskLink, 'number' | 'linkLayerAddress'>): TaskLink;
  /** Its task was not attached after all: what was reserved is free again. */
  abandon(link: TaskLink): void;
  /** Takes over a link of before a restart, without a look at the kernel: `repair` follows. */
  adopt(link: TaskLink): void;
  /** Makes the task's device and all that it needs inside the task. */
  plug(task: KernelNamespace, link: TaskLink): Promise<void>;
  /** The node's side: from here on the task is reached. */
  connect(link: TaskLink): Promise<void>;
  /** Nothing reaches the task any more. The device stays: it goes with the task's namespace. */
  disconnect(taskId: string): Promise<void>;
  /** With the prefix length of their subnet. */
  prefixes(link: TaskLink): readonly string[];
  /** Compares with the kernel and puts right what differs, inside tasks too. */
  repair(): Promise<Repaired>;
  /** The same comparison, and nothing is put right: what differs, in words. */
  survey(): Promise<NetworkSurvey>;
  /** Undefined: the network ends at this node. */
  ways(): NetworkWays | undefined;
  /** Lets go; tasks notice nothing. */
  close(): Promise<void>;
  /** Nothing of it stays. */
  destroy(): Promise<void>;
}
