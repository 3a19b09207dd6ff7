/**
 * Who may ask, and what each may be told: built from the tables of the networks that this node needs and from the list of
 * its containers. Pure.
 */
import { type NetworkChange, type NetworkChanges, NetworkChangesType } from '#gen/swarm/v1/networks.ts';
import type { ResolverAsker, ResolverSettings } from '#gen/swarm/v1/resolver.ts';
import { parseHostAddress, parseHostAddresses } from './host-address.ts';
import { NetworkNames } from './network-names.ts';
import { isLoopbackAddress, ndotsOf, usableNameservers } from './resolv-conf.ts';

/** A container of this node. */
export interface Asker {
  /** Tells askers apart; never used again. */
  readonly number: number;
  readonly message: ResolverAsker;
  /** Its own `--dns` servers; empty: the host's. */
  readonly nameservers: readonly string[];
  /** Set an ndots above 0 itself: then names without a dot are for the search list only, and are not asked outside. */
  readonly keepsSingleLabels: boolean;
}

export class NameBook {
  #version = 0;
  #stamp: object = {};
  #askerNumber = 0;
  #settings: ResolverSettings | undefined;
  readonly #networks = new Map<string, NetworkNames>();
  readonly #askers = new Map<string, Asker>();
  /** By key of the address, which is the address itself for IPv4. */
  readonly #byAddress = new Map<string, Asker>();
  /** What each asker sees, made on its first question. Emptied when networks come or go, or an asker changes. */
  readonly #visible = new Map<Asker, readonly NetworkNames[]>();

  /** Commit that the tables stand for. */
  get version(): number {
    return this.#version;
  }

  /** Another object after every change of what askers are told: what was made from the book holds as long as it is the same. */
  get stamp(): object {
    return this.#stamp;
  }

  get settings(): ResolverSettings | undefined {
    return this.#settings;
  }

  get askers(): Iterable<Asker> {
    return this.#askers.values();
  }

  get networks(): Iterable<NetworkNames> {
    return this.#networks.values();
  }

  setSettings(settings: ResolverSettings): void {
    this.#settings = settings;
  }

  setAsker(message: ResolverAsker): void {
    this.removeAsker(message.taskId);
    const options = message.dns?.options ?? [];
    const asker: Asker = {
      number: ++this.#askerNumber,
      message,
      // On the host's loopback stands a server of the host's, not the one that the container means.
      nameservers: usableNameservers(message.dns?.nameservers ?? []).filter((one) => !isLoopbackAddress(one)),
      keepsSingleLabels: (ndotsOf(options) ?? 0) > 0,
    };
    this.#askers.set(message.taskId, asker);
    for (const { key } of parseHostAddresses(message.addresses)) this.#byAddress.set(key, asker);
  }

  removeAsker(taskId: string): void {
    this.#stamp = {};
    const asker = this.#askers.get(taskId);
    if (asker === undefined) return;
    this.#askers.delete(taskId);
    this.#visible.delete(asker);
    for (const { key } of parseHostAddresses(asker.message.addresses))
      if (this.#byAddress.get(key) === asker) this.#byAddress.delete(key);
  }

  /** Whoever has the source address; undefined for strangers, who are told nothing. */
  askerAt(address: string): Asker | undefined {
    const found = this.#byAddress.get(address);
    if (found !== undefined || !address.includes(':')) return found;
    const parsed = parseHostAddress(address);
    return parsed === undefined ? undefined : this.#byAddress.get(parsed.key);
  }

  /** The networks whose names the asker sees. Never the ingress network, which tasks share without knowing each other. */
  networksOf(asker: Asker): readonly NetworkNames[] {
    let networks = this.#visible.get(asker);
    if (networks === undefined) {
      const ids = [...new Set(asker.message.networkIds)];
      networks = ids.flatMap((id) => this.#networks.get(id) ?? []).filter((network) => !network.table.ingress);
      this.#visible.set(asker, networks);
    }
    return networks;
  }

  /**
   * Whether its other questions go outside: not from a container that is on internal networks only (what it asks would
   * leave by the host, past the wall around it). A network that is not known counts as internal.
   */
  mayForward(asker: Asker): boolean {
    let confined = false;
    for (const id of asker.message.networkIds) {
      const table = this.#networks.get(id)?.table;
      if (table?.ingress === true) continue;
      if (table?.internal === false) return true;
      confined = true;
    }
    return !confined;
  }

  /** Applies the changes whole. Items of tables that are not there are left out. */
  applyNetworks(changes: NetworkChanges): void {
    this.#stamp = {};
    if (changes.type === NetworkChangesType.COMPLETE) this.#networks.clear();
    for (const change of changes.changes) this.#applyChange(change);
    this.#version = changes.version;
    this.#visible.clear();
  }

  #applyChange({ networkId, remove, item }: NetworkChange): void {
    const network = this.#networks.get(networkId);
    switch (item?.kind) {
      case 'table':
        if (remove) this.#networks.delete(networkId);
        else if (network === undefined) this.#networks.set(networkId, new NetworkNames(item.value));
        else network.setTable(item.value);
        return;
      case 'service':
        if (remove) network?.removeService(item.value.serviceId);
        else network?.setService(item.value);
        return;
      case 'endpoint':
        if (remove) network?.removeEndpoint(item.value.taskId);
        else network?.setEndpoint(item.value);
        return;
      case 'peer': // has no name
      case undefined: // of a newer release
        return;
    }
  }
}
