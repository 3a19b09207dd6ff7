/**
 * Statuses on their way to a manager: the last one per task, one batch outstanding at a time. What a batch carried is
 * kept until it is acknowledged, so that a broken session loses nothing.
 */
import { StatusBatch } from '#gen/swarm/v1/dispatcher.ts';
import type { TaskStatus } from '#gen/swarm/v1/objects.ts';

export class StatusReporter {
  readonly #batchSize: number;
  /** Invariant: holds no task that is also in `#outstanding` unless it changed since. */
  readonly #pending = new Map<string, TaskStatus>();
  #outstanding: { readonly batch: number; readonly updates: ReadonlyMap<string, TaskStatus> } | undefined;
  #batch = 0;

  constructor(batchSize: number) {
    this.#batchSize = batchSize;
  }

  put(taskId: string, status: TaskStatus): void {
    this.#pending.set(taskId, status);
  }

  /** The next batch to send, or undefined while one is outstanding or nothing is pending. */
  next(): StatusBatch | undefined {
    if (this.#outstanding !== undefined || this.#pending.size === 0) return undefined;
    const updates = new Map<string, TaskStatus>();
    for (const [taskId, status] of this.#pending) {
      if (updates.size === this.#batchSize) break;
      updates.set(taskId, status);
      this.#pending.delete(taskId);
    }
    this.#outstanding = { batch: ++this.#batch, updates };
    return StatusBatch.create({
      batch: this.#batch,
      updates: [...updates].map(([taskId, status]) => ({ taskId, status })),
    });
  }

  acknowledged(batch: number): void {
    if (this.#outstanding?.batch === batch) this.#outstanding = undefined;
  }

  /** The session broke: what was under way is pending again, unless something newer is. */
  reset(): void {
    for (const [taskId, status] of this.#outstanding?.updates ?? [])
      if (!this.#pending.has(taskId)) this.#pending.set(taskId, status);
    this.#outstanding = undefined;
  }
}
