/** The wires of a lab: a bridge in a namespace of its own, one port per host, and cuts between them. */
import { existsSync } from 'node:fs';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import {
  addAddress,
  addBridge,
  addVeth,
  deleteLink,
  findLink,
  replaceRoute,
  setLinkMaster,
  setLinkUp,
} from '#agent/kernel/netlink-route.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { assert } from '#common/errors.ts';
import { FABRIC, FABRIC_ADDRESS, FABRIC_PREFIX_LENGTH, hostPaths, type LabHostName, labPaths } from './names.ts';

const BRIDGE = 'fabric';
const HOST_LINK = 'eth0';
/** Index of eth0 in every host. */
const HOST_LINK_INDEX = 2;
const LOOPBACK_INDEX = 1;
const MTU = 1500;
const TABLE = 'bridge lab';

/** Frames between cut hosts vanish, as on a broken wire: no end is told. */
const CUTS = `
table bridge lab {
  set cut { type ifname . ifname; }
  set isolated { type ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @cut drop
    iifname @isolated drop
    oifname @isolated drop
  }
  chain input { type filter hook input priority 0; policy accept; iifname @isolated drop; }
  chain output { type filter hook output priority 0; policy accept; oifname @isolated drop; }
}
`;

/** A cut wire: between two hosts, or between one and everybody. */
export interface Cut {
  readonly host: string;
  readonly other: string | undefined;
}

export class Fabric {
  readonly #lab: string;

  constructor(lab: string) {
    this.#lab = lab;
  }

  get path(): string {
    return `${labPaths(this.#lab).networks}/${FABRIC}`;
  }

  /** Makes the bridge; its own address plays a machine outside the cluster, and every host's router. */
  async make(): Promise<void> {
    const namespace = createNetworkNamespace(this.path);
    const socket = NetlinkSocket.open(namespace);
    const nftables = Nftables.open(namespace);
    try {
      await socket.execute([addBridge(BRIDGE), setLinkUp(LOOPBACK_INDEX)]);
      const bridge = await findLink(socket, BRIDGE);
      assert(bridge !== undefined, 'the bridge is there after it was made');
      await socket.execute([addAddress(bridge.index, `${FABRIC_ADDRESS}/${FABRIC_PREFIX_LENGTH}`)]);
      await nftables.run('prepare cuts', CUTS);
    } finally {
      await nftables.close();
      await socket.close();
      namespace.close();
    }
  }

  /** Plugs the host in, with a fresh namespace. A cut stays cut: wires do not mend when a host starts. */
  async plug(host: LabHostName): Promise<void> {
    const namespace = createNetworkNamespace(hostPaths(this.#lab, host.name).network);
    const fabric = NetworkNamespace.open(this.path);
    const inside = NetlinkSocket.open(namespace);
    const outside = NetlinkSocket.open(fabric);
    try {
      const bridge = await findLink(outside, BRIDGE);
      assert(bridge !== undefined, 'the fabric has its bridge');
      await outside.execute([deleteLink(host.name)]);
      await inside.execute([
        addVeth(
          { name: HOST_LINK, index: HOST_LINK_INDEX, mtu: MTU, linkLayerAddress: linkLayerAddress(host.address) },
          { name: host.name, mtu: MTU },
          fabric.descriptor,
        ),
        setLinkUp(LOOPBACK_INDEX),
        addAddress(HOST_LINK_INDEX, `${host.address}/${FABRIC_PREFIX_LENGTH}`),
        replaceRoute({ destination: 'default', linkIndex: HOST_LINK_INDEX, gateway: FABRIC_ADDRESS }),
      ]);
      await outside.execute([setLinkMaster(host.name, bridge.index), setLinkUp(host.name)]);
    } finally {
      await inside.close();
      await outside.close();
      fabric.close();
      namespace.close();
    }
  }

  /** The host's network is gone, and with it its end of the wire. */
  unplug(host: string): void {
    removeNetworkNamespace(hostPaths(this.#lab, host).network);
  }

  async cut(cut: Cut): Promise<void> {
    await this.#change(`cut ${cutText(cut)}`, 'add', cut);
  }

  /** Mends one cut; nothing cut there is no error. */
  async heal(cut: Cut): Promise<void> {
    if ((await this.cuts()).some((one) => cutText(one) === cutText(normal(cut))))
      await this.#change(`heal ${cutText(cut)}`, 'delete', cut);
  }

  async healAll(): Promise<void> {
    await this.#nftables((nftables) => nftables.run('heal', `flush set ${TABLE} cut\nflush set ${TABLE} isolated`));
  }

  /** What is cut now. */
  async cuts(): Promise<readonly Cut[]> {
    return this.#nftables(async (nftables) => {
      const cuts: Cut[] = [];
      for (const entry of await nftables.listJson('list cuts', `list table ${TABLE}`, { elements: true })) {
        const set = (entry as { readonly set?: { readonly elem?: readonly unknown[] } }).set;
        for (const element of set?.elem ?? []) {
          if (typeof element === 'string') cuts.push({ host: element, other: undefined });
          else {
            const [host = '', other = ''] = (element as { readonly concat: readonly string[] }).concat;
            if (host < other) cuts.push({ host, other });
          }
        }
      }
      return cuts;
    });
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  async #change(what: string, verb: 'add' | 'delete', cut: Cut): Promise<void> {
    const { host, other } = cut;
    const elements =
      other === undefined ? `isolated { "${host}" }` : `cut { "${host}" . "${other}", "${other}" . "${host}" }`;
    await this.#nftables((nftables) => nftables.run(what, `${verb} element ${TABLE} ${elements}`));
  }

  async #nftables<T>(work: (nftables: Nftables) => Promise<T>): Promise<T> {
    const namespace = NetworkNamespace.open(this.path);
    const nftables = Nftables.open(namespace);
    try {
      return await work(nftables);
    } finally {
      await nftables.close();
      namespace.close();
    }
  }
}

/** A machine keeps its network card when it loses power: its neighbours need not learn it again. */
function linkLayerAddress(address: string): string {
  return ['02', '4c', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

/** The two ends of a cut in one order. */
function normal(cut: Cut): Cut {
  return cut.other !== undefined && cut.other < cut.host ? { host: cut.other, other: cut.host } : cut;
}

export function cutText(cut: Cut): string {
  return cut.other === undefined ? cut.host : `${cut.host} ${cut.other}`;
}
