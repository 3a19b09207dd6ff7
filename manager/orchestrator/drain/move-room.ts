/**
 * How many more of a service's tasks may be on their way at once, whatever the reason: as many as its updates would
 * move, less those that do not do their work already.
 */
import { type Service, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { MoveCounts } from './move-counts.ts';

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
  readonly #counts: MoveCounts;
  readonly #rooms = new Map<string, ServiceRoom>();
  /** Tasks that may be counted yet. */
  #readsLeft: number;
  /** Tasks looked at. */
  looks = 0;

  /** `readsMax`: tasks that this plan counts; those that are known by their changes cost nothing. */
  constructor(view: StoreView, counts: MoveCounts, readsMax: number) {
    this.#view = view;
    this.#counts = counts;
    this.#readsLeft = readsMax;
  }

  /** Undefined when the service could not be counted to the end: the next plan goes on with it. */
  of(service: Service): ServiceRoom | undefined {
    const known = this.#rooms.get(service.id);
    if (known !== undefined) return known;
    const count = this.#counts.of(service.id, this.#view);
    const reads = count.read(this.#readsLeft);
    this.#readsLeft -= reads;
    this.looks += reads;
    if (!count.isRead) return undefined;
    const replicas = service.spec?.mode?.kind === 'replicated' ? service.spec.mode.value.replicas : 0;
    const missing = Math.max(0, replicas - count.healthy - count.final);
    const room = { replicas, healthy: count.healthy, left: paceOf(service, replicas) - missing };
    this.#rooms.set(service.id, room);
    return room;
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
