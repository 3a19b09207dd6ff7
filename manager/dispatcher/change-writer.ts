/**
 * Statuses of tasks and nodes on their way into the store: gathered from all sessions, committed in transactions of
 * bounded size, one at a time. A status that is out of date by the time it is written is dropped, never forced.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ErrorCode, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import { type Node, type Task, type TaskHealth, TaskState, type TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { boundedStatus } from './bounded-status.ts';

/** The part of the store that the dispatcher needs. */
export interface DispatcherStore {
  view(): StoreView;
  /**
   * Commits what `decide` makes of the newest state, which has the changes that are still on their way; all of it or
   * nothing. `decide` may run more than once.
   */
  decide(decide: (view: StoreView) => readonly Change[]): Promise<void>;
}

export interface PendingStatus {
  readonly nodeId: string;
  readonly taskId: string;
  readonly status: TaskStatus;
}

/** A change of a node object: given the node as it is, the node as it should be, or undefined to leave it. */
export type NodeEdit = (node: Node) => Node | undefined;

/** What becomes of something that was handed in: one of the two is called, unless the writer is stopped. */
export interface WriteOutcome {
  /** It is in the store, or was found to be out of date. */
  readonly committed?: () => void;
  /** It is not: whoever handed it in has to see to it that it comes again. */
  readonly failed: () => void;
}

interface Pending {
  /** Invariant: together with the edit at most as many as one transaction takes. */
  readonly statuses: readonly PendingStatus[];
  readonly edit: { readonly nodeId: string; readonly apply: NodeEdit } | undefined;
  readonly outcome: WriteOutcome;
}

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

  statuses(statuses: readonly PendingStatus[], outcome: WriteOutcome): void {
    const size = LIMITS.CHANGES_PER_TRANSACTION;
    for (let from = 0; from === 0 || from < statuses.length; from += size) {
      const { failed } = outcome;
      const isLast = from + size >= statuses.length;
      this.#push({
        statuses: statuses.slice(from, from + size),
        edit: undefined,
        outcome: isLast ? outcome : { failed },
      });
    }
  }

  editNode(nodeId: string, apply: NodeEdit, outcome: WriteOutcome): void {
    this.#push({ statuses: [], edit: { nodeId, apply }, outcome });
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
    await nextTurn(); // what arrives in the same turn of the loop goes along
    while (this.#queue.length > 0 && !this.#stopped) await this.#commit(this.#take());
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
    try {
      await this.#store.decide((view) => this.#changes(batch, view));
      for (const { outcome } of batch) outcome.committed?.();
    } catch (thrown) {
      if (this.#stopped) return;
      const error = SwarmError.from(thrown);
      if (batch.length > 1 && ONE_BY_ONE.has(error.code)) {
        for (const pending of batch) await this.#commit([pending]);
        return;
      }
      this.#logger.warn('statuses could not be committed', { error: error.message, reason: error.reason });
      for (const { outcome } of batch) outcome.failed();
    }
  }

  /** The changes that the batch makes to the store as it is now. */
  #changes(batch: readonly Pending[], view: StoreView): readonly Change[] {
    const tasks = new Map<string, Task>();
    const nodes = new Map<string, Node>();
    for (const { statuses, edit } of batch) {
      for (const { nodeId, taskId, status } of statuses) {
        const task = tasks.get(taskId) ?? view.get('task', taskId);
        if (task !== undefined && acceptable(task, nodeId, status))
          tasks.set(taskId, { ...task, status: boundedStatus(status) });
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

/** Errors that one of the batch may have caused: the others shall not suffer for it. */
const ONE_BY_ONE: ReadonlySet<string> = new Set<ErrorCode>(['invalid', 'exhausted', 'internal']);

/** Only the task's own node speaks for it, states never go back, and the last word is the last. */
function acceptable(task: Task, nodeId: string, status: TaskStatus): boolean {
  const current = task.status?.state ?? TaskState.NEW;
  if (task.nodeId !== nodeId || status.state < current || status.state < TaskState.ASSIGNED) return false;
  if (current >= TaskState.COMPLETE) return false;
  if (status.state === current) {
    const before = task.status;
    return (
      before === undefined ||
      before.message !== status.message ||
      before.error !== status.error ||
      !sameHealth(before.health, status.health)
    );
  }
  return true;
}

/** How often a check has failed in a row is no news by itself. */
function sameHealth(a: TaskHealth | undefined, b: TaskHealth | undefined): boolean {
  return a?.state === b?.state && a?.ready === b?.ready && a?.message === b?.message;
}
