/** The routing mesh of this node: ports that every node publishes, whichever node has the tasks. See docs/mesh.md. */
import { isIPv4 } from 'node:net';
import type { NetworkView } from '#agent/discovery/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { NetlinkSocket } from '../../kernel/netlink.ts';
import type { LinkAddress } from '../../kernel/netlink-address.ts';
import type { Gateway } from '../gateway.ts';
import { familyOfAddress } from '../host-ports.ts';
import type { HostTableFrame } from '../host-table.ts';
import type { TouchedItems, Underlay } from '../overlay/network-view.ts';
import type { PortPublisher } from '../port-publisher.ts';
import { GatewayWatch } from './gateway-watch.ts';
import { MeshGateway } from './mesh-gateway.ts';
import { MeshModel } from './mesh-model.ts';

export interface RoutingMeshOptions {
  readonly gateway: Gateway;
  readonly publisher: PortPublisher;
  readonly hostSocket: NetlinkSocket;
  /** What the host's table needs, asked for when that has changed. */
  readonly frame: () => Promise<HostTableFrame>;
  readonly vniWaitMs: number;
  readonly vniRetryMs: number;
  /** From the first foreign change that the kernel tells of to `onDamage`. */
  readonly eventDelayMs: number;
  /** Something is gone that somebody should put right. */
  readonly onDamage: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The table of the ingress network as this node knows it. */
export interface MeshTables {
  readonly nodeId: string;
  readonly view: NetworkView;
  /** Undefined: there is no way to other nodes at the moment; the mesh then ends at this node. */
  readonly underlay: Underlay | undefined;
}

export class RoutingMesh {
  readonly #options: RoutingMeshOptions;
  readonly #gateway: MeshGateway;
  readonly #watch: GatewayWatch;
  #model: MeshModel | undefined;
  #nodeId: string | undefined;
  /** As last applied. */
  #tables: MeshTables | undefined;
  /** Whether the kernel has not been compared with the model since something failed. */
  #isDoubtful = true;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(options: RoutingMeshOptions) {
    this.#options = options;
    this.#gateway = new MeshGateway(options);
    this.#watch = new GatewayWatch({
      gateway: options.gateway,
      isOurs: (address) => this.#isOurs(address),
      delayMs: options.eventDelayMs,
      onDamage: options.onDamage,
      clock: options.clock,
    });
  }

  /** Makes the node like the table; `touched` is what may differ from before. Throws when it cannot. */
  apply(tables: MeshTables | undefined, touched: TouchedItems | undefined): Promise<void> {
    return this.#inTurn(() => this.#apply(tables, touched));
  }

  async #apply(tables: MeshTables | undefined, touched: TouchedItems | undefined): Promise<void> {
    this.#tables = tables;
    if (tables === undefined) return this.#end();
    this.#watch.ensure();
    const { nodeId, view, underlay } = tables;
    const hasIpv6 = this.#options.gateway.ipv6 !== undefined;
    const isNew = this.#model === undefined || this.#nodeId !== nodeId || this.#model.hasIpv6 !== hasIpv6;
    const model = this.#model === undefined || isNew ? new MeshModel(nodeId, hasIpv6) : this.#model;
    this.#model = model;
    this.#nodeId = nodeId;
    const whole = isNew || this.#isDoubtful;
    const before = JSON.stringify(model.base);
    const delta = model.update(view, underlay, whole ? undefined : touched);
    const peersMoved = touched === undefined || touched.table || touched.peers.size > 0;
    const anew = whole || peersMoved || JSON.stringify(model.base) !== before;
    this.#isDoubtful = true;
    // Ways come before what chooses them.
    if (anew) {
      await this.#prepareHost(view, nodeId);
      await this.#gateway.ensure(model);
    } else await this.#gateway.setRoutes(new Map([...delta.routes].filter(([, route]) => route !== undefined)));
    await this.#options.publisher.publishMesh(whole ? model.ports : delta.ports, whole);
    if (!anew) await this.#gateway.setRoutes(new Map([...delta.routes].filter(([, route]) => route === undefined)));
    if (delta.ended.length > 0) await this.#options.publisher.forgetTasks(delta.ended);
    this.#isDoubtful = false;
  }

  /** Compares the gateway's side with what it should be; the host's side is the publisher's to compare. */
  repair(): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      if (this.#model === undefined) return [];
      this.#watch.ensure();
      if (this.#model.hasIpv6 === (this.#options.gateway.ipv6 !== undefined)) return this.#gateway.ensure(this.#model);
      // IPv6 was turned on or off on this host.
      await this.#apply(this.#tables, undefined);
      return ['families of the mesh'];
    });
  }

  /** The same comparison, and nothing is put right: what differs, in words. */
  survey(): Promise<readonly string[]> {
    return this.#inTurn(async () => (this.#model === undefined ? [] : this.#gateway.survey(this.#model)));
  }

  /** A task with these addresses is reached here from now on, or no more. */
  setLocal(addresses: readonly string[], local: boolean): void {
    for (const address of addresses)
      if (local) this.#gateway.local.add(address);
      else this.#gateway.local.delete(address);
  }

  /** Waits for work under way. */
  async close(): Promise<void> {
    this.#watch.close();
    await this.#lane;
  }

  /** The ingress network was removed: no port is published any more. */
  async #end(): Promise<void> {
    const { gateway, publisher, frame } = this.#options;
    if (gateway.plan.ingress === undefined) return;
    await publisher.publishMesh(new Map(), true);
    await this.#gateway.ensure(new MeshModel('', false));
    await gateway.setIngress(undefined);
    await gateway.ensure();
    await publisher.install(await frame());
    this.#model = undefined;
    this.#isDoubtful = true;
  }

  async #prepareHost(view: NetworkView, nodeId: string): Promise<void> {
    const { gateway, publisher, frame, logger } = this.#options;
    const subnets = this.#model?.base?.subnets ?? [];
    const own = view.peers.get(nodeId)?.dataPath?.address ?? '';
    const addresses = await gateway.hostAddresses().catch((error: unknown) => {
      logger.debug('the addresses of the host cannot be listed', { error: SwarmError.from(error).message });
      return [];
    });
    const ingress = {
      subnets: subnets.filter((one) => familyOfAddress(one) === 4),
      subnets6: subnets.filter((one) => familyOfAddress(one) === 6),
      nodeAddress: isIPv4(own) && addresses.some((one) => one.address === own) ? own : undefined,
      nodeAddress6: nodeAddress6(addresses, own),
    };
    if (!(await gateway.setIngress(ingress))) return;
    await gateway.ensure();
    await publisher.install(await frame());
  }

  #isOurs(address: string): boolean {
    const model = this.#model;
    if (model === undefined) return false;
    return (model.routes.has(address) && !this.#gateway.local.has(address)) || MeshGateway.isNode(model, address);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }
}

/** What others know this host by over IPv6: where they send to, or the first of its addresses, always the same one. */
function nodeAddress6(addresses: readonly LinkAddress[], own: string): string | undefined {
  const global = addresses.filter((one) => familyOfAddress(one.address) === 6 && !one.kernelMade);
  const found = global.map((one) => one.address).toSorted();
  return found.find((address) => address === own) ?? found[0];
}
