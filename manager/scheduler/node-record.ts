import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { HostPortTable } from './host-ports.ts';
import type { PlacementRequest } from './placement-request.ts';

/** What the scheduler knows of a node: the node and what its tasks hold. Changed by the NodeIndex only. */
export class NodeRecord {
  readonly id: string;
  /** Scatters equal nodes, the same way for everyone who computes it. */
  readonly hash: number;
  node: Node;
  /** Raised with every change of the record: what was computed from an older one is stale. */
  generation = 1;
  removed = false;
  /** Tasks that are wanted here and have not ended. */
  activeTasks = 0;
  /** The same by service. Invariant: no entry is 0. */
  readonly activeByService = new Map<string, number>();
  /** Reserved by tasks that have not ended, wanted or not. */
  cpuReserved = 0;
  memoryReserved = 0;
  readonly ports = new HostPortTable();

  constructor(node: Node) {
    this.id = node.id;
    this.hash = hashOf(node.id);
    this.node = node;
  }

  get cpuTotal(): number {
    return this.node.description?.resources?.cpuNanos ?? 0;
  }

  get memoryTotal(): number {
    return this.node.description?.resources?.memoryBytes ?? 0;
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
    return this.activeByService.get(serviceId) ?? 0;
  }

  /** Share of the resources that are reserved, the mean of CPU and memory: 0 to 1. What a node lacks counts as full. */
  get reservedShare(): number {
    const cpu = this.cpuTotal > 0 ? this.cpuReserved / this.cpuTotal : 1;
    const memory = this.memoryTotal > 0 ? this.memoryReserved / this.memoryTotal : 1;
    return (cpu + memory) / 2;
  }

  /** Enters (+1) or takes back (-1) what a task of the request holds while it has not ended. */
  reserve(request: PlacementRequest | undefined, sign: 1 | -1): void {
    this.cpuReserved += sign * (request?.cpuNanos ?? 0);
    this.memoryReserved += sign * (request?.memoryBytes ?? 0);
  }

  /** Counts a wanted task in (+1) or out (-1). */
  countActive(serviceId: string, sign: 1 | -1): void {
    this.activeTasks += sign;
    const count = this.activeOf(serviceId) + sign;
    if (count === 0) this.activeByService.delete(serviceId);
    else this.activeByService.set(serviceId, count);
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
