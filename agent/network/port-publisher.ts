import { assert, invalidField, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { NETLINK_NETFILTER, type NetlinkRequest, NetlinkSocket } from '../kernel/netlink.ts';
import { forgetFlowsTo, forgetFlowsToPort } from '../kernel/netlink-conntrack.ts';
import { Nftables, NftablesError } from '../kernel/nftables.ts';
import {
  addElementsText,
  deleteElementsText,
  elementKey,
  elementValue,
  GUARD_SET,
  type HostTableContents,
  hostTableText,
  mapOf,
  type PortElement,
  PROTOCOL_NUMBERS,
  parseElements,
} from './host-table.ts';
import { HOST_TABLE_PREFIX, type InstanceNames } from './instance.ts';
import { parseAddress } from './ipv4.ts';
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
export type HostTableFrame = Omit<HostTableContents, 'names' | 'elements'>;

/**
 * The host's table and the sockets that reserve published ports. All changes take turns, so that what is remembered and
 * what is in the kernel differ only when somebody else changed the kernel.
 */
export class PortPublisher {
  readonly #options: PortPublisherOptions;
  readonly #nftables: Nftables;
  readonly #connections: NetlinkSocket;
  readonly #published = new Map<string, readonly PublishedPort[]>();
  #frame: HostTableFrame | undefined;
  /** How the table lists, without elements, when it is whole. */
  #listing: string | undefined;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(options: PortPublisherOptions) {
    this.#options = options;
    this.#nftables = Nftables.open();
    this.#connections = NetlinkSocket.open(undefined, NETLINK_NETFILTER);
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
      if (JSON.stringify(frame.guardedDevices) === JSON.stringify(this.#frame?.guardedDevices) && (await this.#whole()))
        return false;
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
    await this.#nftables.run(`load the table ${names.hostTable}`, hostTableText({ ...frame, names, elements }));
    this.#frame = frame;
    this.#listing = await this.#list();
  }

  #list(): Promise<string> {
    const { hostTable } = this.#options.names;
    return this.#nftables.list(`list the table ${hostTable}`, `list table ip ${hostTable}`, { elements: false });
  }

  async #whole(): Promise<boolean> {
    const { hostTable } = this.#options.names;
    try {
      if ((await this.#list()) !== this.#listing) return false;
      const listing = await this.#nftables.listJson(`list the table ${hostTable}`, `list table ip ${hostTable}`, {
        elements: true,
      });
      const found = parseElements(listing).map((one) => `${one.map} ${one.key} : ${one.value}`);
      const wanted = [...this.#published.values()]
        .flat()
        .map(({ element }) => `${mapOf(element.port)} ${elementKey(element.port)} : ${elementValue(element)}`);
      return found.toSorted().join('\n') === wanted.toSorted().join('\n');
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async #holdAll(address: string, ports: readonly HostPort[]): Promise<readonly PublishedPort[]> {
    const held: PublishedPort[] = [];
    try {
      for (const port of ports) {
        const other = this.#taskWith(port);
        if (other !== undefined) throw portConflict(port, `task ${other}`);
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
