import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { AF_INET6 } from '../kernel/ip-address.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../kernel/netlink.ts';
import { type FlowFilter, forgetAll } from '../kernel/netlink-conntrack.ts';
import { Nftables, NftablesError } from '../kernel/nftables.ts';
import { changeElements, listElements } from '../kernel/nftables-elements.ts';
import { checkPorts } from './check-ports.ts';
import type { Family } from './host-ports.ts';
import {
  addElementsText,
  deleteElementsText,
  elementFamily,
  elementKey,
  elementValue,
  FAMILIES,
  GUARD_SET,
  type HostTableFrame,
  LISTENERS_SET,
  MESH_MAPS,
  mapOf,
  nftFamily,
  PORT_MAPS,
  type PortElement,
  PROTOCOL_NUMBERS,
  parseElements,
} from './host-table.ts';
import { hostTableText, removeHostTableText } from './host-table-text.ts';
import { HOST_TABLE_PREFIX, type InstanceNames } from './instance.ts';
import type { MeshPort } from './mesh/mesh-model.ts';
import { type MeshPortChanges, MeshPorts } from './mesh/mesh-ports.ts';
import { portText } from './port-holder.ts';
import type { ContestedPort, HostPort } from './task-network.ts';
import { TaskPorts } from './task-ports.ts';

const NO_CHANGES: MeshPortChanges = { groups: [], stale: [] };

/** A table or set in the JSON of a listing. */
interface ListedObject {
  readonly name: string;
  readonly table?: string;
  readonly family?: string;
  readonly elem?: readonly unknown[];
}

export interface PortPublisherOptions {
  readonly names: InstanceNames;
  readonly logger: Logger;
}

/**
 * The host's tables and the sockets that reserve published ports. All changes take turns, so that what is remembered and
 * what is in the kernel differ only when somebody else changed the kernel.
 */
export class PortPublisher {
  readonly #options: PortPublisherOptions;
  readonly #nftables: Nftables;
  readonly #connections: NetlinkSocket;
  readonly #tasks: TaskPorts;
  /** In the tables from the moment that the node is told of an ingress network. */
  readonly #mesh: Readonly<Record<Family, MeshPorts>>;
  /** Chains for so many backends are in the tables. */
  #chains: Readonly<Record<Family, number>> = { 4: 0, 6: 0 };
  #frame: HostTableFrame | undefined;
  /** How the tables list, without elements, when they are whole. */
  #listing: string | undefined;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(options: PortPublisherOptions) {
    const { hostTable } = options.names;
    this.#options = options;
    this.#nftables = Nftables.open();
    this.#connections = NetlinkSocket.open(undefined, NETLINK_NETFILTER);
    this.#tasks = new TaskPorts(options.logger);
    this.#mesh = { 4: new MeshPorts(hostTable, 4), 6: new MeshPorts(hostTable, 6) };
  }

  /** Loads the tables with the ports known so far. */
  install(frame: HostTableFrame): Promise<void> {
    return this.#inTurn(() => this.#install(frame));
  }

  /**
   * Reserves the ports and leads them to the task, which has one address per family. All or nothing. Answers with free
   * ports filled in. Errors: `bad-field`, `port-conflict`.
   */
  publish(taskId: string, addresses: readonly string[], ports: readonly HostPort[]): Promise<readonly HostPort[]> {
    const checked = checkPorts(ports);
    if (checked.length === 0) return Promise.resolve([]);
    return this.#inTurn(async () => {
      const everyNode = (port: HostPort): string | undefined =>
        FAMILIES.some((family) => this.#mesh[family].clashesWith(port))
          ? 'a service that every node publishes'
          : undefined;
      const published = await this.#tasks.hold(addresses, checked, everyNode);
      try {
        await this.#addElements(published.flatMap((one) => one.elements));
      } catch (error) {
        await this.#tasks.release(published);
        throw error;
      }
      this.#tasks.take(taskId, published);
      return published.map((one) => one.port);
    });
  }

  /** Remembers ports that the task had before this daemon started; `install` or `verify` puts them in the tables. */
  adopt(taskId: string, addresses: readonly string[], ports: readonly HostPort[]): Promise<void> {
    return this.#inTurn(() => this.#tasks.adopt(taskId, addresses, ports));
  }

  /** Takes over the ports of the mesh that the tables of an earlier run lead to tasks. Before `install`. */
  adoptMesh(): Promise<void> {
    return this.#inTurn(async () => {
      for (const family of FAMILIES)
        try {
          const { mesh_eps, mesh_bound_eps } = this.#mesh[family].sets;
          this.#mesh[family].adopt([
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
      await this.#commitMesh(await this.#eachMesh((mesh) => mesh.change(ports, whole)));
    });
  }

  /** Ports of the mesh that this node does not publish, in words. */
  meshProblems(): readonly string[] {
    return [...new Set(FAMILIES.flatMap((family) => this.#mesh[family].problems()))];
  }

  /** Ends what goes to tasks that are gone: their clients are told at once. */
  forgetTasks(addresses: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#forget(addresses.map((replySource) => ({ replySource }))));
  }

  /** Withdraws the task's ports and ends the connections that were led to it. Nothing published is no error. */
  withdraw(taskId: string): Promise<void> {
    return this.#inTurn(async () => {
      const published = this.#tasks.drop(taskId);
      const elements = published.flatMap((one) => one.elements);
      if (elements.length === 0) return;
      await this.#deleteElements(elements);
      await this.#tasks.release(published);
      await this.#forget(flowsOf(elements));
    });
  }

  /** Compares the tables with what they should be and loads them anew if they differ. Says whether they did. */
  verify(frame: HostTableFrame): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#tasks.reserveAgain();
      const changes = await this.#eachMesh((mesh) => mesh.reserveAgain());
      if (JSON.stringify(frame) === JSON.stringify(this.#frame) && (await this.#whole(changes))) {
        await this.#commitMesh(changes);
        return false;
      }
      await this.#install(frame);
      return true;
    });
  }

  /** The same comparison, and nothing is loaded. */
  isWhole(frame: HostTableFrame): Promise<boolean> {
    return this.#inTurn(async () => JSON.stringify(frame) === JSON.stringify(this.#frame) && this.#whole(NO_CHANGES));
  }

  /** Ports that another program has taken for itself. */
  contested(): readonly ContestedPort[] {
    return this.#tasks.contested();
  }

  /** Whether ours are the only nftables tables in the host's namespace: nobody else can count on its forwarding. */
  async aloneInNamespace(): Promise<boolean> {
    const tables = await this.#listObjects('table', 'list tables');
    return tables.every((table) => table.name === this.#options.names.hostTable);
  }

  /**
   * Families in which another daemon of this kind turned forwarding on and guards it, and devices that it told to go on
   * hearing routers: the last one undoes that.
   */
  async sharedForwarding(): Promise<{ readonly families: readonly Family[]; readonly listeners: readonly string[] }> {
    const ours = (await this.#listObjects('set', 'list sets')).filter(
      (set) => set.table?.startsWith(HOST_TABLE_PREFIX) === true,
    );
    const guards = ours.filter((set) => set.name === GUARD_SET);
    const listeners = ours.filter((set) => set.name === LISTENERS_SET).flatMap((set) => set.elem ?? []);
    return {
      families: FAMILIES.filter((family) => guards.some((set) => set.family === nftFamily(family))),
      listeners: listeners.filter((name) => typeof name === 'string'),
    };
  }

  /** Lets go of the sockets; the tables go on working. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#tasks.close();
      for (const family of FAMILIES) await this.#mesh[family].close();
    });
    await this.#connections.close();
    await this.#nftables.close();
  }

  /** Removes the tables. The publisher can then only be closed. */
  removeTable(): Promise<void> {
    const { hostTable } = this.#options.names;
    return this.#inTurn(() => this.#nftables.run(`delete the table ${hostTable}`, removeHostTableText(hostTable)));
  }

  async #listObjects(kind: string, command: string): Promise<readonly ListedObject[]> {
    const listing = await this.#nftables.listJson(command, command, { elements: kind === 'set' });
    return listing.flatMap((entry) => {
      const found = (entry as Readonly<Record<string, ListedObject>>)[kind];
      return found === undefined ? [] : [found];
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  /** Those that have a table. */
  #families(): readonly Family[] {
    return this.#frame?.ipv6 === undefined ? [4] : [4, 6];
  }

  async #install(frame: HostTableFrame): Promise<void> {
    const { names } = this.#options;
    const mesh =
      frame.plan.ingress === undefined
        ? undefined
        : { 4: this.#mesh[4].tableElements(), 6: this.#mesh[6].tableElements() };
    const text = hostTableText({ ...frame, names, elements: this.#tasks.elements(), mesh });
    await this.#nftables.run(`load the table ${names.hostTable}`, text);
    this.#chains = { 4: mesh?.[4].chains ?? 0, 6: mesh?.[6].chains ?? 0 };
    this.#frame = frame;
    this.#listing = await this.#list();
  }

  async #list(): Promise<string> {
    const { hostTable } = this.#options.names;
    const listings: string[] = [];
    for (const family of this.#families()) {
      const command = `list table ${nftFamily(family)} ${hostTable}`;
      listings.push(await this.#nftables.list(`list the table ${hostTable}`, command, { elements: false }));
    }
    return listings.join('');
  }

  /** `pending`: changes of the mesh that are not in the tables yet. */
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
    for (const family of this.#families())
      for (const map of PORT_MAPS) {
        const command = `list map ${nftFamily(family)} ${hostTable} ${map}`;
        const listing = await this.#nftables.listJson(`list the table ${hostTable}`, command, { elements: true });
        found.push(...parseElements(listing).map((one) => `${one.map} ${one.key} : ${one.value}`));
      }
    const wanted = this.#dueNow(this.#tasks.elements()).map(
      (element) => `${mapOf(element.port)} ${elementKey(element.port)} : ${elementValue(element)}`,
    );
    return found.toSorted().join('\n') === wanted.toSorted().join('\n');
  }

  async #meshIsWhole(): Promise<boolean> {
    if (this.#frame?.plan.ingress === undefined) return true;
    for (const family of this.#families()) {
      const { sets } = this.#mesh[family];
      const due = this.#mesh[family].elements();
      for (const map of MESH_MAPS) {
        const found = await listElements(this.#connections, sets[map]);
        if (found.size !== due[map].size) return false;
        for (const [key, value] of due[map]) if (found.get(key) !== value) return false;
      }
    }
    return true;
  }

  async #eachMesh(work: (mesh: MeshPorts) => Promise<MeshPortChanges>): Promise<MeshPortChanges> {
    const changes: MeshPortChanges[] = [];
    for (const family of FAMILIES) {
      const made = await work(this.#mesh[family]);
      if (this.#families().includes(family)) changes.push(made);
    }
    return { groups: changes.flatMap((one) => one.groups), stale: changes.flatMap((one) => one.stale) };
  }

  /** One transaction of a few elements; the whole tables where that is not enough. */
  async #commitMesh({ groups, stale }: MeshPortChanges): Promise<void> {
    if (this.#frame?.plan.ingress !== undefined && groups.length > 0) {
      if (this.#families().some((family) => this.#mesh[family].chainsDue() > this.#chains[family]))
        await this.#install(this.#frame);
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
    await this.#forget(stale);
  }

  /** Those whose table there is. */
  #dueNow(elements: readonly PortElement[]): readonly PortElement[] {
    const families = this.#families();
    return elements.filter((element) => families.includes(elementFamily(element)));
  }

  async #addElements(elements: readonly PortElement[]): Promise<void> {
    const { names } = this.#options;
    const due = this.#dueNow(elements);
    const what = `publish ${elements.map((element) => portText(element.port)).join(', ')}`;
    try {
      await this.#nftables.run(what, addElementsText(names, due));
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Somebody flushed the ruleset since we looked.
      assert(this.#frame !== undefined, 'the table is installed before a port is published');
      await this.#install(this.#frame);
      await this.#nftables.run(what, addElementsText(names, due));
    }
    // Clients that kept sending datagrams to the port before it led anywhere must not stay stuck with that.
    const datagram = due.filter((element) => element.port.protocol === 'udp');
    await this.#forget(
      datagram.map((element) => ({
        ...(elementFamily(element) === 6 ? { family: AF_INET6 } : {}),
        ipProtocol: PROTOCOL_NUMBERS.udp,
        replySourcePort: element.port.publishedPort,
      })),
    );
  }

  async #deleteElements(elements: readonly PortElement[]): Promise<void> {
    const what = `withdraw ${elements.map((element) => portText(element.port)).join(', ')}`;
    try {
      await this.#nftables.run(what, deleteElementsText(this.#options.names, this.#dueNow(elements)));
    } catch (error) {
      // Some of it is gone already: the tables as they should be are right in any case.
      if (!isMissing(error) || this.#frame === undefined) throw error;
      await this.#install(this.#frame);
    }
  }

  /** Connection tracking is cleaned as well as can be: what stays behind runs out by itself. */
  async #forget(flows: readonly FlowFilter[]): Promise<void> {
    if (flows.length === 0) return;
    try {
      await forgetAll(this.#connections, flows);
    } catch (error) {
      this.#options.logger.debug('cannot forget connections', { error: SwarmError.from(error).message });
    }
  }
}

/**
 * The flows that were led to a task by its ports. The kernel cannot choose by IPv6 addresses, and reading its table takes
 * twenty times as long: those are chosen by their ports. What else has the same ones is led where it was before.
 */
function flowsOf(elements: readonly PortElement[]): readonly FlowFilter[] {
  const addresses = new Set(elements.filter((one) => elementFamily(one) === 4).map((one) => one.address));
  return [
    ...[...addresses].map((replySource) => ({ replySource })),
    ...elements
      .filter((one) => elementFamily(one) === 6)
      .map(({ port }) => ({
        family: AF_INET6,
        ipProtocol: PROTOCOL_NUMBERS[port.protocol],
        originalDestinationPort: port.publishedPort,
        replySourcePort: port.targetPort,
      })),
  ];
}

function isMissing(error: unknown): boolean {
  return error instanceof SwarmError && error.cause instanceof NftablesError && error.cause.missing;
}
