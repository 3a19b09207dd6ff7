/** What is done to a network namespace, as data: each kernel seam says it to the kernel in its own language. */
import type { IpvlanMode, MacvlanMode } from '../../../kernel/netlink-macvlan.ts';
import type { VxlanSettings } from '../../../kernel/netlink-vxlan.ts';

/** A device whose name and index we choose, so that a batch can make it and go on with it. */
export interface Device {
  /** At most 15 characters. */
  readonly name: string;
  readonly index: number;
}

export interface NewDevice extends Device {
  readonly mtu: number;
  readonly linkLayerAddress: string;
}

export interface AddressItem {
  readonly kind: 'address';
  readonly device: Device;
  /** "10.0.1.11/24". The kernel makes a route to the prefix only with `prefixRoute`. */
  readonly prefix: string;
  readonly prefixRoute?: boolean;
}

export interface RouteItem {
  readonly kind: 'route';
  /** "10.0.1.21/32", "fd00::/64"; "default" for everything of IPv4, "::/0" of IPv6. */
  readonly destination: string;
  readonly device: Device;
  /** Next hop, taken as directly reachable. */
  readonly gateway?: string;
  readonly preferredSource?: string;
  /** Largest packet, where it is less than that of the device. */
  readonly mtu?: number;
  /** The destination is an address of the namespace itself. */
  readonly local?: boolean;
  readonly table?: number;
}

/** A permanent entry: nobody is asked, nobody can change it by talking. */
export interface NeighbourItem {
  readonly kind: 'neighbour';
  readonly device: Device;
  readonly address: string;
  readonly linkLayerAddress: string;
}

/** Frames to the device address travel to the node with this underlay address. */
export interface ForwardingItem {
  readonly kind: 'forwarding';
  readonly device: Device;
  readonly linkLayerAddress: string;
  readonly node: string;
}

/** Packets from the address look up the table. */
export interface RuleItem {
  readonly kind: 'rule';
  readonly priority: number;
  /** "10.0.1.11/32". */
  readonly source: string;
  readonly table: number;
}

/** What a namespace holds besides devices. */
export type Item = AddressItem | RouteItem | NeighbourItem | ForwardingItem | RuleItem;

/** `into` is the path of the namespace that the new device, or its far end, is born in. */
export type Operation =
  | { readonly do: 'add-vxlan'; readonly device: NewDevice; readonly vxlan: VxlanSettings; readonly into: string }
  | { readonly do: 'add-veth'; readonly near: NewDevice; readonly far: NewDevice; readonly into: string }
  | {
      readonly do: 'add-macvlan';
      /** Without `mtu` it has its parent's. */
      readonly device: Device & { readonly mtu?: number; readonly linkLayerAddress: string };
      readonly parent: string;
      readonly mode: MacvlanMode;
      readonly into: string;
    }
  | {
      readonly do: 'add-ipvlan';
      readonly device: Device & { readonly mtu?: number };
      readonly parent: string;
      readonly mode: IpvlanMode;
      readonly into: string;
    }
  /** None there is no error. */
  | { readonly do: 'delete-link'; readonly name: string }
  | { readonly do: 'set-up'; readonly device: Device }
  /** Adds it or puts it in the place of the one with the same key; the same there already is no error. */
  | { readonly do: 'set'; readonly item: Item }
  /** None there is no error. */
  | { readonly do: 'delete'; readonly item: Item };

export const LOOPBACK: Device = { name: 'lo', index: 1 };
export const MAIN_TABLE = 254;
export const LOCAL_TABLE = 255;

export function tableOf(route: RouteItem): number {
  return route.table ?? (route.local === true ? LOCAL_TABLE : MAIN_TABLE);
}

/** What can be there once only: two items with the same key take each other's place. */
export function keyOf(item: Item): string {
  switch (item.kind) {
    case 'address':
      return `address ${item.device.name} ${item.prefix}`;
    case 'route':
      return `route ${tableOf(item)} ${item.destination}`;
    case 'neighbour':
      return `neighbour ${item.device.name} ${item.address}`;
    case 'forwarding':
      return `forwarding ${item.device.name} ${item.linkLayerAddress}`;
    case 'rule':
      return `rule ${item.priority} ${item.source}`;
  }
}

/** The rest of the item as text: items with the same key and value are the same. */
export function valueOf(item: Item): string {
  switch (item.kind) {
    case 'address':
      return '';
    case 'route':
      return [item.device.name, item.gateway, item.mtu, item.local === true ? 'local' : '', item.preferredSource].join(
        ' ',
      );
    case 'neighbour':
      return item.linkLayerAddress;
    case 'forwarding':
      return item.node;
    case 'rule':
      return String(item.table);
  }
}

/** The item in words, for what was repaired. */
export function wordsFor(item: Item): string {
  switch (item.kind) {
    case 'address':
      return `address ${item.prefix}`;
    case 'route':
      return `route to ${item.destination}`;
    case 'neighbour':
      return `neighbour ${item.address}`;
    case 'forwarding':
      return `forwarding to node ${item.node}`;
    case 'rule':
      return `rule for ${item.source}`;
  }
}
