/**
 * Statuses of tasks and nodes on their way into the store: gathered from all sessions, committed in transactions of
 * bounded size, one at a time. A status that is out of date by the time it is written is dropped, never forced.
 */

import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import { type Node, type Task, TaskState, type TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { Change, StoreView } from '#manager/store/index.ts';

/** The part of the store that the dispatcher needs. */
export interface DispatcherStore {
  view(): StoreView;
  /** Commits all or nothing; rejects with `out-of-sequence` when an object changed since it was read. */
  commit(changes: readonly Change[]): Promise<void>;
}

export interface PendingStatus {
  readonly nodeId: string;
  readonly taskId: string;
  readonly status: TaskStatus;
}

/** A change of a node object: given the node as it is, the node as it should be, or undefined to leave it. */
export type NodeEdit = (node: Node) => Node | undefined;

interface Pending {
  readonly statuses: readonly PendingStatus[];
  readonly edit: { readonly nodeId: string; readonly apply: NodeEdit } | undefined;
  readonly done: () => void;
}

const CONFLICT_RETRIES = 20;

export class ChangeWriter {
  readonly #store: DispatcherStore;
  readonly #logger: Logger;
  #queue: Pending[] = [];
  #size = 0;
  #writing = false;
  #stopped = false;

  constructor(store: DispatcherStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Statuses that wait to be written. */
  get size(): number {
    return this.#size;
  }

  /** `committed` is called once the statuses are in the store (or were found to be out of date). */
  statuses(statuses: readonly PendingStatus[], committed: () => void): void {
    this.#push({ statuses, edit: undefined, done: committed });
  }

  editNode(nodeId: string, apply: NodeEdit, committed: () => void = () => {}): void {
    this.#push({ statuses: [], edit: { nodeId, apply }, done: committed });
  }

  /** Drops what waits: a new leader hears it again. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
  }

  #push(pending: Pending): void {
    if (this.#stopped) return;
    this.#queue.push(pending);
    this.#size += pending.statuses.length;
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    await Promise.resolve(); // what arrives in the same turn of the loop goes along
    while (this.#queue.length > 0 && !this.#stopped) {
      const batch = this.#take();
      try {
        await this.#commit(batch);
        for (const pending of batch) pending.done();
      } catch (thrown) {
        // Not acknowledged: agents send it again with their next session.
        const error = SwarmError.from(thrown);
        this.#logger.warn('statuses could not be committed', { error: error.message, reason: error.reason });
      }
    }
    this.#writing = false;
  }

  #take(): readonly Pending[] {
    const batch: Pending[] = [];
    let changes = 0;
    for (const pending of this.#queue) {
      const weight = pending.statuses.length + (pending.edit === undefined ? 0 : 1);
      if (batch.length > 0 && changes + weight > LIMITS.CHANGES_PER_TRANSACTION) break;
      changes += weight;
      batch.push(pending);
    }
    this.#queue.splice(0, batch.length);
    for (const pending of batch) this.#size -= pending.statuses.length;
    return batch;
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const changes = this.#changes(batch);
      try {
        for (let from = 0; from < changes.length; from += LIMITS.CHANGES_PER_TRANSACTION)
          await this.#store.commit(changes.slice(from, from + LIMITS.CHANGES_PER_TRANSACTION));
        return;
      } catch (thrown) {
        const error = SwarmError.from(thrown);
        if (error.reason !== 'out-of-sequence' || attempt >= CONFLICT_RETRIES || this.#stopped) throw error;
      }
    }
  }

  /** The changes that the batch makes to the store as it is now. */
  #changes(batch: readonly Pending[]): readonly Change[] {
    const view = this.#store.view();
    const tasks = new Map<string, Task>();
    const nodes = new Map<string, Node>();
    for (const { statuses, edit } of batch) {
      for (const { nodeId, taskId, status } of statuses) {
        const task = tasks.get(taskId) ?? view.get('task', taskId);
        if (task !== undefined && acceptable(task, nodeId, status)) tasks.set(taskId, { ...task, status });
      }
      if (edit === undefined) continue;
      const node = nodes.get(edit.nodeId) ?? view.get('node', edit.nodeId);
      const edited = node === undefined ? undefined : edit.apply(node);
      if (edited !== undefined) nodes.set(edit.nodeId, edited);
    }
    const changes: Change[] = [];
    for (const object of tasks.values()) changes.push({ kind: 'update', table: 'task', object });
    for (const object of nodes.values()) changes.push({ kind: 'update', table: 'node', object });
    return changes;
  }
}

/** Only the task's own node speaks for it, states never go back, and the last word is the last. */
function acceptable(task: Task, nodeId: string, status: TaskStatus): boolean {
  const current = task.status?.state ?? TaskState.NEW;
  if (task.nodeId !== nodeId || status.state < current || status.state < TaskState.ASSIGNED) return false;
  if (current >= TaskState.COMPLETE) return false;
  if (status.state === current) {
    const before = task.status;
    return before === undefined || before.message !== status.message || before.error !== status.error;
  }
  return true;
}
