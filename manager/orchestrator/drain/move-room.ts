/**
 * How many more of a service's tasks may be on their way at once, whatever the reason: as many as its updates would
 * move, less those that do not do their work already.
 */
import { type Service, type Task, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { isHealthy, isLost, isWanted } from '../task-facts.ts';

export interface ServiceRoom {
  readonly replicas: number;
  /** Slots that do their work in a place where they stay. */
  readonly healthy: number;
  /** Healthy tasks that may be told to leave. */
  left: number;
}

/** Of one plan: what it takes is gone for the rest of it. */
export class MoveRoom {
  readonly #view: StoreView;
  readonly #rooms = new Map<string, ServiceRoom>();
  /** Tasks looked at. */
  looks = 0;

  constructor(view: StoreView) {
    this.#view = view;
  }

  of(service: Service): ServiceRoom {
    const known = this.#rooms.get(service.id);
    if (known !== undefined) return known;
    const replicas = service.spec?.mode?.kind === 'replicated' ? service.spec.mode.value.replicas : 0;
    const slots = this.#slots(service.id);
    const missing = Math.max(0, replicas - slots.healthy - slots.final);
    const room = { replicas, healthy: slots.healthy, left: paceOf(service, replicas) - missing };
    this.#rooms.set(service.id, room);
    return room;
  }

  #slots(serviceId: string): { readonly healthy: number; readonly final: number } {
    const healthy = new Set<number>();
    const wanted = new Set<number>();
    const final = new Set<number>();
    for (const task of this.#view.tasksOfService(serviceId)) {
      this.looks++;
      if (!isWanted(task)) {
        if (task.finalReason !== '') final.add(task.slot);
        continue;
      }
      wanted.add(task.slot);
      if (this.#isInPlace(task)) healthy.add(task.slot);
    }
    // What the restart policy has ended for good is nothing to wait for.
    return { healthy: healthy.size, final: [...final].filter((slot) => !wanted.has(slot)).length };
  }

  #isInPlace(task: Task): boolean {
    return task.evictReason === '' && isHealthy(task) && !isLost(this.#view.get('node', task.nodeId));
  }
}

/** Tasks that may be on the way at once; as with updates, 0 is all of them, and nothing said is one. */
function paceOf(service: Service, replicas: number): number {
  const parallelism = service.spec?.update?.parallelism ?? 1;
  return parallelism === 0 ? replicas : parallelism;
}

/** Its slots are being moved by an update, which has them leave what is drained by itself. */
export function isUpdating({ updateStatus }: Service): boolean {
  const state = updateStatus?.state ?? UpdateState.UNSPECIFIED;
  return state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED;
}
