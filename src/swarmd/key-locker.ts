/**
 * Keeps the keys on a manager's disk as the cluster wants them: encrypted by its unlock key of now, or in the clear. It
 * compares and acts, so an interruption anywhere is made up for by the next manager part:
 *
 *   keys are not as wanted -> both are written again, together; the log goes on under another key, and so does the file
 *   the log has keys of before -> its files are sealed again, then those keys go
 *   the certificate's key lay in the clear -> another certificate, which has another key
 *
 * So whatever was in the clear on this disk before it was locked is of no use for what comes after.
 */
import type { KeyLock } from '#certs/key-lock.ts';
import { UNLOCK_KEY_BYTES } from '#certs/unlock-key.ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { DataKeys } from '#manager/log/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { newDataKey } from './data-key.ts';
import type { ManagerKeys } from './manager-keys.ts';

export interface KeyLockerConfig {
  /** Between attempts, where a disk is full, no certificate is issued, or files are in use. */
  readonly retry: BackoffOptions;
  /** Keys of before that the log may need at once; with that many, it is not given another. */
  readonly formerKeys: number;
}

export interface KeyLockerOptions {
  readonly store: Pick<ReplicatedStore, 'view' | 'onCommit' | 'onReplaced'>;
  readonly log: Pick<RaftLog, 'rekey' | 'reseal'>;
  readonly keys: ManagerKeys;
  /** Gets another certificate for this node, and with it another key. */
  readonly renew: () => Promise<void>;
  /** Runs when nothing else changes the identity of this node. Rejects when the node is no member any more. */
  readonly turn: <T>(run: () => Promise<T>) => Promise<T>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: KeyLockerConfig;
}

export class KeyLocker {
  readonly #options: KeyLockerOptions;
  readonly #unsubscribe: (() => void)[] = [];
  #closed = false;
  /** The cluster may want something else than it did when the last look began. */
  #isDirty = false;
  #wake: (() => void) | undefined;
  /** Writes keys; never waits for anybody else. */
  #writing: Promise<unknown> = Promise.resolve();
  readonly #settling = new Set<() => void>();
  #failures = 0;
  #problem: SwarmError | undefined;

  constructor(options: KeyLockerOptions) {
    this.#options = options;
  }

  start(): void {
    const { store } = this.#options;
    this.#unsubscribe.push(
      store.onCommit((commit) => {
        if (commit.events.some(({ table }) => table === 'cluster')) this.#look();
      }),
      store.onReplaced(() => this.#look()),
    );
    void this.#run();
  }

  /** Why the keys are not as they should be; undefined when they are, or about to be. */
  get problem(): SwarmError | undefined {
    return this.#problem;
  }

  /** Resolves when both keys are encrypted as the cluster wants, or in the clear; or, with why not, when the time is up. */
  async settled(timeoutMs: number): Promise<SwarmError | undefined> {
    if (!this.#isAsWanted() && !this.#closed) await this.#toldWithin(timeoutMs);
    return this.#isAsWanted() ? undefined : (this.#problem ?? keysPending());
  }

  async #toldWithin(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel();
        this.#settling.delete(done);
        resolve();
      };
      const cancel = this.#options.clock.setTimer(timeoutMs, done);
      this.#settling.add(done);
    });
  }

  /** Ends without waiting for anything but a write that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#unsubscribe) stop();
    this.#look();
    this.#tell();
    await this.#writing;
  }

  #look(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  #isAsWanted(): boolean {
    return this.#options.keys.isLockedBy(wantedLock(this.#options.store.view().cluster()));
  }

  async #run(): Promise<void> {
    const { clock, random, logger, config } = this.#options;
    while (!this.#closed) {
      this.#isDirty = false;
      try {
        const isDone = await this.#pass();
        this.#failures = isDone ? 0 : this.#failures + 1;
        this.#problem = undefined;
      } catch (thrown) {
        if (this.#closed) return;
        this.#failures++;
        this.#problem = keysPending(SwarmError.from(thrown));
        logger.warn(this.#problem.message, { failures: this.#failures });
      }
      if (this.#isDirty || this.#closed) continue;
      await new Promise<void>((resolve) => {
        let cancel: CancelTimer = () => {};
        if (this.#failures > 0)
          cancel = clock.setTimer(backoffDelay(config.retry, this.#failures - 1, random), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  /** One look; whether nothing is left to be done. */
  async #pass(): Promise<boolean> {
    const { keys, log, renew, logger } = this.#options;
    if (!keys.isSettled) await this.#write(() => keys.settle());
    if (!this.#isAsWanted()) await this.#write(() => this.#relock());
    this.#tell();
    if (keys.former > 0) {
      if (!(await log.reseal())) return false;
      await this.#write(() => keys.dropFormer());
      logger.info('nothing on this disk needs a key of before any more');
    }
    if (keys.isLocked && (await keys.isExposed()) && !this.#closed) await renew();
    return true;
  }

  async #relock(): Promise<void> {
    const { keys, log, store, config, logger } = this.#options;
    const lock = wantedLock(store.view().cluster());
    const before = keys.dataKeys;
    const after = lock !== undefined && keys.former < config.formerKeys ? withNewKey(before) : before;
    if (!(await keys.relock(lock, after))) return;
    // Durable by now, so the log may use them, and has to: what comes next drops keys that it does not name.
    if (after !== before) log.rekey(after);
    await keys.settle();
    if (lock === undefined) logger.warn('the keys of this manager are in the clear: it is not locked any more');
    else logger.info('the keys of this manager are encrypted by the unlock key', { version: lock.version });
  }

  /** Runs alone among the changes of the identity, unless this has ended meanwhile. */
  #write(run: () => Promise<void>): Promise<void> {
    return this.#options.turn(async () => {
      if (this.#closed) return;
      const written = run();
      this.#writing = written.catch(() => {});
      await written;
    });
  }

  #tell(): void {
    if (this.#closed || this.#isAsWanted()) for (const done of [...this.#settling]) done();
  }
}

/** What the keys of managers are to be encrypted with; undefined for keys in the clear. */
export function wantedLock(cluster: Cluster | undefined): KeyLock | undefined {
  const { unlockKey } = cluster ?? {};
  if (cluster?.spec?.encryption?.autoLockManagers !== true || unlockKey?.key.length !== UNLOCK_KEY_BYTES)
    return undefined;
  return { key: unlockKey.key, version: unlockKey.version };
}

/** What an operator should know as long as the keys are not as they should be; `cause` is what keeps them from it. */
export function keysPending(cause?: SwarmError): SwarmError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return new SwarmError({
    code: cause?.code ?? 'unavailable',
    reason: cause?.reason ?? 'timeout',
    message: `the keys on the disk of this manager are not as the swarm wants them yet${why}`,
    hint: `${cause?.hint === undefined ? '' : `${cause.hint}; `}it goes on trying, and \`swarm info\` says so as long as it has to`,
    cause,
  });
}

function withNewKey({ current, previous = [] }: DataKeys): DataKeys {
  return { current: newDataKey(), previous: [current, ...previous] };
}
