/** The slots of the services that moves depend on, counted once and kept up to date: a look costs what has changed. */
import type { Node } from '#gen/swarm/v1/objects.ts';
import type { EventOf, StoreView } from '#manager/store/index.ts';
import { isLost } from '../task-facts.ts';
import { SlotCount } from './slot-count.ts';

export class MoveCounts {
  /** Nodes that can be relied upon. */
  readonly #nodes = new Set<string>();
  readonly #services = new Map<string, SlotCount>();

  clear(): void {
    this.#nodes.clear();
    this.#services.clear();
  }

  /** Of a restore. */
  setNode(node: Node): void {
    if (isLost(node)) this.#nodes.delete(node.id);
    else this.#nodes.add(node.id);
  }

  /** True when it can be relied upon from now on, or cannot any more: which tasks are healthy is another matter then. */
  observeNode({ kind, object }: EventOf<'node'>): boolean {
    const wasThere = this.#nodes.has(object.id);
    if (kind === 'remove') this.#nodes.delete(object.id);
    else this.setNode(object);
    if (wasThere === this.#nodes.has(object.id)) return false;
    this.#services.clear();
    return true;
  }

  observeTask({ kind, object }: EventOf<'task'>): void {
    const count = this.#services.get(object.serviceId);
    if (kind === 'remove') count?.remove(object);
    else count?.set(object);
  }

  /** It may have to be read yet. */
  of(serviceId: string, view: StoreView): SlotCount {
    let count = this.#services.get(serviceId);
    if (count === undefined) {
      count = new SlotCount(view.tasksOfService(serviceId), (nodeId) => this.#nodes.has(nodeId));
      this.#services.set(serviceId, count);
    }
    return count;
  }

  /** Nobody asks for the others any more. */
  keepOnly(serviceIds: ReadonlySet<string>): void {
    for (const id of this.#services.keys()) if (!serviceIds.has(id)) this.#services.delete(id);
  }
}
