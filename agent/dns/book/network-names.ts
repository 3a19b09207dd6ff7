/**
 * The names of one network: an index over its services and endpoints, kept up to date item by item. Pure: no clock, no
 * randomness, no input but the tables.
 */
import type { NetworkEndpoint, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { type HostAddress, parseHostAddresses, parseSubnet, type Subnet, subnetContains } from './host-address.ts';

/**
 * Who a name belongs to, strongest first. A name that a stronger kind has is not answered by a weaker one: nobody takes
 * a service's name, a task's name or `tasks.*` away by choosing it as an alias or host name. Equals share: two services
 * with the same alias both answer. Names of `swarm run` (`own`) are chosen by whoever has a node; those of services by
 * whoever has the swarm.
 */
export const RANKS = ['service', 'slot', 'container', 'alias', 'own', 'hostname'] as const;
export type Rank = (typeof RANKS)[number];

export const TASKS_PREFIX = 'tasks.';
/** As much of a task's id as Docker shows of a container's. */
const SHORT_ID_LENGTH = 12;

export interface EndpointEntry {
  readonly message: NetworkEndpoint;
  readonly addresses: readonly HostAddress[];
}

export interface ServiceEntry {
  readonly message: NetworkService;
  /** Virtual ones; empty in mode dnsrr. */
  readonly addresses: readonly HostAddress[];
}

/** What a name stands for: a service as a whole, every task of it, or one task. */
export type Target =
  | { readonly kind: 'service'; readonly service: ServiceEntry }
  | { readonly kind: 'tasks'; readonly service: ServiceEntry }
  /** `always`: it is named itself, so that it answers before it is healthy and while it drains. */
  | { readonly kind: 'endpoint'; readonly endpoint: EndpointEntry; readonly always: boolean };

export interface Found {
  readonly rank: Rank;
  readonly targets: readonly Target[];
}

interface Claim {
  readonly rank: Exclude<Rank, 'slot'>;
  readonly target: Target;
}

/** Names that come with a claim; empty ones count for nothing. */
type NamedClaims = readonly (readonly [name: string, claim: Claim])[];

const NO_ENDPOINTS: ReadonlyMap<string, EndpointEntry> = new Map();

function claimsOfService(service: ServiceEntry): NamedClaims {
  const target: Target = { kind: 'service', service };
  const alias: Claim = { rank: 'alias', target };
  return [
    [service.message.name, { rank: 'service', target }],
    ...service.message.aliases.map((name) => [name, alias] as const),
  ];
}

function claimsOfEndpoint(endpoint: EndpointEntry): NamedClaims {
  const { containerName, taskId, aliases, hostname, serviceId } = endpoint.message;
  const isOfService = serviceId !== '';
  const target: Target = { kind: 'endpoint', endpoint, always: false };
  const itself: Target = { kind: 'endpoint', endpoint, always: true };
  const container: Claim = { rank: 'container', target: itself };
  const alias: Claim = { rank: isOfService ? 'alias' : 'own', target };
  return [
    [containerName, isOfService ? container : { rank: 'own', target: itself }],
    [taskId, container],
    [taskId.slice(0, SHORT_ID_LENGTH), container],
    ...aliases.map((name) => [name, alias] as const),
    [hostname, { rank: 'hostname', target }],
  ];
}

function sameOwner(left: Target, right: Target): boolean {
  return left.kind === 'endpoint'
    ? right.kind === 'endpoint' && left.endpoint === right.endpoint
    : right.kind !== 'endpoint' && left.service === right.service;
}

export class NetworkNames {
  #table: NetworkTable;
  #subnets: readonly Subnet[] = [];
  readonly #services = new Map<string, ServiceEntry>();
  readonly #endpoints = new Map<string, EndpointEntry>();
  /** Tasks by the id of their service, which may be told of later. */
  readonly #tasks = new Map<string, Map<string, EndpointEntry>>();
  /** Addresses of the tasks that serve, by service; made when first asked for, dropped with every change. */
  readonly #serving = new Map<string, readonly HostAddress[]>();
  /** By name in lower case. Invariant: no list is empty. Lists, not sets: of nearly every name there is one claim. */
  readonly #claims = new Map<string, Claim[]>();
  /** Who has an address, by its key. */
  readonly #owners = new Map<string, Target[]>();

  constructor(table: NetworkTable) {
    this.#table = table;
    this.setTable(table);
  }

  get table(): NetworkTable {
    return this.#table;
  }

  get services(): ReadonlyMap<string, ServiceEntry> {
    return this.#services;
  }

  get endpoints(): ReadonlyMap<string, EndpointEntry> {
    return this.#endpoints;
  }

  setTable(table: NetworkTable): void {
    this.#table = table;
    this.#subnets = table.subnets.flatMap((one) => parseSubnet(one.subnet) ?? []);
  }

  setService(message: NetworkService): void {
    this.removeService(message.serviceId);
    const entry: ServiceEntry = { message, addresses: parseHostAddresses(message.addresses) };
    this.#services.set(message.serviceId, entry);
    this.#claim(claimsOfService(entry), entry.addresses);
  }

  removeService(serviceId: string): void {
    const entry = this.#services.get(serviceId);
    if (entry === undefined) return;
    this.#services.delete(serviceId);
    this.#release(claimsOfService(entry), entry.addresses);
  }

  setEndpoint(told: NetworkEndpoint): void {
    this.removeEndpoint(told.taskId);
    // One copy of the service's id for all of its tasks.
    const serviceId = this.#services.get(told.serviceId)?.message.serviceId ?? told.serviceId;
    const message: NetworkEndpoint = { ...told, serviceId };
    const entry: EndpointEntry = { message, addresses: parseHostAddresses(message.addresses) };
    this.#endpoints.set(message.taskId, entry);
    this.#serving.delete(message.serviceId);
    let tasks = this.#tasks.get(message.serviceId);
    if (tasks === undefined) this.#tasks.set(message.serviceId, (tasks = new Map()));
    tasks.set(message.taskId, entry);
    this.#claim(claimsOfEndpoint(entry), entry.addresses);
  }

  removeEndpoint(taskId: string): void {
    const entry = this.#endpoints.get(taskId);
    if (entry === undefined) return;
    this.#endpoints.delete(taskId);
    this.#serving.delete(entry.message.serviceId);
    const tasks = this.#tasks.get(entry.message.serviceId);
    tasks?.delete(taskId);
    if (tasks?.size === 0) this.#tasks.delete(entry.message.serviceId);
    this.#release(claimsOfEndpoint(entry), entry.addresses);
  }

  /** Whom the name, in lower case, belongs to on this network. */
  find(name: string): Found | undefined {
    const claims = this.#claims.get(name);
    const service = targetsOf(claims, 'service');
    if (service.length > 0) return { rank: 'service', targets: service };
    const dot = name.indexOf('.');
    if (dot > 0) {
      const targets = name.startsWith(TASKS_PREFIX)
        ? this.#taskTargets(name.slice(TASKS_PREFIX.length))
        : this.#slotTargets(name.slice(0, dot), name.slice(dot + 1));
      if (targets.length > 0) return { rank: 'slot', targets };
    }
    if (claims === undefined || name.startsWith(TASKS_PREFIX)) return undefined;
    for (const rank of ['container', 'alias', 'own', 'hostname'] as const) {
      const targets = targetsOf(claims, rank);
      if (targets.length > 0) return { rank, targets };
    }
    return undefined;
  }

  /** Whether a service has the name, so that what stands before it is ours to answer. */
  hasService(name: string): boolean {
    return this.#claims.get(name)?.some((claim) => claim.rank === 'service') === true;
  }

  tasksOf(service: ServiceEntry): Iterable<EndpointEntry> {
    return (this.#tasks.get(service.message.serviceId) ?? NO_ENDPOINTS).values();
  }

  /** Of all tasks of the service that new connections may go to. */
  servingAddresses(service: ServiceEntry): readonly HostAddress[] {
    const { serviceId } = service.message;
    let addresses = this.#serving.get(serviceId);
    if (addresses === undefined) {
      addresses = [...this.tasksOf(service)].flatMap((one) => (one.message.serving ? one.addresses : []));
      this.#serving.set(serviceId, addresses);
    }
    return addresses;
  }

  /** Names of those who have the address, without the network's; empty when nobody has it. */
  namesOf(address: HostAddress): readonly string[] {
    return (this.#owners.get(address.key) ?? []).map(nameOfTarget).filter((name) => name !== '');
  }

  hasAddress(address: HostAddress): boolean {
    return this.#subnets.some((subnet) => subnetContains(subnet, address));
  }

  #taskTargets(name: string): readonly Target[] {
    const claims = this.#claims.get(name);
    const services = targetsOf(claims, 'service');
    return (services.length > 0 ? services : targetsOf(claims, 'alias')).flatMap((target): readonly Target[] =>
      target.kind === 'service' ? [{ kind: 'tasks', service: target.service }] : [],
    );
  }

  /** While a slot changes hands, the task that serves has the name; a task alone has it from its first moment. */
  #slotTargets(slot: string, serviceName: string): readonly Target[] {
    if (!/^[1-9]\d{0,8}$/.test(slot)) return [];
    const found: EndpointEntry[] = [];
    for (const target of targetsOf(this.#claims.get(serviceName), 'service'))
      if (target.kind === 'service')
        for (const endpoint of this.tasksOf(target.service))
          if (endpoint.message.slot === Number(slot)) found.push(endpoint);
    const serving = found.filter((endpoint) => endpoint.message.serving);
    return (serving.length > 0 ? serving : found).map((endpoint) => ({ kind: 'endpoint', endpoint, always: true }));
  }

  #claim(claims: NamedClaims, addresses: readonly HostAddress[]): void {
    for (const [name, claim] of claims) if (name !== '') append(this.#claims, name.toLowerCase(), claim);
    const [first] = claims;
    if (first !== undefined) for (const { key } of addresses) append(this.#owners, key, first[1].target);
  }

  #release(claims: NamedClaims, addresses: readonly HostAddress[]): void {
    const [first] = claims;
    if (first === undefined) return;
    const { target } = first[1];
    for (const [name] of claims) without(this.#claims, name.toLowerCase(), (one) => sameOwner(one.target, target));
    for (const { key } of addresses) without(this.#owners, key, (one) => sameOwner(one, target));
  }
}

function targetsOf(claims: readonly Claim[] | undefined, rank: Rank): readonly Target[] {
  const targets: Target[] = [];
  if (claims !== undefined) for (const claim of claims) if (claim.rank === rank) targets.push(claim.target);
  return targets;
}

function nameOfTarget(target: Target): string {
  if (target.kind !== 'endpoint') return target.service.message.name;
  const { containerName, hostname } = target.endpoint.message;
  return containerName === '' ? hostname : containerName;
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}

function without<T>(lists: Map<string, T[]>, key: string, isGone: (item: T) => boolean): void {
  const rest = lists.get(key)?.filter((item) => !isGone(item)) ?? [];
  if (rest.length === 0) lists.delete(key);
  else lists.set(key, rest);
}
