/**
 * Statuses on their way to a manager: the last one per task, one batch outstanding at a time, but for the beginning of a
 * session, which says everything. What a batch carried is kept until it is acknowledged, so that a broken session loses
 * nothing.
 */
import { StatusBatch } from '#gen/swarm/v1/dispatcher.ts';
import type { TaskStatus } from '#gen/swarm/v1/objects.ts';

export class StatusReporter {
  readonly #batchSize: number;
  /** Invariant: holds no task that is also in `#outstanding` unless its status changed since. */
  readonly #pending = new Map<string, TaskStatus>();
  /** By number of the batch, the oldest first. */
  readonly #outstanding = new Map<number, ReadonlyMap<string, TaskStatus>>();
  #batch = 0;

  constructor(batchSize: number) {
    this.#batchSize = batchSize;
  }

  put(taskId: string, status: TaskStatus): void {
    this.#pending.set(taskId, status);
  }

  /** The next batch to send, or undefined while one is outstanding or nothing is pending. */
  next(): StatusBatch | undefined {
    return this.#outstanding.size > 0 || this.#pending.size === 0 ? undefined : this.#take();
  }

  /** All that is pending, at once: as many batches as the tasks of the node make, which it has in memory anyway. */
  all(): readonly StatusBatch[] {
    const batches: StatusBatch[] = [];
    while (this.#pending.size > 0) batches.push(this.#take());
    return batches;
  }

  acknowledged(batch: number): void {
    this.#outstanding.delete(batch);
  }

  /** The session broke: what was under way is pending again, unless something newer is. */
  reset(): void {
    for (const updates of [...this.#outstanding.values()].toReversed())
      for (const [taskId, status] of updates) if (!this.#pending.has(taskId)) this.#pending.set(taskId, status);
    this.#outstanding.clear();
  }

  #take(): StatusBatch {
    const updates = new Map<string, TaskStatus>();
    for (const [taskId, status] of this.#pending) {
      if (updates.size === this.#batchSize) break;
      updates.set(taskId, status);
      this.#pending.delete(taskId);
    }
    this.#outstanding.set(++this.#batch, updates);
    return StatusBatch.create({
      batch: this.#batch,
      updates: [...updates].map(([taskId, status]) => ({ taskId, status })),
    });
  }
}
