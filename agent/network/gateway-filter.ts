/** The nftables tables of the gateway namespace, and its connections. */
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../kernel/netlink.ts';
import type { NetworkNamespace } from '../kernel/netns.ts';
import { Nftables } from '../kernel/nftables.ts';
import { changeElements, listElements } from '../kernel/nftables-elements.ts';
import { CONFINED_SETS, GATEWAY_TABLE, gatewayTableText } from './gateway-table.ts';
import { familyOfAddress } from './host-ports.ts';
import { FAMILIES, nftFamily } from './host-table.ts';

export class GatewayFilter {
  readonly #logger: Logger;
  readonly #nftables: Nftables;
  readonly #socket: NetlinkSocket;
  /** Addresses of tasks that reach nothing outside. */
  readonly #confined: Set<string>;
  /** How the tables list when they are whole. */
  #listing: string | undefined;

  /** `confined` is the caller's, and outlives the namespace. */
  constructor(namespace: NetworkNamespace, confined: Set<string>, logger: Logger) {
    this.#confined = confined;
    this.#logger = logger;
    this.#nftables = Nftables.open(namespace);
    this.#socket = NetlinkSocket.open(namespace, NETLINK_NETFILTER);
  }

  get nftables(): Nftables {
    return this.#nftables;
  }

  get socket(): NetlinkSocket {
    return this.#socket;
  }

  /** Loads the tables unless they are whole. `hostAddress` is where names are answered. */
  async ensure(hostAddress: string, repaired: string[]): Promise<void> {
    // Tables that are gone cannot be listed.
    if (this.#listing !== undefined && (await this.#list().catch(() => '')) === this.#listing)
      if (await this.#confinedAreWhole()) return;
    const text = gatewayTableText({ hostAddress, confined: [...this.#confined] });
    await this.#nftables.run(`load the table ${GATEWAY_TABLE} of the gateway namespace`, text);
    if (this.#listing !== undefined) repaired.push('filter of the gateway namespace');
    this.#listing = await this.#list();
  }

  /** From now on the task with these addresses reaches nothing outside, or everything again. */
  async confine(addresses: readonly string[], confined: boolean, hostAddress: string): Promise<void> {
    const changed = addresses.filter((address) => this.#confined.has(address) !== confined);
    if (changed.length === 0) return;
    for (const address of changed)
      if (confined) this.#confined.add(address);
      else this.#confined.delete(address);
    const action = confined ? 'add' : 'delete';
    try {
      const changes = changed.map((key) => ({ set: CONFINED_SETS[familyOfAddress(key)], action, key }) as const);
      await changeElements(this.#socket, [changes]);
    } catch (error) {
      this.#logger.warn('the filter of the gateway was not as expected: loading it', {
        error: SwarmError.from(error).message,
      });
      this.#listing = undefined;
      await this.ensure(hostAddress, []);
    }
  }

  async close(): Promise<void> {
    await this.#nftables.close();
    await this.#socket.close();
  }

  async #list(): Promise<string> {
    const listings: string[] = [];
    for (const family of FAMILIES) {
      const command = `list table ${nftFamily(family)} ${GATEWAY_TABLE}`;
      listings.push(
        await this.#nftables.list('list the filter of the gateway namespace', command, { elements: false }),
      );
    }
    return listings.join('');
  }

  async #confinedAreWhole(): Promise<boolean> {
    const found: string[] = [];
    for (const family of FAMILIES) found.push(...(await listElements(this.#socket, CONFINED_SETS[family])).keys());
    return found.length === this.#confined.size && found.every((address) => this.#confined.has(address));
  }
}
