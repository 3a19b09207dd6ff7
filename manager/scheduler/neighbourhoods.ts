import type { Node } from '#gen/swarm/v1/objects.ts';
import type { AffinityRule } from './affinity-rule.ts';
import type { Area } from './area.ts';
import { labelOf } from './node-attributes.ts';
import type { NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';
import { Tally } from './tally.ts';

interface Domain extends Area {
  readonly records: Set<NodeRecord>;
}

/** What a task counts for, while it has not ended. */
export interface Presence {
  readonly serviceId: string;
  readonly active: boolean;
  readonly request: PlacementRequest | undefined;
}

/**
 * Who is near whom, kept task by task for the labels that rules name. Nodes of an area are told apart by nothing that
 * rules look at: so only what begins or ends to be in an area changes what its nodes are fit for.
 *
 * Invariant: the counts of a domain are the sums over its records.
 */
export class Neighbourhoods {
  readonly #topologies = new Map<string, Topology>();
  /** Services that are named by rules, and those that are to be near themselves: by how many requests. */
  readonly #mentioned = new Tally();
  readonly #selfNear = new Tally();
  /** Wanted tasks on all nodes. */
  readonly #running = new Tally();
  /** For each service that some rule keeps away: the labels of those rules, with the number of tasks. */
  readonly #repelling = new Map<string, Map<string, number>>();
  readonly #records: () => Iterable<NodeRecord>;
  readonly #changed: (record: NodeRecord) => void;

  /** `changed` is told of the nodes whose surroundings have changed. */
  constructor(records: () => Iterable<NodeRecord>, changed: (record: NodeRecord) => void) {
    this.#records = records;
    this.#changed = changed;
  }

  /** From now on the rules of the request are answered. */
  use(request: PlacementRequest): void {
    for (const rule of request.affinities) {
      this.#mentioned.add(rule.serviceId, 1);
      if (isSelfNear(rule, request)) this.#selfNear.add(rule.serviceId, 1);
      if (rule.topology === '') continue;
      const known = this.#topologies.get(rule.topology);
      if (known !== undefined) known.uses++;
      else this.#topologies.set(rule.topology, new Topology(rule.topology, this.#records()));
    }
  }

  /** Takes `use` back. */
  drop(request: PlacementRequest): void {
    for (const rule of request.affinities) {
      this.#mentioned.add(rule.serviceId, -1);
      if (isSelfNear(rule, request)) this.#selfNear.add(rule.serviceId, -1);
      const known = this.#topologies.get(rule.topology);
      if (known !== undefined && --known.uses === 0) this.#topologies.delete(rule.topology);
    }
  }

  /** What counts as near the node; undefined where it has no such label. */
  areaOf(record: NodeRecord, topology: string): Area | undefined {
    return topology === '' ? record : this.#topologies.get(topology)?.domainOf(record);
  }

  /** Whether any task of the service is wanted anywhere. */
  runs(serviceId: string): boolean {
    return this.#running.has(serviceId);
  }

  /** Whether rules name the service: for them a node may get better by a task more. */
  isMentioned(serviceId: string): boolean {
    return this.#mentioned.has(serviceId);
  }

  /** Labels of the rules of tasks that keep the service away from where they are. */
  repellingTopologies(serviceId: string): Iterable<string> {
    return this.#repelling.get(serviceId)?.keys() ?? [];
  }

  /** The node is new, or has changed: it may be in other areas. */
  setRecord(record: NodeRecord): void {
    for (const topology of this.#topologies.values()) this.#tell(topology.setRecord(record));
  }

  removeRecord(record: NodeRecord): void {
    for (const topology of this.#topologies.values()) this.#tell(topology.removeRecord(record));
    for (const [serviceId, count] of record.active.entries()) this.#countRunning(serviceId, -count);
    for (const topology of record.repellingTopologies())
      for (const [serviceId, count] of record.repelledBy(topology)) this.#countRepelling(serviceId, topology, -count);
  }

  /** Counts a task in (+1) or out (-1), on a node that is not removed. */
  apply(record: NodeRecord, { serviceId, active, request }: Presence, sign: 1 | -1): void {
    record[active ? 'active' : 'stopping'].add(serviceId, sign);
    if (active) this.#countRunning(serviceId, sign);
    for (const topology of this.#topologies.values()) {
      const domain = topology.domainOf(record);
      const flipped = domain?.[active ? 'active' : 'stopping'].add(serviceId, sign) === true;
      if (flipped && this.isMentioned(serviceId)) this.#tell(domain?.records ?? []);
    }
    for (const rule of request?.affinities ?? [])
      if (rule.anti && rule.weight === 0 && rule.serviceId !== serviceId) this.#repel(record, rule, sign);
  }

  #repel(record: NodeRecord, rule: AffinityRule, sign: 1 | -1): void {
    record.repel(rule.topology, rule.serviceId, sign);
    this.#countRepelling(rule.serviceId, rule.topology, sign);
    const domain = this.#topologies.get(rule.topology)?.domainOf(record);
    if (domain?.repelled.add(rule.serviceId, sign) === true) this.#tell(domain.records);
  }

  #countRepelling(serviceId: string, topology: string, difference: number): void {
    const labels = this.#repelling.get(serviceId) ?? new Map<string, number>();
    const count = (labels.get(topology) ?? 0) + difference;
    if (count === 0) labels.delete(topology);
    else labels.set(topology, count);
    if (labels.size === 0) this.#repelling.delete(serviceId);
    else this.#repelling.set(serviceId, labels);
  }

  #countRunning(serviceId: string, difference: number): void {
    if (this.#running.add(serviceId, difference) && this.#selfNear.has(serviceId)) this.#tell(this.#records());
  }

  #tell(records: Iterable<NodeRecord>): void {
    for (const record of records) this.#changed(record);
  }
}

function isSelfNear(rule: AffinityRule, request: PlacementRequest): boolean {
  return !rule.anti && rule.serviceId === request.serviceId;
}

/** The nodes by the value of one label. */
class Topology {
  uses = 1;
  readonly #key: string;
  readonly #valueOf: (node: Node) => string;
  readonly #domains = new Map<string, Domain>();
  readonly #places = new Map<NodeRecord, string>();

  constructor(key: string, records: Iterable<NodeRecord>) {
    this.#key = key;
    this.#valueOf = labelOf(key) ?? (() => '');
    for (const record of records) this.setRecord(record);
  }

  domainOf(record: NodeRecord): Domain | undefined {
    const value = this.#places.get(record);
    return value === undefined ? undefined : this.#domains.get(value);
  }

  /** Gives the nodes of the areas that changed by it. */
  setRecord(record: NodeRecord): Iterable<NodeRecord> {
    const value = this.#valueOf(record.node);
    if ((this.#places.get(record) ?? '') === value) return [];
    const left = this.removeRecord(record);
    if (value === '') return left;
    let domain = this.#domains.get(value);
    if (domain === undefined) {
      domain = { active: new Tally(), stopping: new Tally(), repelled: new Tally(), records: new Set() };
      this.#domains.set(value, domain);
    }
    domain.records.add(record);
    this.#places.set(record, value);
    this.#sum(domain, record, 1);
    return [...left, ...domain.records];
  }

  removeRecord(record: NodeRecord): Iterable<NodeRecord> {
    const value = this.#places.get(record);
    const domain = this.domainOf(record);
    if (value === undefined || domain === undefined) return [];
    this.#places.delete(record);
    domain.records.delete(record);
    this.#sum(domain, record, -1);
    if (domain.records.size === 0) this.#domains.delete(value);
    return domain.records;
  }

  #sum(domain: Domain, record: NodeRecord, sign: 1 | -1): void {
    for (const [serviceId, count] of record.active.entries()) domain.active.add(serviceId, sign * count);
    for (const [serviceId, count] of record.stopping.entries()) domain.stopping.add(serviceId, sign * count);
    for (const [serviceId, count] of record.repelledBy(this.#key)) domain.repelled.add(serviceId, sign * count);
  }
}
