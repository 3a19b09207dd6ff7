/**
 * What the agent knows across restarts: its tasks with their last status, the revisions they run, the tables of their
 * networks, a few settings. The
 * seam has two sides: `SqliteDatabase` for real, `MemoryDatabase` for tests of scale.
 */
import type { NetworkChange } from '#gen/swarm/v1/networks.ts';
import type { Revision, Task, TaskStatus } from '#gen/swarm/v1/objects.ts';

export interface StoredTask {
  readonly task: Task;
  readonly status: TaskStatus | undefined;
  /** False: the manager has taken the assignment back and removal has not finished. */
  readonly wanted: boolean;
  /** Why this node itself brings it to an end; undefined while it does not. */
  readonly stopReason: string | undefined;
}

export interface StoredState {
  readonly tasks: readonly StoredTask[];
  readonly revisions: readonly Revision[];
  readonly settings: ReadonlyMap<string, string>;
  /** Changes that make the tables of networks from nothing, in no order. */
  readonly networks: readonly NetworkChange[];
}

export type DatabaseWrite =
  | {
      readonly kind: 'put-task';
      readonly task: Task;
      readonly wanted: boolean;
      readonly stopReason: string | undefined;
    }
  | { readonly kind: 'put-status'; readonly taskId: string; readonly status: TaskStatus }
  | { readonly kind: 'delete-task'; readonly taskId: string }
  | { readonly kind: 'put-revision'; readonly revision: Revision }
  | { readonly kind: 'delete-revision'; readonly serviceId: string; readonly number: number }
  /** `key` is unique within the network. */
  | {
      readonly kind: 'put-network-entry';
      readonly networkId: string;
      readonly key: string;
      readonly change: NetworkChange;
    }
  | { readonly kind: 'delete-network-entry'; readonly networkId: string; readonly key: string }
  /** With all its entries. */
  | { readonly kind: 'delete-network'; readonly networkId: string }
  | { readonly kind: 'put-setting'; readonly key: string; readonly value: string };

export interface AgentDatabase {
  load(): Promise<StoredState>;
  /** Resolves once the writes survive the end of this process. Writes take effect in the order of the calls. */
  write(writes: readonly DatabaseWrite[]): Promise<void>;
  close(): Promise<void>;
}

/** Forgets everything with the process. */
export class MemoryDatabase implements AgentDatabase {
  readonly #tasks = new Map<string, StoredTask>();
  readonly #revisions = new Map<string, Revision>();
  readonly #settings = new Map<string, string>();
  readonly #networks = new Map<string, Map<string, NetworkChange>>();

  async load(): Promise<StoredState> {
    return {
      tasks: [...this.#tasks.values()],
      revisions: [...this.#revisions.values()],
      settings: new Map(this.#settings),
      networks: [...this.#networks.values()].flatMap((entries) => [...entries.values()]),
    };
  }

  async write(writes: readonly DatabaseWrite[]): Promise<void> {
    for (const write of writes) this.#apply(write);
  }

  #apply(write: DatabaseWrite): void {
    switch (write.kind) {
      case 'put-task': {
        const status = this.#tasks.get(write.task.id)?.status;
        const { task, wanted, stopReason } = write;
        this.#tasks.set(task.id, { task, status, wanted, stopReason });
        return;
      }
      case 'put-status': {
        const stored = this.#tasks.get(write.taskId);
        if (stored !== undefined) this.#tasks.set(write.taskId, { ...stored, status: write.status });
        return;
      }
      case 'delete-task':
        this.#tasks.delete(write.taskId);
        return;
      case 'put-revision':
        this.#revisions.set(`${write.revision.serviceId}/${write.revision.number}`, write.revision);
        return;
      case 'delete-revision':
        this.#revisions.delete(`${write.serviceId}/${write.number}`);
        return;
      case 'put-network-entry': {
        const entries = this.#networks.get(write.networkId) ?? new Map<string, NetworkChange>();
        this.#networks.set(write.networkId, entries.set(write.key, write.change));
        return;
      }
      case 'delete-network-entry':
        this.#networks.get(write.networkId)?.delete(write.key);
        return;
      case 'delete-network':
        this.#networks.delete(write.networkId);
        return;
      case 'put-setting':
        this.#settings.set(write.key, write.value);
        return;
    }
  }

  async close(): Promise<void> {}
}
