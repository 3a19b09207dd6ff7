/** The wires of a lab: a bridge in a namespace of its own, one port per host, and cuts between them. */
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, deleteLink, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { assert } from '#common/errors.ts';
import { FABRIC, FABRIC_ADDRESS, FABRIC_PREFIX_LENGTH, hostPaths, type LabHostName, labPaths } from './names.ts';
import { mustRun } from './run-command.ts';
import { narrow, widen } from './slow-link.ts';

const BRIDGE = 'fabric';
const HOST_LINK = 'eth0';
/** Index of eth0 in every host. */
const HOST_LINK_INDEX = 2;
const LOOPBACK_INDEX = 1;
const MTU = 1500;
const TABLE = 'bridge lab';
/** Stands for every host where two are named; no host can be called that. */
const EVERYBODY = '*';

/** Frames that a cut takes vanish, as on a broken wire: no end is told. */
const CUTS = `
table bridge lab {
  set cut { type ifname . ifname; }
  set mute { type ifname; }
  set deaf { type ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @cut drop
    iifname @mute drop
    oifname @deaf drop
  }
  chain input { type filter hook input priority 0; policy accept; iifname @mute drop; }
  chain output { type filter hook output priority 0; policy accept; oifname @deaf drop; }
}
`;

/** What is lost: all frames, only those that come in to the host, or only those that go out of it. */
export type CutDirection = 'both' | 'in' | 'out';

/** A cut wire: between two hosts, or between one and everybody. */
export interface Cut {
  readonly host: string;
  readonly other: string | undefined;
  /** As `host` sees it. */
  readonly direction: CutDirection;
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
          { name: HOST_LINK, index: HOST_LINK_INDEX, mtu: MTU, linkLayerAddress: linkLayerAddress(host) },
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

  /** Gives the host's end of the wire the host's address, in place of the one it has. */
  async readdress(host: LabHostName): Promise<void> {
    const ip = ['nsenter', `--net=${hostPaths(this.#lab, host.name).network}`, 'ip'];
    await mustRun([...ip, 'address', 'flush', 'dev', HOST_LINK]);
    await mustRun([...ip, 'address', 'add', `${host.address}/${FABRIC_PREFIX_LENGTH}`, 'dev', HOST_LINK]);
    await mustRun([...ip, 'route', 'replace', 'default', 'via', FABRIC_ADDRESS]);
  }

  /** Limits the wire of a host, both ways; undefined lifts the limit. A loss of power lifts it, too. */
  async limit(host: string, kilobitsPerSecond: number | undefined): Promise<void> {
    for (const end of [
      { namespace: this.path, link: host },
      { namespace: hostPaths(this.#lab, host).network, link: HOST_LINK },
    ])
      if (kilobitsPerSecond === undefined) await widen(end);
      else await narrow(end, kilobitsPerSecond);
  }

  /** The host's network is gone, and with it its end of the wire. */
  unplug(host: string): void {
    removeNetworkNamespace(hostPaths(this.#lab, host).network);
  }

  /** Cuts add up: one way and the other way is both. */
  async cut(cut: Cut): Promise<void> {
    await this.#nftables((nftables) => nftables.run('cut', elements('add', cut)));
  }

  /** Mends the wire, whichever way it was cut; one that is whole is no error. */
  async heal(host: string, other: string | undefined): Promise<void> {
    const found = (await this.cuts()).find((cut) => isBetween(cut, host, other));
    if (found !== undefined) await this.#nftables((nftables) => nftables.run('heal', elements('delete', found)));
  }

  async healAll(): Promise<void> {
    const sets = ['cut', 'mute', 'deaf'].map((set) => `flush set ${TABLE} ${set}`);
    await this.#nftables((nftables) => nftables.run('heal', sets.join('\n')));
  }

  /** What is cut now. */
  async cuts(): Promise<readonly Cut[]> {
    const lost = new Set(await this.#lostFrames());
    const cuts: Cut[] = [];
    for (const frames of lost) {
      const [from = '', to = ''] = frames.split(' ');
      const opposite = lost.has(`${to} ${from}`);
      // One entry for both ways, under the first name; everybody is always the other.
      if (to === EVERYBODY) cuts.push({ host: from, other: undefined, direction: opposite ? 'both' : 'out' });
      else if (from === EVERYBODY && !opposite) cuts.push({ host: to, other: undefined, direction: 'in' });
      else if (from !== EVERYBODY && !(opposite && from > to))
        cuts.push({ host: from, other: to, direction: opposite ? 'both' : 'out' });
    }
    return cuts;
  }

  /** "FROM TO" for all that is dropped. */
  #lostFrames(): Promise<readonly string[]> {
    return this.#nftables(async (nftables) => {
      const lost: string[] = [];
      for (const entry of await nftables.listJson('list cuts', `list table ${TABLE}`, { elements: true })) {
        const set = (entry as { readonly set?: { readonly name: string; readonly elem?: readonly unknown[] } }).set;
        for (const element of set?.elem ?? [])
          if (typeof element === 'string')
            lost.push(set?.name === 'mute' ? `${element} ${EVERYBODY}` : `${EVERYBODY} ${element}`);
          else lost.push((element as { readonly concat: readonly string[] }).concat.join(' '));
      }
      return lost;
    });
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

/** A machine keeps its network card when it loses power or gets another address: its neighbours need not learn it again. */
function linkLayerAddress({ name }: LabHostName): string {
  const number = Number(name.slice(1));
  const bytes = [0x02, 0x4c, 0x00, name.charCodeAt(0), number >> 8, number & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Commands of nftables that add or delete what the cut takes. */
function elements(verb: 'add' | 'delete', { host, other, direction }: Cut): string {
  const lines: string[] = [];
  if (direction !== 'in') lines.push(other === undefined ? `mute { "${host}" }` : `cut { "${host}" . "${other}" }`);
  if (direction !== 'out') lines.push(other === undefined ? `deaf { "${host}" }` : `cut { "${other}" . "${host}" }`);
  return lines.map((line) => `${verb} element ${TABLE} ${line}`).join('\n');
}

function isBetween(cut: Cut, host: string, other: string | undefined): boolean {
  if (other === undefined || cut.other === undefined) return cut.host === host && cut.other === other;
  return (cut.host === host && cut.other === other) || (cut.host === other && cut.other === host);
}
