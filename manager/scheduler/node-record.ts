import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { type GenericResource, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { Area } from './area.ts';
import { GenericTable } from './generic-resources.ts';
import { HostPortTable } from './host-ports.ts';
import type { PlacementRequest } from './placement-request.ts';
import { Tally } from './tally.ts';

const NOTHING_REPELLED = new Tally();

/** What the scheduler knows of a node: the node and what its tasks hold. Changed by the NodeIndex only. */
export class NodeRecord implements Area {
  readonly id: string;
  /** Scatters equal nodes, the same way for everyone who computes it. */
  readonly hash: number;
  node: Node;
  /** Raised with every change of the record: what was computed from an older one is stale. */
  generation = 1;
  removed = false;
  /** Tasks that are wanted here and have not ended. */
  activeTasks = 0;
  /** The same by service. */
  readonly active = new Tally();
  /** Tasks that are to stop and have not ended, by service. */
  readonly stopping = new Tally();
  /** Reserved by tasks that have not ended, wanted or not. */
  cpuReserved = 0;
  memoryReserved = 0;
  readonly ports: HostPortTable;
  readonly generic: GenericTable;
  /** Services that tasks here keep away, by the label of the rule; most nodes have none. */
  readonly #repelled = new Map<string, Tally>();
  /** Priorities that room is made for here, with the number of tasks that make it. */
  readonly #promises = new Map<number, number>();

  constructor(node: Node, ports = new HostPortTable(), generic = new GenericTable()) {
    this.id = node.id;
    this.hash = hashOf(node.id);
    this.node = node;
    this.ports = ports;
    this.generic = generic;
  }

  get cpuTotal(): number {
    return this.node.description?.resources?.cpuNanos ?? 0;
  }

  get memoryTotal(): number {
    return this.node.description?.resources?.memoryBytes ?? 0;
  }

  get genericTotal(): readonly GenericResource[] {
    return this.node.description?.resources?.generic ?? [];
  }

  /** Takes new tasks, as far as its state and its operator are concerned. */
  get isAvailable(): boolean {
    const availability = this.node.spec?.availability ?? NodeAvailability.UNSPECIFIED;
    return (
      !this.removed &&
      this.node.status?.state === NodeState.READY &&
      (availability === NodeAvailability.ACTIVE || availability === NodeAvailability.UNSPECIFIED)
    );
  }

  activeOf(serviceId: string): number {
    return this.active.get(serviceId);
  }

  /** Share of the resources that are reserved, the mean of CPU and memory: 0 to 1. What a node lacks counts as full. */
  get reservedShare(): number {
    const cpu = this.cpuTotal > 0 ? this.cpuReserved / this.cpuTotal : 1;
    const memory = this.memoryTotal > 0 ? this.memoryReserved / this.memoryTotal : 1;
    return (cpu + memory) / 2;
  }

  /** Services that tasks of this node keep away from it. */
  get repelled(): Tally {
    return this.#repelled.get('') ?? NOTHING_REPELLED;
  }

  /** The highest priority that room is made for: tasks of a lower one have to go elsewhere. */
  get promisedPriority(): number {
    let highest = -Infinity;
    for (const priority of this.#promises.keys()) if (priority > highest) highest = priority;
    return highest;
  }

  /** Enters (+1) or takes back (-1) what a task of the request holds while it has not ended. */
  reserve(request: PlacementRequest | undefined, sign: 1 | -1): void {
    this.cpuReserved += sign * (request?.cpuNanos ?? 0);
    this.memoryReserved += sign * (request?.memoryBytes ?? 0);
  }

  promise(priority: number, sign: 1 | -1): void {
    const count = (this.#promises.get(priority) ?? 0) + sign;
    if (count === 0) this.#promises.delete(priority);
    else this.#promises.set(priority, count);
  }

  /** A task here keeps the service away from all nodes with the same value of the label. */
  repel(topology: string, serviceId: string, sign: 1 | -1): void {
    const tally = this.#repelled.get(topology) ?? new Tally();
    tally.add(serviceId, sign);
    if (tally.isEmpty) this.#repelled.delete(topology);
    else this.#repelled.set(topology, tally);
  }

  repelledBy(topology: string): Iterable<readonly [string, number]> {
    return this.#repelled.get(topology)?.entries() ?? [];
  }

  repellingTopologies(): Iterable<string> {
    return this.#repelled.keys();
  }

  /** The same node with the same reservations, to try out what it would be without some of its tasks. */
  trial(): NodeRecord {
    const trial = new NodeRecord(this.node, this.ports.copy(), this.generic.copy());
    trial.cpuReserved = this.cpuReserved;
    trial.memoryReserved = this.memoryReserved;
    return trial;
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** The order among nodes that nothing else tells apart. */
export function compareTies(a: NodeRecord, b: NodeRecord): number {
  if (a.hash !== b.hash) return a.hash < b.hash ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
