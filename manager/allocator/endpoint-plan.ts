/** What a service gets: its published ports, and the addresses that stand for it. */
import { parseIp } from '#common/ip.ts';
import { type Network, type Service, ServiceEndpoint, VirtualAddress } from '#gen/swarm/v1/objects.ts';
import { EndpointMode, type PortConfig } from '#gen/swarm/v1/specs.ts';
import {
  attachmentsOf,
  familiesOf,
  hasVirtualAddresses,
  isIngress,
  isIngressPort,
  isOverlay,
  PROTOCOL_NAMES,
  portKey,
  publishedKey,
} from './attachments.ts';
import { OPEN_PORT_FIRST, OPEN_PORT_LAST } from './config.ts';
import { hashText } from './hash.ts';
import type { Ledger } from './ledger.ts';
import { noAddressLeft, noPortLeft, ofNetwork, portTaken } from './problems.ts';
import { subnetsHave } from './subnets.ts';

export interface EndpointPlan {
  /** Undefined for a service that asks for nothing. */
  readonly endpoint: ServiceEndpoint | undefined;
  /** Networks of which an address is missing. */
  readonly fullNetworks: readonly string[];
  /** Networks that have no addresses to give yet, or are not there. */
  readonly unreadyNetworks: readonly string[];
  readonly waitsForPort: boolean;
}

export interface EndpointDesk {
  readonly ledger: Ledger;
  network(id: string): Network | undefined;
  service(id: string): Service | undefined;
}

/** `have` is what the service has, or has been promised. */
export function planEndpoint(service: Service, have: ServiceEndpoint | undefined, desk: EndpointDesk): EndpointPlan {
  const planner = new EndpointPlanner(service, have, desk);
  const ports = planner.ports();
  const addresses = planner.addresses();
  const { fullNetworks, unreadyNetworks, waitsForPort, problems } = planner;
  const asks = (service.spec?.endpoint?.ports.length ?? 0) > 0 || attachmentsOf(service.spec).length > 0;
  const mode = hasVirtualAddresses(service.spec) ? EndpointMode.VIP : EndpointMode.DNSRR;
  const endpoint =
    asks || addresses.length > 0
      ? ServiceEndpoint.create({ mode, ports, addresses, problem: problems.join('; ') })
      : undefined;
  return { endpoint, fullNetworks, unreadyNetworks, waitsForPort };
}

class EndpointPlanner {
  readonly problems: string[] = [];
  readonly fullNetworks: string[] = [];
  readonly unreadyNetworks: string[] = [];
  waitsForPort = false;
  readonly #service: Service;
  readonly #have: ServiceEndpoint | undefined;
  readonly #desk: EndpointDesk;
  /** Ports of the mesh that this plan has given to the service. */
  readonly #given = new Set<string>();

  constructor(service: Service, have: ServiceEndpoint | undefined, desk: EndpointDesk) {
    this.#service = service;
    this.#have = have;
    this.#desk = desk;
  }

  /** In the order of the spec. Host-mode ports are the scheduler's to give, task by task. */
  ports(): readonly PortConfig[] {
    const wanted = this.#service.spec?.endpoint?.ports ?? [];
    // Those that were named come first: what is open goes around them.
    for (const port of wanted) if (isIngressPort(port) && port.publishedPort > 0) this.#given.add(publishedKey(port));
    const earlier = [...(this.#have?.ports ?? [])];
    const ports: PortConfig[] = [];
    for (const port of wanted) {
      const given = isIngressPort(port) ? this.#portOf(port, earlier) : port;
      if (given !== undefined) ports.push(given);
    }
    return ports;
  }

  #portOf(port: PortConfig, earlier: PortConfig[]): PortConfig | undefined {
    if (port.publishedPort === 0) return this.#openPort(port, earlier);
    const other = this.#otherHolder(publishedKey(port));
    if (other === undefined) return port;
    this.#failPort(portTaken(publishedKey(port), this.#desk.service(other)?.spec?.name ?? other));
    return undefined;
  }

  /** The number that the port had before, or the next free one. */
  #openPort(port: PortConfig, earlier: PortConfig[]): PortConfig | undefined {
    const place = earlier.findIndex((one) => isOpenPort(one) && asksForTheSame(one, port) && this.#isFree(one));
    const [before] = place < 0 ? [] : earlier.splice(place, 1);
    const published = before?.publishedPort ?? this.#freePort(port);
    if (published === undefined) {
      this.#failPort(noPortLeft(PROTOCOL_NAMES[port.protocol], OPEN_PORT_FIRST, OPEN_PORT_LAST));
      return undefined;
    }
    this.#given.add(portKey(published, port.protocol));
    return { ...port, publishedPort: published };
  }

  #freePort(port: PortConfig): number | undefined {
    const { ledger } = this.#desk;
    const size = OPEN_PORT_LAST - OPEN_PORT_FIRST + 1;
    const start = hashText(`${this.#service.id}/${port.targetPort}`) % size;
    for (let step = 0; step < size; step++) {
      const number = OPEN_PORT_FIRST + ((start + step) % size);
      const key = portKey(number, port.protocol);
      if (!ledger.ports.has(key) && !ledger.declaredPorts.has(key) && !this.#given.has(key)) return number;
    }
    return undefined;
  }

  #isFree(port: PortConfig): boolean {
    const key = publishedKey(port);
    return this.#otherHolder(key) === undefined && !this.#given.has(key);
  }

  #otherHolder(key: string): string | undefined {
    return this.#desk.ledger.ports.of(key).find((holder) => holder !== this.#service.id);
  }

  #failPort(problem: string): void {
    this.waitsForPort = true;
    this.problems.push(problem);
  }

  addresses(): readonly VirtualAddress[] {
    const { spec } = this.#service;
    if (!hasVirtualAddresses(spec)) return [];
    const found: VirtualAddress[] = [];
    const wanted = new Set(attachmentsOf(spec).map(({ network }) => network));
    for (const id of wanted) {
      const network = this.#desk.network(id);
      if (network === undefined || !this.#desk.ledger.book(id).covers(familiesOf(network)))
        this.unreadyNetworks.push(id);
      else if (isOverlay(network) && !isIngress(network)) this.#addAddress(network, found);
    }
    // Tasks from before the service left a network still answer there.
    for (const one of this.#have?.addresses ?? [])
      if (!wanted.has(one.network) && this.#stays(one.network)) found.push(one);
    return found;
  }

  #stays(networkId: string): boolean {
    return this.#desk.network(networkId) !== undefined && this.#desk.ledger.hasMembers(networkId, this.#service.id);
  }

  #addAddress(network: Network, found: VirtualAddress[]): void {
    const book = this.#desk.ledger.book(network.id);
    const before = this.#have?.addresses.find((one) => one.network === network.id)?.addresses ?? [];
    const addresses: string[] = [];
    for (const family of familiesOf(network)) {
      const kept = before.find((address) => {
        const ip = parseIp(address);
        const mine = book.isOnly(address, this.#service.id);
        return ip?.family === family && mine && subnetsHave(network.subnets, ip);
      });
      const address = kept ?? book.find(family, `${this.#service.id}/${network.id}`);
      if (address !== undefined) addresses.push(address);
      else if (!this.fullNetworks.includes(network.id)) {
        this.fullNetworks.push(network.id);
        const name = network.spec?.name ?? network.id;
        this.problems.push(ofNetwork(name, noAddressLeft(family, book.usage(family), name)));
      }
    }
    if (addresses.length > 0) found.push(VirtualAddress.create({ network: network.id, addresses }));
  }
}

function isOpenPort(port: PortConfig): boolean {
  return isIngressPort(port) && port.publishedPort >= OPEN_PORT_FIRST && port.publishedPort <= OPEN_PORT_LAST;
}

function asksForTheSame(a: PortConfig, b: PortConfig): boolean {
  return (
    a.targetPort === b.targetPort && a.hostIp === b.hostIp && PROTOCOL_NAMES[a.protocol] === PROTOCOL_NAMES[b.protocol]
  );
}
