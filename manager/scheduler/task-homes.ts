/** Pending tasks whose slot has data on a node: where they go, and which of them are to be placed anew. */
import type { Node, Task } from '#gen/swarm/v1/objects.ts';
import type { EventOf } from '#manager/store/index.ts';
import { type Home, slotKey, VolumeHomes } from '#manager/volumes/index.ts';
import type { PlacementRequest } from './placement-request.ts';

export class TaskHomes {
  readonly #homes = new VolumeHomes();
  /** Pending tasks with named volumes, by slot. Invariant: no entry is empty. */
  readonly #pending = new Map<string, Map<string, Task>>();
  readonly #nodeOf: (id: string) => Node | undefined;

  constructor(nodeOf: (id: string) => Node | undefined) {
    this.#nodeOf = nodeOf;
  }

  clear(): void {
    this.#homes.clear();
    this.#pending.clear();
  }

  /** A task waits for its place. Undefined: it may go anywhere. */
  add(task: Task, request: PlacementRequest | undefined): Home | undefined {
    if (request === undefined || task.slot === 0 || request.volumes.length === 0) return undefined;
    const key = slotKey(task.serviceId, task.slot);
    const tasks = this.#pending.get(key) ?? new Map<string, Task>();
    tasks.set(task.id, task);
    this.#pending.set(key, tasks);
    return this.homeOf(task, request);
  }

  /** It waits no longer. */
  remove(task: Task): void {
    const key = slotKey(task.serviceId, task.slot);
    const tasks = this.#pending.get(key);
    if (tasks?.delete(task.id) === true && tasks.size === 0) this.#pending.delete(key);
  }

  homeOf(task: Task, request: PlacementRequest): Home | undefined {
    return this.#homes.homeOf(task, request.volumes, { name: request.serviceName }, this.#nodeOf);
  }

  /** Gives the tasks that may have to go somewhere else than it was thought. */
  observe(event: EventOf<'volume'>): readonly Task[] {
    const slots = event.kind === 'remove' ? this.#homes.remove(event.object.id) : this.#homes.set(event.object);
    return [...slots].flatMap((key) => [...(this.#pending.get(key)?.values() ?? [])]);
  }

  restore(volume: EventOf<'volume'>['object']): void {
    this.#homes.set(volume);
  }
}

/** Why a task waits for its node. */
export function explainHome({ volume }: Home, node: Node | undefined, why: string): string {
  const name = node?.description?.hostname || (node?.id ?? 'an unknown node');
  return `its volume ${volume} is on node ${name}, where it has to wait: ${why}`;
}
