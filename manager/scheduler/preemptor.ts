import { earliest } from '#common/earliest.ts';
import type { Task } from '#gen/swarm/v1/objects.ts';
import type { SchedulerConfig } from './config.ts';
import type { Filter } from './filters.ts';
import type { NodeIndex } from './node-index.ts';
import type { PlacementRequest } from './placement-request.ts';
import { evictionChanges, PreemptionSearch } from './preemption.ts';
import { nameIn, type Slice } from './slice.ts';
import type { TaskGroup } from './task-group.ts';

export interface PreemptorParts {
  readonly index: () => NodeIndex;
  readonly requestOf: (task: Task) => PlacementRequest | undefined;
  readonly filtersFor: (request: PlacementRequest) => readonly Filter[];
}

/**
 * Makes room for groups that wait and may take the place of others. Each look at the nodes makes room on a few of them,
 * and the next one comes later. Nobody preempts back: only lower priorities leave.
 */
export class Preemptor {
  readonly #config: SchedulerConfig;
  readonly #parts: PreemptorParts;

  constructor(config: SchedulerConfig, parts: PreemptorParts) {
    this.#config = config;
    this.#parts = parts;
  }

  /** When to come back; 'more' when the slice was over before the end. */
  makeRoom(waiting: Iterable<TaskGroup>, slice: Slice): number | undefined | 'more' {
    let wakeAtMs: number | undefined;
    for (const group of waiting) {
      const { request } = group;
      if (request?.preempts !== true) continue;
      if (group.preemption === undefined) {
        if (group.preemptionCursor === this.#parts.index().changes.end) continue;
        if (group.nextPreemptionAtMs > slice.nowMs) {
          wakeAtMs = earliest(wakeAtMs, group.nextPreemptionAtMs);
          continue;
        }
        group.preemption = this.#searchFor(request);
      }
      if (!group.preemption.step(slice.view, slice)) return 'more';
      this.#evictFor(group, request, group.preemption, slice);
      if (group.preemptionCursor < 0) wakeAtMs = earliest(wakeAtMs, group.nextPreemptionAtMs);
    }
    return wakeAtMs;
  }

  #searchFor(request: PlacementRequest): PreemptionSearch {
    const { index, filtersFor, requestOf } = this.#parts;
    return new PreemptionSearch({ index: index(), request, filters: filtersFor(request), requestOf });
  }

  #evictFor(group: TaskGroup, request: PlacementRequest, search: PreemptionSearch, slice: Slice): void {
    const { preemptionsPerLook, preemptionIntervalMs } = this.#config;
    if (search.freeing === 0) group.promises.clear();
    const tasks = [...group.pending.values()].filter(({ id }) => !group.promises.has(id));
    const wanted = Math.min(tasks.length, group.pending.size - search.freeing, preemptionsPerLook);
    const evictions = search.best(slice.view, wanted);
    const nameOf = nameIn(slice.view);
    for (const [place, eviction] of evictions.entries()) {
      const task = tasks[place];
      if (task === undefined) break;
      const count = eviction.victims.length;
      const leaving = count === 1 ? '1 task of lower priority leaves' : `${count} tasks of lower priority leave`;
      const waiting = `${group.reason}; ${leaving} node ${eviction.record.id} for it`;
      group.promises.set(task.id, waiting);
      const words = { serviceName: nameOf(request.serviceId), waiting };
      slice.changes.push(evictionChanges(eviction, task, request, words, slice.nowMs));
    }
    group.preemption = undefined;
    group.preemptionCursor = evictions.length > 0 ? -1 : this.#parts.index().changes.end;
    group.nextPreemptionAtMs = slice.nowMs + preemptionIntervalMs;
  }
}
