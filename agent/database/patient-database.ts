import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { AgentDatabase, DatabaseWrite, StoredState } from './agent-database.ts';

export interface PatientDatabaseOptions {
  readonly database: AgentDatabase;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly retry?: BackoffOptions;
}

/** A disk that is full stays so for seconds at least; every ten seconds is often enough to notice that it is not. */
const RETRY: BackoffOptions = { baseMs: 1_000, maxMs: 10_000, factor: 2, jitter: 0.5 };

/**
 * Goes on while the disk is full: writes are kept in memory, at most the newest of each record, and are written once
 * there is room. An agent that gave up instead would take the host's healthy containers from the swarm. Should it end
 * meanwhile, the next one lacks these records; what runs is then found by its containers and by what the managers assign.
 */
export class PatientDatabase implements AgentDatabase {
  readonly #options: PatientDatabaseOptions;
  /** Given to the database and not answered yet, in order. */
  #underWay: (readonly DatabaseWrite[])[] = [];
  /** What waits for room; undefined when nothing does. */
  #behind: Backlog | undefined;
  #retry: CancelTimer | undefined;
  #attempts = 0;

  constructor(options: PatientDatabaseOptions) {
    this.#options = options;
  }

  load(): Promise<StoredState> {
    return this.#options.database.load();
  }

  async write(writes: readonly DatabaseWrite[]): Promise<void> {
    if (this.#behind !== undefined) {
      this.#behind.add(writes);
      return;
    }
    this.#underWay.push(writes);
    try {
      await this.#options.database.write(writes);
    } catch (thrown) {
      if (SwarmError.from(thrown).reason !== 'disk-full') throw thrown;
      this.#fallBehind(SwarmError.from(thrown));
    } finally {
      this.#underWay = this.#underWay.filter((one) => one !== writes);
    }
  }

  /** What still has no room is lost. */
  async close(): Promise<void> {
    this.#retry?.();
    const left = this.#behind?.all() ?? [];
    if (left.length > 0) await this.#options.database.write(left).catch(() => {});
    await this.#options.database.close();
  }

  /** All that is under way is written once more, in order, whatever becomes of it: writing twice changes nothing. */
  #fallBehind(error: SwarmError): void {
    if (this.#behind !== undefined) return;
    this.#options.logger.warn('the disk is full: what the agent knows is kept in memory', {
      error: error.message,
      hint: error.hint,
    });
    const backlog = new Backlog();
    for (const writes of this.#underWay) backlog.add(writes);
    this.#behind = backlog;
    this.#attempts = 0;
    this.#schedule();
  }

  #schedule(): void {
    const { clock, random, retry = RETRY } = this.#options;
    this.#retry = clock.setTimer(backoffDelay(retry, this.#attempts++, random), () => void this.#catchUp());
  }

  async #catchUp(): Promise<void> {
    const batch = this.#behind?.all() ?? [];
    try {
      await this.#options.database.write(batch);
    } catch {
      this.#schedule();
      return;
    }
    if (this.#behind?.has(batch) === true) {
      this.#behind = undefined;
      this.#options.logger.info('what the agent knows is on the disk again');
    } else await this.#catchUp();
  }
}

/** Writes in order, of each record only what matters in the end. */
class Backlog {
  readonly #writes = new Map<string, DatabaseWrite>();

  add(writes: readonly DatabaseWrite[]): void {
    for (const write of writes) {
      if (write.kind === 'delete-task')
        for (const key of [`task ${write.taskId}`, `status ${write.taskId}`, keyOf(write)]) this.#writes.delete(key);
      if (write.kind === 'delete-network')
        for (const key of this.#writes.keys())
          if (key.startsWith(`network ${write.networkId} `)) this.#writes.delete(key);
      // A newer one takes the place of the older: a status needs its task before it.
      this.#writes.set(keyOf(write), write);
    }
  }

  all(): readonly DatabaseWrite[] {
    return [...this.#writes.values()];
  }

  /** Whether these are all. */
  has(writes: readonly DatabaseWrite[]): boolean {
    const all = this.all();
    return all.length === writes.length && all.every((write, index) => write === writes[index]);
  }
}

function keyOf(write: DatabaseWrite): string {
  switch (write.kind) {
    case 'put-task':
      return `task ${write.task.id}`;
    case 'put-status':
      return `status ${write.taskId}`;
    case 'delete-task':
      return `no task ${write.taskId}`;
    case 'put-revision':
      return `revision ${write.revision.serviceId} ${write.revision.number}`;
    case 'delete-revision':
      return `revision ${write.serviceId} ${write.number}`;
    case 'put-network-entry':
    case 'delete-network-entry':
      return `network ${write.networkId} ${write.key}`;
    case 'delete-network':
      return `no network ${write.networkId}`;
    case 'put-setting':
      return `setting ${write.key}`;
  }
}
