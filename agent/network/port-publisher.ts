import { assert, invalidField, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { NETLINK_NETFILTER, type NetlinkRequest, NetlinkSocket } from '../kernel/netlink.ts';
import { forgetFlows, forgetFlowsTo, forgetFlowsToPort } from '../kernel/netlink-conntrack.ts';
import { Nftables, NftablesError } from '../kernel/nftables.ts';
import { changeElements, listElements } from '../kernel/nftables-elements.ts';
import {
  addElementsText,
  deleteElementsText,
  elementKey,
  elementValue,
  GUARD_SET,
  type HostTableContents,
  hostTableText,
  MESH_MAPS,
  mapOf,
  PORT_MAPS,
  type PortElement,
  PROTOCOL_NUMBERS,
  parseElements,
} from './host-table.ts';
import { HOST_TABLE_PREFIX, type InstanceNames } from './instance.ts';
import { parseAddress } from './ipv4.ts';
import type { MeshPort } from './mesh/mesh-model.ts';
import { type MeshPortChanges, MeshPorts, type StaleFlow } from './mesh/mesh-ports.ts';
import { holdPort, type PortHolder, portConflict, portText } from './port-holder.ts';
import type { ContestedPort, HostPort } from './task-network.ts';

const PORT_MAX = 65_535;
const EVERY_ADDRESS = '0.0.0.0';

interface PublishedPort {
  readonly element: PortElement;
  /** Undefined while another program has the port (after a restart of the daemon). */
  holder: PortHolder | undefined;
  /** Who has it instead. */
  contestedBy: string | undefined;
}

export interface PortPublisherOptions {
  readonly names: InstanceNames;
  readonly logger: Logger;
}

/** What the table needs besides the ports. */
export type HostTableFrame = Omit<HostTableContents, 'names' | 'elements' | 'mesh'>;

/**
 * The host's table and the sockets that reserve published ports. All changes take turns, so that what is remembered and
 * what is in the kernel differ only when somebody else changed the kernel.
 */
export class PortPublisher {
  readonly #options: PortPublisherOptions;
  readonly #nftables: Nftables;
  readonly #connections: NetlinkSocket;
  readonly #published = new Map<string, readonly PublishedPort[]>();
  /** In the table from the moment that the node is told of an ingress network. */
  readonly #mesh: MeshPorts;
  /** Chains for so many backends are in the table. */
  #chains = 0;
  #frame: HostTableFrame | undefined;
  /** How the table lists, without elements, when it is whole. */
  #listing: string | undefined;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(options: PortPublisherOptions) {
    this.#options = options;
    this.#nftables = Nftables.open();
    this.#connections = NetlinkSocket.open(undefined, NETLINK_NETFILTER);
    this.#mesh = new MeshPorts(options.names.hostTable);
  }

  /** Loads the table with the ports known so far. */
  install(frame: HostTableFrame): Promise<void> {
    return this.#inTurn(() => this.#install(frame));
  }

  /**
   * Reserves the ports and leads them to the task. All or nothing. Answers with free ports filled in. Errors:
   * `bad-field`, `port-conflict`.
   */
  publish(taskId: string, address: string, ports: readonly HostPort[]): Promise<readonly HostPort[]> {
    const checked = checkPorts(ports);
    if (checked.length === 0) return Promise.resolve([]);
    return this.#inTurn(async () => {
      const published = await this.#holdAll(address, checked);
      try {
        await this.#addElements(published.map((one) => one.element));
      } catch (error) {
        await releaseAll(published);
        throw error;
      }
      this.#published.set(taskId, published);
      return published.map((one) => one.element.port);
    });
  }

  /** Remembers ports that the task had before this daemon started; `install` or `verify` puts them in the table. */
  adopt(taskId: string, address: string, ports: readonly HostPort[]): Promise<void> {
    return this.#inTurn(async () => {
      const published: PublishedPort[] = [];
      for (const port of ports)
        published.push({ element: { port, address }, holder: undefined, contestedBy: undefined });
      this.#published.set(taskId, published);
      await this.#reserveAgain();
    });
  }

  /** Takes over the ports of the mesh that the table of an earlier run leads to tasks. Before `install`. */
  adoptMesh(): Promise<void> {
    return this.#inTurn(async () => {
      try {
        const { mesh_eps, mesh_bound_eps } = this.#mesh.sets;
        this.#mesh.adopt([
          await listElements(this.#connections, mesh_eps),
          await listElements(this.#connections, mesh_bound_eps),
        ]);
      } catch (error) {
        // Somebody flushed the ruleset, or the earlier run ended too soon: the tables of networks say it all again.
        this.#options.logger.debug('there are no published ports to take over', {
          error: SwarmError.from(error).message,
        });
      }
    });
  }

  /**
   * Ports of the mesh that lead elsewhere from now on; undefined: not published any more. `whole`: there are no others.
   * The frame is that of the last `install` or `verify`.
   */
  publishMesh(ports: ReadonlyMap<string, MeshPort | undefined>, whole: boolean): Promise<void> {
    return this.#inTurn(async () => {
      await this.#commitMesh(await this.#mesh.change(ports, whole));
    });
  }

  /** Ports of the mesh that this node does not publish, in words. */
  meshProblems(): readonly string[] {
    return this.#mesh.problems();
  }

  /** Ends what goes to tasks that are gone: their clients are told at once. */
  forgetTasks(addresses: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#forget(addresses.map(forgetFlowsTo)));
  }

  /** Withdraws the task's ports and ends the connections that were led to it. Nothing published is no error. */
  withdraw(taskId: string): Promise<void> {
    return this.#inTurn(async () => {
      const published = this.#published.get(taskId);
      this.#published.delete(taskId);
      if (published === undefined || published.length === 0) return;
      await this.#deleteElements(published.map((one) => one.element));
      await releaseAll(published);
      const addresses = new Set(published.map((one) => one.element.address));
      await this.#forget([...addresses].map(forgetFlowsTo));
    });
  }

  /** Compares the table with what it should be and loads it anew if it differs. Says whether it did. */
  verify(frame: HostTableFrame): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#reserveAgain();
      const changes = await this.#mesh.reserveAgain();
      if (JSON.stringify(frame) === JSON.stringify(this.#frame) && (await this.#whole(changes))) {
        await this.#commitMesh(changes);
        return false;
      }
      await this.#install(frame);
      return true;
    });
  }

  /** Ports that another program has taken for itself. */
  contested(): readonly ContestedPort[] {
    return [...this.#published].flatMap(([taskId, ports]) =>
      ports.flatMap((one) =>
        one.contestedBy === undefined ? [] : [{ taskId, port: one.element.port, holder: one.contestedBy }],
      ),
    );
  }

  /** Whether ours is the only nftables table in the host's namespace: nobody else can count on its forwarding. */
  async aloneInNamespace(): Promise<boolean> {
    const tables = await this.#listObjects('table', 'list tables');
    return tables.every((table) => table.name === this.#options.names.hostTable);
  }

  /** Whether another daemon of this kind turned forwarding on and guards it: then the last one to go turns it off. */
  async forwardingIsShared(): Promise<boolean> {
    const sets = await this.#listObjects('set', 'list sets');
    return sets.some((set) => set.name === GUARD_SET && set.table?.startsWith(HOST_TABLE_PREFIX) === true);
  }

  async #listObjects(
    kind: string,
    command: string,
  ): Promise<readonly { readonly name: string; readonly table?: string }[]> {
    const listing = await this.#nftables.listJson(command, command, { elements: false });
    return listing.flatMap((entry) => {
      const found = (entry as Readonly<Record<string, { readonly name: string; readonly table?: string }>>)[kind];
      return found === undefined ? [] : [found];
    });
  }

  /** Lets go of the sockets; the table goes on working. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      for (const published of this.#published.values()) await releaseAll(published);
      this.#published.clear();
      await this.#mesh.close();
    });
    await this.#connections.close();
    await this.#nftables.close();
  }

  /** Removes the table. The publisher can then only be closed. */
  removeTable(): Promise<void> {
    const { hostTable } = this.#options.names;
    // Adding first makes deleting one that is not there no error.
    return this.#inTurn(() =>
      this.#nftables.run(`delete the table ${hostTable}`, `add table ip ${hostTable}\ndelete table ip ${hostTable}`),
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  async #install(frame: HostTableFrame): Promise<void> {
    const { names } = this.#options;
    const elements = [...this.#published.values()].flat().map((one) => one.element);
    const mesh = frame.plan.ingress === undefined ? undefined : this.#mesh.tableElements();
    await this.#nftables.run(`load the table ${names.hostTable}`, hostTableText({ ...frame, names, elements, mesh }));
    this.#chains = mesh?.chains ?? 0;
    this.#frame = frame;
    this.#listing = await this.#list();
  }

  #list(): Promise<string> {
    const { hostTable } = this.#options.names;
    return this.#nftables.list(`list the table ${hostTable}`, `list table ip ${hostTable}`, { elements: false });
  }

  /** `pending`: changes of the mesh that are not in the table yet. */
  async #whole(pending: MeshPortChanges): Promise<boolean> {
    try {
      if ((await this.#list()) !== this.#listing) return false;
      return (await this.#portsAreWhole()) && (pending.groups.length > 0 || (await this.#meshIsWhole()));
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async #portsAreWhole(): Promise<boolean> {
    const { hostTable } = this.#options.names;
    const found: string[] = [];
    for (const map of PORT_MAPS) {
      const command = `list map ip ${hostTable} ${map}`;
      const listing = await this.#nftables.listJson(`list the table ${hostTable}`, command, { elements: true });
      found.push(...parseElements(listing).map((one) => `${one.map} ${one.key} : ${one.value}`));
    }
    const wanted = [...this.#published.values()]
      .flat()
      .map(({ element }) => `${mapOf(element.port)} ${elementKey(element.port)} : ${elementValue(element)}`);
    return found.toSorted().join('\n') === wanted.toSorted().join('\n');
  }

  async #meshIsWhole(): Promise<boolean> {
    if (this.#frame?.plan.ingress === undefined) return true;
    const due = this.#mesh.elements();
    for (const map of MESH_MAPS) {
      const found = await listElements(this.#connections, this.#mesh.sets[map]);
      if (found.size !== due[map].size) return false;
      for (const [key, value] of due[map]) if (found.get(key) !== value) return false;
    }
    return true;
  }

  /** One transaction of a few elements; the whole table where that is not enough. */
  async #commitMesh({ groups, stale }: MeshPortChanges): Promise<void> {
    if (this.#frame?.plan.ingress !== undefined && groups.length > 0) {
      if (this.#mesh.chainsDue() > this.#chains) await this.#install(this.#frame);
      else
        try {
          await changeElements(this.#connections, groups);
        } catch (error) {
          this.#options.logger.warn('published ports were not as expected: loading all of them', {
            error: SwarmError.from(error).message,
          });
          await this.#install(this.#frame);
        }
    }
    await this.#forget(stale.map((flow: StaleFlow) => forgetFlows(flow)));
  }

  async #holdAll(address: string, ports: readonly HostPort[]): Promise<readonly PublishedPort[]> {
    const held: PublishedPort[] = [];
    try {
      for (const port of ports) {
        const other = this.#taskWith(port);
        if (other !== undefined) throw portConflict(port, `task ${other}`);
        if (this.#mesh.clashesWith(port)) throw portConflict(port, 'a service that every node publishes');
        const holder = await holdPort(port);
        const element = { port: { ...port, publishedPort: holder.port }, address };
        held.push({ element, holder, contestedBy: undefined });
      }
      return held;
    } catch (error) {
      await releaseAll(held);
      throw error;
    }
  }

  /** The task that has this port, or the same port on every address. */
  #taskWith(port: HostPort): string | undefined {
    if (port.publishedPort === 0) return undefined;
    for (const [taskId, published] of this.#published)
      if (published.some(({ element }) => portsClash(element.port, port))) return taskId;
    return undefined;
  }

  async #reserveAgain(): Promise<void> {
    for (const one of [...this.#published.values()].flat()) {
      if (one.holder !== undefined) continue;
      try {
        one.holder = await holdPort(one.element.port);
        one.contestedBy = undefined;
      } catch (error) {
        const { message } = SwarmError.from(error);
        if (one.contestedBy === undefined)
          this.#options.logger.warn('a published port is reserved by another program', { reason: message });
        one.contestedBy = message;
      }
    }
  }

  async #addElements(elements: readonly PortElement[]): Promise<void> {
    const what = `publish ${elements.map((element) => portText(element.port)).join(', ')}`;
    try {
      await this.#nftables.run(what, addElementsText(this.#options.names, elements));
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Somebody flushed the ruleset since we looked.
      assert(this.#frame !== undefined, 'the table is installed before a port is published');
      await this.#install(this.#frame);
      await this.#nftables.run(what, addElementsText(this.#options.names, elements));
    }
    // Clients that kept sending datagrams to the port before it led anywhere must not stay stuck with that.
    const datagram = elements.filter((element) => element.port.protocol === 'udp');
    await this.#forget(datagram.map(({ port }) => forgetFlowsToPort(PROTOCOL_NUMBERS.udp, port.publishedPort)));
  }

  async #deleteElements(elements: readonly PortElement[]): Promise<void> {
    const what = `withdraw ${elements.map((element) => portText(element.port)).join(', ')}`;
    try {
      await this.#nftables.run(what, deleteElementsText(this.#options.names, elements));
    } catch (error) {
      // Some of it is gone already: what is left in `#published` is what should be there.
      if (!isMissing(error) || this.#frame === undefined) throw error;
      await this.#install(this.#frame);
    }
  }

  /** Connection tracking is cleaned as well as can be: what stays behind runs out by itself. */
  async #forget(requests: readonly NetlinkRequest[]): Promise<void> {
    if (requests.length === 0) return;
    const outcomes = await this.#connections.tryExecute(requests);
    outcomes.forEach((refusal, index) => {
      if (refusal === undefined || refusal.code === 'ENOENT') return;
      this.#options.logger.debug(`cannot ${requests[index]?.what}`, { error: refusal.message });
    });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof SwarmError && error.cause instanceof NftablesError && error.cause.missing;
}

function portsClash(left: HostPort, right: HostPort): boolean {
  if (left.protocol !== right.protocol || left.publishedPort !== right.publishedPort) return false;
  return left.hostIp === undefined || right.hostIp === undefined || left.hostIp === right.hostIp;
}

async function releaseAll(published: readonly PublishedPort[]): Promise<void> {
  for (const one of published) await one.holder?.release();
}

/** The ports in normal form (no host address means every one). Throws `bad-field`. */
export function checkPorts(ports: readonly HostPort[]): readonly HostPort[] {
  const checked = ports.map((port): HostPort => {
    for (const [field, value, least] of [
      ['publishedPort', port.publishedPort, 0],
      ['targetPort', port.targetPort, 1],
    ] as const)
      if (!Number.isInteger(value) || value < least || value > PORT_MAX)
        throw invalidField(field, `${field}: ${value} is not a port number`, `use ${least} to ${PORT_MAX}`);
    const hostIp = port.hostIp === '' || port.hostIp === EVERY_ADDRESS ? undefined : port.hostIp;
    if (hostIp !== undefined && parseAddress(hostIp) === undefined)
      throw invalidField('hostIp', `hostIp: ${JSON.stringify(hostIp)} is not an IPv4 address`);
    const { protocol, publishedPort, targetPort } = port;
    return { protocol, publishedPort, targetPort, ...(hostIp === undefined ? {} : { hostIp }) };
  });
  checked.forEach((port, index) => {
    if (port.publishedPort !== 0 && checked.slice(index + 1).some((other) => portsClash(port, other)))
      throw invalidField('publishedPort', `publishedPort: ${portText(port)} is published twice by the same task`);
  });
  return checked;
}
