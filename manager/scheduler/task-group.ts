import type { HeapItem } from '#common/heap.ts';
import type { Task } from '#gen/swarm/v1/objects.ts';
import type { Candidates } from './candidates.ts';
import type { PlacementRequest } from './placement-request.ts';
import type { PreemptionSearch } from './preemption.ts';

/** Tasks of one revision that wait for a node: equal in everything that placement looks at. */
export class TaskGroup implements HeapItem {
  heapIndex = -1;
  readonly key: string;
  readonly pending = new Map<string, Task>();
  /** Undefined while the revision is not known: nothing can be decided. */
  request: PlacementRequest | undefined;
  /** Made when the first task is to be placed, dropped when none waits. */
  candidates: Candidates | undefined;
  /** Why, as it was last counted. Empty before it was. */
  reason = '';
  /** Where the log of changed nodes ended when the reason was counted; -1 before it was. */
  reasonCursor = -1;
  /** Wall clock before which the reason is not counted again; 0 for at once. */
  nextReasonAtMs = 0;
  /** What single tasks say beyond the reason of all: room is made for them. */
  readonly promises = new Map<string, string>();
  /** Looks for tasks that could make room, while it goes on. */
  preemption: PreemptionSearch | undefined;
  /** Where the log of changed nodes ended when such a look found nothing; -1 when there is to be another. */
  preemptionCursor = -1;
  /** Wall clock before which there is no other look. */
  nextPreemptionAtMs = 0;
  /** Tasks may not carry the reason yet. */
  reasonUnwritten = true;

  /** What the task is to say. */
  reasonOf(task: Task): string {
    return this.promises.get(task.id) ?? this.reason;
  }

  constructor(key: string) {
    this.key = key;
  }
}

/** By priority; then small groups first: they are soon done. The rest of the order only has to be the same for everyone. */
export function compareGroups(a: TaskGroup, b: TaskGroup): number {
  return (
    priorityOf(b) - priorityOf(a) || a.pending.size - b.pending.size || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  );
}

function priorityOf(group: TaskGroup): number {
  return group.request?.priority ?? 0;
}
