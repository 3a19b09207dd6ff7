/** What a revision asks of a node because of the networks that its tasks join. */
import type { Cluster, Network } from '#gen/swarm/v1/objects.ts';
import { isIngress } from '#manager/allocator/index.ts';
import type { PlacementRequest } from './placement-request.ts';

/** Which networks are encrypted between nodes; it is in the networks and the cluster, not in revisions. */
export class NetworkNeeds {
  readonly #encrypted = new Set<string>();
  #ingressId = '';
  #encryptsAll = false;

  clear(): void {
    this.#encrypted.clear();
    this.#ingressId = '';
    this.#encryptsAll = false;
  }

  /** True when it makes a difference. */
  setCluster(cluster: Cluster | undefined): boolean {
    const encryptsAll = cluster?.spec?.network?.encryptDataPath === true;
    const changed = encryptsAll !== this.#encryptsAll;
    this.#encryptsAll = encryptsAll;
    return changed;
  }

  /** The options of a network never change. */
  setNetwork(network: Network): void {
    if (isIngress(network)) this.#ingressId = network.id;
    const option = network.spec?.driverOptions['encrypted'];
    if (option !== undefined && option !== 'false') this.#encrypted.add(network.id);
  }

  removeNetwork(id: string): void {
    this.#encrypted.delete(id);
    if (this.#ingressId === id) this.#ingressId = '';
  }

  /** The tasks join networks that reach other nodes. */
  needsNetworks({ networks, ingress }: PlacementRequest): boolean {
    return networks.length > 0 || ingress;
  }

  needsEncryption(request: PlacementRequest): boolean {
    if (this.#encryptsAll) return this.needsNetworks(request);
    if (this.#encrypted.size === 0) return false;
    if (request.ingress && this.#encrypted.has(this.#ingressId)) return true;
    return request.networks.some((id) => this.#encrypted.has(id));
  }
}
