/**
 * The seam between overlay networks and the kernel. Two implementations do the same: `NetlinkKernel` by system calls,
 * `CommandKernel` by the programs ip, bridge, nft and conntrack, for where those calls cannot be made. Tests put one
 * between that dies at a chosen step.
 */
import type { FlowFilter } from '../../../kernel/netlink-conntrack.ts';
import type { NetworkEvent, NetworkWatch } from '../../../kernel/netlink-events.ts';
import type { VxlanSettings } from '../../../kernel/netlink-vxlan.ts';
import type { ElementChange, ElementKey, ElementSet } from '../../../kernel/nftables-elements.ts';
import type { Sysctl } from '../../sysctls.ts';
import type { Item, Operation } from './operations.ts';

export interface LinkState {
  readonly name: string;
  readonly index: number;
  readonly up: boolean;
  readonly mtu: number;
  /** "veth", "vxlan", ...; undefined for loopback and hardware. */
  readonly kind: string | undefined;
  readonly linkLayerAddress: string | undefined;
  /** Of a VXLAN device. */
  readonly vxlan: VxlanSettings | undefined;
}

/** One open network namespace. All errors are SwarmErrors with reason `network-failed`, unless said otherwise. */
export interface KernelNamespace {
  /** Does the operations in order; all are tried. Throws for the first that is refused. */
  change(operations: readonly Operation[]): Promise<void>;
  links(): Promise<readonly LinkState[]>;
  /** Everything that somebody put here, of both families: what the kernel made by itself is left out. */
  items(): Promise<readonly Item[]>;
  /** Sets what differs, and says the names of those. A setting that the kernel does not have is passed over. */
  ensureSettings(settings: readonly Sysctl[], mode?: 'look only'): Promise<readonly string[]>;
  /** Runs nftables text as one transaction. */
  load(what: string, text: string): Promise<void>;
  /** `list ruleset` without elements and counters, symbols as numbers. */
  ruleset(): Promise<string>;
  /** Throws when there is no such set. */
  elements(set: ElementSet): Promise<ReadonlyMap<ElementKey, string>>;
  /** As `changeElements` of agent/kernel: a group is done whole or not at all. */
  changeElements(groups: readonly (readonly ElementChange[])[]): Promise<void>;
  /** Forgets flows that match any of the filters. */
  forgetFlows(filters: readonly FlowFilter[]): Promise<void>;
  /** Tells of changes that others made; undefined where that cannot be had: then only comparing finds them. */
  watch(onEvents: (events: readonly NetworkEvent[]) => void): NetworkWatch | undefined;
  /** Lets go; the namespace stays. */
  close(): Promise<void>;
}

export interface NetworkKernel {
  /** The host's: sockets of VXLAN and parents of tasks' devices are there. */
  host(): Promise<KernelNamespace>;
  /** A new namespace (only lo, down) pinned at the path, which must not exist. */
  create(path: string): Promise<KernelNamespace>;
  /** The one pinned at the path. Throws ENOENT and the like. */
  open(path: string): Promise<KernelNamespace>;
  /** Whether a namespace is pinned at the path. */
  exists(path: string): Promise<boolean>;
  /** Unpins it and removes the file; with no process in it, it is gone soon after. None there is no error. */
  remove(path: string): Promise<void>;
}

/** Whether the kernel refused because it is there already. */
export function isRefusal(error: unknown, ...codes: readonly string[]): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string' && codes.includes(at.code)) return true;
  return false;
}
