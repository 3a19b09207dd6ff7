import { Worker } from 'node:worker_threads';
import { SwarmError } from '#common/errors.ts';
import { NetworkChange } from '#gen/swarm/v1/networks.ts';
import { Revision, Task, TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { AgentDatabase, DatabaseWrite, StoredState } from './agent-database.ts';
import type { LoadedRows, ThreadAnswer, ThreadRequest, ThreadRow } from './database-thread.ts';

/** Beside this module: the source while developing, its own entry in the production build. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './database-thread.ts' : './database-thread.mjs',
  import.meta.url,
);

interface Waiter {
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (error: SwarmError) => void;
}

/** agent.db, behind a thread of its own. */
export class SqliteDatabase implements AgentDatabase {
  readonly #path: string;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiter>();
  #sequence = 0;
  #failure: SwarmError | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#thread = new Worker(THREAD, { workerData: { path }, resourceLimits: { maxYoungGenerationSizeMb: 2 } });
    this.#thread.on('message', (answer: ThreadAnswer) => this.#settle(answer));
    this.#thread.on('error', (error) => this.#fail(error.message));
    this.#thread.on('exit', () => this.#fail('its thread has ended'));
  }

  async load(): Promise<StoredState> {
    const answer = await this.#ask([], { load: true });
    const rows: LoadedRows = answer.loaded ?? { tasks: [], revisions: [], settings: [], networks: [] };
    try {
      return {
        tasks: rows.tasks.map((row) => ({
          task: Task.decode(row.task),
          status: row.status === null ? undefined : TaskStatus.decode(row.status),
          wanted: row.wanted !== 0,
          stopReason: row.stop_reason ?? undefined,
        })),
        revisions: rows.revisions.map((row) => Revision.decode(row.revision)),
        settings: new Map(rows.settings.map((row) => [row.key, row.value])),
        networks: rows.networks.map((row) => NetworkChange.decode(row.change)),
      };
    } catch (cause) {
      throw this.#error(`holds a record that cannot be read`, cause);
    }
  }

  async write(writes: readonly DatabaseWrite[]): Promise<void> {
    if (writes.length > 0) await this.#ask(writes.map(rowOf));
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
    // Listened for first: the thread may be gone by the time its answer is read.
    const gone = new Promise<void>((resolve) => {
      this.#thread.once('exit', () => resolve());
    });
    await this.#ask([], { close: true });
    await gone;
  }

  #ask(rows: readonly ThreadRow[], flags: { load?: boolean; close?: boolean } = {}): Promise<ThreadAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const request: ThreadRequest = { sequence: ++this.#sequence, rows, ...flags };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.sequence, { resolve, reject });
      this.#thread.postMessage(request);
    });
  }

  #settle(answer: ThreadAnswer): void {
    const waiter = this.#waiting.get(answer.sequence);
    this.#waiting.delete(answer.sequence);
    if (answer.error === undefined) waiter?.resolve(answer);
    else waiter?.reject(this.#error(answer.error));
  }

  #fail(message: string): void {
    this.#failure ??= this.#error(message);
    for (const waiter of this.#waiting.values()) waiter.reject(this.#failure);
    this.#waiting.clear();
  }

  #error(message: string, cause?: unknown): SwarmError {
    const full = /full/.test(message);
    return new SwarmError({
      code: full ? 'exhausted' : 'data-loss',
      reason: full ? 'disk-full' : 'corrupt-state',
      message: `the agent's database ${this.#path}: ${message}`,
      hint: full
        ? 'free space on its file system'
        : 'stop swarmd, move the file away and start again: containers of this node are then replaced',
      cause,
    });
  }
}

function rowOf(write: DatabaseWrite): ThreadRow {
  switch (write.kind) {
    case 'put-task': {
      const { task, wanted, stopReason = null } = write;
      return { sql: 'putTask', values: [task.id, Task.encode(task), wanted ? 1 : 0, stopReason] };
    }
    case 'put-status':
      return { sql: 'putStatus', values: [TaskStatus.encode(write.status), write.taskId] };
    case 'delete-task':
      return { sql: 'deleteTask', values: [write.taskId] };
    case 'put-revision': {
      const { revision } = write;
      return { sql: 'putRevision', values: [revision.serviceId, revision.number, Revision.encode(revision)] };
    }
    case 'delete-revision':
      return { sql: 'deleteRevision', values: [write.serviceId, write.number] };
    case 'put-network-entry':
      return { sql: 'putNetworkEntry', values: [write.networkId, write.key, NetworkChange.encode(write.change)] };
    case 'delete-network-entry':
      return { sql: 'deleteNetworkEntry', values: [write.networkId, write.key] };
    case 'delete-network':
      return { sql: 'deleteNetwork', values: [write.networkId] };
    case 'put-setting':
      return { sql: 'putSetting', values: [write.key, write.value] };
  }
}
