/**
 * Who holds what in the whole cluster: a cache of what the store says, and on top of it what was asked for and is not in
 * the store yet. What becomes free is noted, so that those who wait for it are looked at again.
 */
import type { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { AddressBook } from './address-book.ts';
import { BlockSet } from './block-set.ts';
import type { Claim } from './claims.ts';
import { INGRESS_VNI, NODE_INDEX_MAX, VNI_MAX } from './config.ts';
import { Holders } from './holders.ts';
import { NumberPool } from './number-pool.ts';

export class Ledger {
  readonly ports = new Holders<string>();
  readonly declaredPorts = new Holders<string>();
  readonly vnis = new NumberPool(INGRESS_VNI + 1, VNI_MAX);
  readonly indexes = new NumberPool(1, NODE_INDEX_MAX);
  readonly blocks = new BlockSet();
  readonly #books = new Map<string, AddressBook>();
  /** Live tasks by network and service. Invariant: no count is 0. */
  readonly #members = new Map<string, number>();
  readonly #networks = new Set<string>();
  /** Networks of which addresses became free, with how many. */
  readonly freedAddresses = new Map<string, number>();
  /** Networks of which more or fewer addresses are taken than before. */
  readonly changedUsage = new Set<string>();
  /** Services whose last live task on some network has ended, and holders of addresses of a network that is gone. */
  readonly withdrawnServices = new Set<string>();
  portFreed = false;
  /** A block, or the identifier of a network. */
  blockFreed = false;

  /** Nothing is held: what was taken was given back. */
  get isEmpty(): boolean {
    return (
      this.ports.isEmpty &&
      this.declaredPorts.isEmpty &&
      this.vnis.isEmpty &&
      this.indexes.isEmpty &&
      this.blocks.isEmpty &&
      this.#members.size === 0 &&
      this.#books.size === 0
    );
  }

  /** The network's addresses, to look at; one that is not known has none. */
  book(networkId: string): AddressBook {
    return this.#books.get(networkId) ?? new AddressBook();
  }

  #ownBook(networkId: string): AddressBook {
    const book = this.book(networkId);
    this.#books.set(networkId, book);
    return book;
  }

  setSubnets(networkId: string, subnets: readonly IpamSubnet[]): void {
    this.#networks.add(networkId);
    this.#ownBook(networkId).setSubnets(subnets);
    this.changedUsage.add(networkId);
  }

  removeNetwork(networkId: string): void {
    this.#networks.delete(networkId);
    for (const holder of this.book(networkId).everyHolder()) this.withdrawnServices.add(holder);
    this.#books.get(networkId)?.setSubnets([]);
    this.#forgetEmpty(networkId);
  }

  /** Live tasks of the service are on the network. */
  hasMembers(networkId: string, serviceId: string): boolean {
    return this.#members.has(`${networkId}/${serviceId}`);
  }

  take(claim: Claim): void {
    switch (claim.kind) {
      case 'address':
        if (this.#ownBook(claim.network).hold(claim.address, claim.holder)) this.changedUsage.add(claim.network);
        break;
      case 'member':
        this.#countMember(`${claim.network}/${claim.holder}`, 1);
        break;
      case 'port':
        this.ports.add(claim.port, claim.holder);
        break;
      case 'declared-port':
        this.declaredPorts.add(claim.port, claim.holder);
        break;
      case 'vni':
        this.vnis.hold(claim.number, claim.holder);
        break;
      case 'index':
        this.indexes.hold(claim.number, claim.holder);
        break;
      case 'block':
        this.blocks.add(claim.prefix, claim.use, claim.holder);
        break;
    }
  }

  give(claim: Claim): void {
    switch (claim.kind) {
      case 'address':
        this.#giveAddress(claim.network, claim.address, claim.holder);
        break;
      case 'member':
        if (this.#countMember(`${claim.network}/${claim.holder}`, -1) === 0) this.withdrawnServices.add(claim.holder);
        break;
      case 'port':
        this.ports.remove(claim.port, claim.holder);
        this.portFreed = true;
        break;
      case 'declared-port':
        this.declaredPorts.remove(claim.port, claim.holder);
        this.portFreed = true;
        break;
      case 'vni':
        this.vnis.drop(claim.number, claim.holder);
        this.blockFreed = true;
        break;
      case 'index':
        this.indexes.drop(claim.number, claim.holder);
        break;
      case 'block':
        this.blocks.remove(claim.prefix, claim.use, claim.holder);
        this.blockFreed = true;
        break;
    }
  }

  #countMember(key: string, by: 1 | -1): number {
    const count = (this.#members.get(key) ?? 0) + by;
    if (count > 0) this.#members.set(key, count);
    else this.#members.delete(key);
    return count;
  }

  /** A holder fewer also counts when others are left: one of them may have waited for that. */
  #giveAddress(networkId: string, address: string, holder: string): void {
    this.#books.get(networkId)?.drop(address, holder);
    this.freedAddresses.set(networkId, (this.freedAddresses.get(networkId) ?? 0) + 1);
    this.changedUsage.add(networkId);
    this.#forgetEmpty(networkId);
  }

  #forgetEmpty(networkId: string): void {
    if (!this.#networks.has(networkId) && this.#books.get(networkId)?.isEmpty === true) this.#books.delete(networkId);
  }
}
