/**
 * Entries on their way to the file. Those that come within a short time go there together, so that an event costs no flush
 * of the disk of its own, and none while what it tells of is still being done.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { AuditEntry } from './audit-entry.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditConfig } from './config.ts';

export interface EntryQueueOptions {
  readonly log: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
  readonly config: Pick<AuditConfig, 'waiting' | 'gatherMs'>;
  /** Some entries are on the disk. */
  readonly onWritten: () => void;
  /** The file did not take them. Nothing is written any more. */
  readonly onFailed: () => void;
}

export class EntryQueue {
  readonly #options: EntryQueueOptions;
  #waiting: AuditEntry[] = [];
  /** Invariant: set while, and only while, the log has entries of this queue that it has not answered for. */
  #writing: Promise<void> | undefined;
  #cancelGathering: CancelTimer | undefined;
  #failure: SwarmError | undefined;

  constructor(options: EntryQueueOptions) {
    this.#options = options;
  }

  /** They are written after `gatherMs`, with those that come until then. */
  add(entries: readonly AuditEntry[]): void {
    this.#waiting.push(...entries);
    this.#gather();
  }

  /** Resolves when fewer than `waiting` entries wait, or none will be written any more. */
  async room(): Promise<void> {
    const { waiting } = this.#options.config;
    while (this.#waiting.length >= waiting && this.#failure === undefined) {
      this.#flush();
      await this.#writing;
    }
  }

  /** Writes what waits, without waiting for more. Resolves when the log has answered for it, whatever it says. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#flush();
    await this.#writing;
  }

  /**
   * Writes everything now.
   * @throws what the log had against it
   */
  async finish(): Promise<void> {
    while (this.#failure === undefined && (this.#writing !== undefined || this.#waiting.length > 0)) {
      this.#flush();
      await this.#writing;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Forgets what the log has not got yet. Resolves when the log's position counts everything that it got. */
  async drop(): Promise<void> {
    this.#waiting = [];
    this.#stopGathering();
    await this.#writing;
  }

  #gather(): void {
    const { clock, config } = this.#options;
    if (this.#waiting.length === 0 || this.#writing !== undefined || this.#cancelGathering !== undefined) return;
    this.#cancelGathering = clock.setTimer(config.gatherMs, () => this.#flush());
  }

  #stopGathering(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
  }

  #flush(): void {
    if (this.#writing !== undefined || this.#waiting.length === 0 || this.#failure !== undefined) return;
    this.#stopGathering();
    const { log, config, onWritten, onFailed } = this.#options;
    this.#writing = log.append(this.#waiting.splice(0, config.waiting)).then(
      () => {
        this.#writing = undefined;
        onWritten();
        this.#gather();
      },
      (thrown: unknown) => {
        this.#writing = undefined;
        this.#failure = SwarmError.from(thrown);
        onFailed();
      },
    );
  }
}
