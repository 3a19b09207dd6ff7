/** The way between nodes: where this node is reached, who may send to it, and what of it is encrypted. */
import type { NetworkViews } from '#agent/discovery/index.ts';
import { vxlanPorts } from '#common/data-path-ports.ts';
import { SwarmError } from '#common/errors.ts';
import type { NetworkPeer, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { VxlanGuard } from '../guard/vxlan-guard.ts';
import type { InstanceNames } from '../instance.ts';
import { hostHasIpv6 } from '../ipv6.ts';
import type { Underlay } from '../overlay/network-view.ts';
import type { WireGuardConfig } from '../wireguard/config.ts';
import { type Tunnel, tunnelLinkName } from '../wireguard/tunnel.ts';
import { tunnelAddress } from '../wireguard/tunnel-settings.ts';
import { type DataPathPlace, findDataPath } from './node-data-path.ts';

type VxlanPorts = ReturnType<typeof vxlanPorts>;

/** Who this node is in the swarm that it is in. */
export interface ClusterMember {
  readonly nodeId: string;
  /** Where other nodes send packets of networks: asked again as it may change. Empty while it is not known. */
  readonly address: () => Promise<string>;
}

export interface NodeUnderlayOptions {
  readonly names: InstanceNames;
  /** Undefined where this host was not looked at: encrypted networks then end at this node. */
  readonly tunnel: Tunnel | undefined;
  readonly tunnelConfig: WireGuardConfig;
}

export class NodeUnderlay {
  readonly #options: NodeUnderlayOptions;
  #member: ClusterMember | undefined;
  #place: DataPathPlace | undefined;
  #views: NetworkViews = new Map();
  #guard: { readonly table: VxlanGuard; readonly ports: VxlanPorts } | undefined;
  #tunnelProblem: string | undefined;

  constructor(options: NodeUnderlayOptions) {
    this.#options = options;
  }

  /** The member that this node is; undefined while it is in no swarm. */
  get member(): ClusterMember | undefined {
    return this.#member;
  }

  join(member: ClusterMember): void {
    this.#member = member;
  }

  /** For the node's description. */
  async dataPath(): Promise<NodeDataPath | undefined> {
    const place = await this.findPlace();
    if (place === undefined) return undefined;
    const { tunnel } = this.#options;
    return NodeDataPath.create({
      ...place,
      ipv6: await hostHasIpv6(place.mtu),
      wireguardKeys: tunnel?.publicKeys.map((key) => new Uint8Array(key)) ?? [],
      encryptionProblem: tunnel === undefined ? 'encryption is not set up on this node' : (tunnel.problem ?? ''),
    });
  }

  async findPlace(): Promise<DataPathPlace | undefined> {
    const address = await this.#member?.address();
    this.#place = address === undefined ? undefined : await findDataPath(address);
    return this.#place;
  }

  /** Who may send to this node, and what is encrypted: before anything is sent. */
  async apply(views: NetworkViews): Promise<void> {
    this.#views = views;
    const { tunnel, tunnelConfig } = this.#options;
    const nodeId = this.#member?.nodeId ?? '';
    const nodes = new Set<string>(this.#place === undefined ? [] : [this.#place.address]);
    const members = new Map<string, NetworkPeer>();
    for (const { table, peers } of this.#views.values())
      for (const peer of peers.values()) {
        const address = peer.dataPath?.address ?? '';
        if (address !== '') nodes.add(address);
        if (table.encrypted) members.set(peer.nodeId, peer);
      }
    this.#tunnelProblem = undefined;
    if (tunnel !== undefined && (tunnel.problem === undefined || members.size > 0))
      try {
        const own = members.get(nodeId);
        await tunnel.set(
          own === undefined || own.index === 0
            ? undefined
            : { index: own.index, peers: [...members.values()], underlayMtu: this.#place?.mtu ?? 1500 },
        );
      } catch (error) {
        this.#tunnelProblem = SwarmError.from(error).message;
      }
    const inside = [...members.values()].filter((peer) => peer.index > 0);
    const guard = await this.#guardOf(this.#ports());
    await guard.set({ nodes: [...nodes], tunnel: inside.map((peer) => tunnelAddress(tunnelConfig, peer.index)) });
  }

  /** Of the swarm: every table says the same. */
  #ports(): VxlanPorts {
    const [view] = this.#views.values();
    return vxlanPorts(view?.table.dataPathPort ?? 0);
  }

  /** With another port, as in another swarm, another one takes its place: it loads the same table whole. */
  async #guardOf(ports: VxlanPorts): Promise<VxlanGuard> {
    const before = this.#guard;
    if (before?.ports.plain === ports.plain) return before.table;
    const table = this.#newGuard(ports);
    this.#guard = { table, ports };
    await before?.table.close();
    return table;
  }

  #newGuard({ plain, encrypted }: VxlanPorts): VxlanGuard {
    const { names } = this.#options;
    return new VxlanGuard({ names, plainPort: plain, encryptedPort: encrypted, tunnelLink: tunnelLinkName(names) });
  }

  /** @throws SwarmError `network-failed` why packets of the network have no way to other nodes */
  of(table: NetworkTable): Underlay {
    const { tunnel, tunnelConfig } = this.#options;
    const ports = vxlanPorts(table.dataPathPort);
    const place = this.#place;
    if (place === undefined) throw noWay('this node has no address that other nodes could send to');
    if (!table.encrypted)
      return {
        ...place,
        port: ports.plain,
        peerAddress: (peer) => peer.dataPath?.address,
        peerMtu: (peer) => peer.dataPath?.mtu,
      };
    if (tunnel === undefined) throw noWay('encryption is not set up on this node');
    if (this.#tunnelProblem !== undefined) throw noWay(this.#tunnelProblem);
    const own = this.#views.get(table.networkId)?.peers.get(this.#member?.nodeId ?? '')?.index ?? 0;
    if (own === 0) throw noWay('this node has no number in the cluster yet');
    return {
      address: tunnelAddress(tunnelConfig, own),
      port: ports.encrypted,
      mtu: tunnel.mtu(place.mtu),
      peerAddress: (peer) =>
        peer.index === 0 || (peer.dataPath?.wireguardKeys.length ?? 0) === 0
          ? undefined
          : tunnelAddress(tunnelConfig, peer.index),
      peerMtu: (peer) => (peer.dataPath === undefined ? undefined : tunnel.mtu(peer.dataPath.mtu)),
    };
  }

  /** Puts right what was done to guard and tunnel; each is a step of its own. Each says what it repaired. */
  repairs(): readonly (() => Promise<readonly string[]>)[] {
    const tunnel = this.#tunnelProblem === undefined ? this.#options.tunnel : undefined;
    return [
      async () => ((await this.#guard?.table.verify()) === true ? ['guard of VXLAN'] : []),
      async () => (await tunnel?.verify()) ?? [],
    ];
  }

  /** What is not as it should be, in words. Changes nothing. */
  async differences(): Promise<readonly string[]> {
    return [
      ...((await this.#guard?.table.isWhole()) === false ? ['guard of VXLAN'] : []),
      ...((await this.#options.tunnel?.survey()) ?? []),
    ];
  }

  /** The node is in no swarm any more. */
  forgetMember(): void {
    this.#member = undefined;
    this.#views = new Map();
  }

  /** Takes guard and tunnel out of the kernel. */
  async remove(): Promise<void> {
    const guard = this.#guard?.table ?? this.#newGuard(vxlanPorts(0)); // by its name, whatever stands in it
    this.#guard = undefined;
    await guard.remove();
    await guard.close();
    await this.#options.tunnel?.set(undefined);
  }

  /** Lets go; everything goes on. */
  async close(): Promise<void> {
    await this.#guard?.table.close();
    await this.#options.tunnel?.close();
  }
}

/** Why packets do not get to other nodes. */
export function noWay(message: string): SwarmError {
  return new SwarmError({ code: 'precondition', reason: 'network-failed', message });
}
