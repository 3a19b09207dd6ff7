import { randomBytes } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import { SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import { DATA_KEY_BYTES, type Disk, type Log, nodeDisk } from '#manager/log/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { type BackupConfig, DEFAULT_BACKUP_CONFIG } from './config.ts';
import { SaveSchedule, type SaveStatus } from './save-schedule.ts';
import { sealSnapshot } from './saved-snapshot.ts';

export interface BackupsOptions {
  readonly store: Pick<ReplicatedStore, 'view' | 'saved' | 'readBarrier' | 'commit' | 'onCommit' | 'onReplaced'>;
  readonly log: Pick<Log, 'leadership' | 'onLeadership' | 'status'>;
  /** Who holds the log, as known here. */
  readonly members: () => readonly RaftMember[];
  readonly nodeId: string;
  /** Of this daemon. */
  readonly release: string;
  /** Where scheduled saves go. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disk?: Disk;
  readonly freeBytes?: ((directory: string) => Promise<number>) | undefined;
  readonly config?: Partial<BackupConfig>;
}

/** A save that has begun. */
export interface SaveInProgress {
  readonly description: SnapshotDescription;
  /** The bytes of the file, made as they are pulled. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** The feature level that the cluster's snapshot key needs: an older manager would not hide it from its readers. */
const KEY_LEVEL = 2;

/** Saved snapshots on one manager: on request, and by the cluster's schedule. */
export class Backups {
  readonly #options: BackupsOptions;
  readonly #config: BackupConfig;
  readonly #schedule: SaveSchedule;
  readonly #unsubscribe: (() => void)[] = [];
  #makingKey: Promise<void> | undefined;
  #cancelKeyTimer: CancelTimer | undefined;
  #closed = false;

  constructor(options: BackupsOptions) {
    this.#options = options;
    this.#config = { ...DEFAULT_BACKUP_CONFIG, ...options.config };
    const { clock, logger, directory } = options;
    this.#schedule = new SaveSchedule({
      cluster: () => this.#cluster(),
      directory,
      disk: options.disk ?? nodeDisk,
      freeBytes: options.disk === undefined ? (options.freeBytes ?? freeBytesOf) : options.freeBytes,
      reserveBytes: this.#config.reserveBytes,
      syncBytes: this.#config.syncBytes,
      retryMs: this.#config.retryMs,
      clock,
      logger,
      save: async (signal) => {
        const { description, pieces } = await this.save(signal);
        return { version: description.version, pieces };
      },
    });
  }

  /** Once the store has started. */
  start(): void {
    const { store, log } = this.#options;
    this.#unsubscribe.push(
      store.onCommit((commit) => {
        if (commit.events.some(({ table }) => table === 'cluster')) this.#clusterChanged();
      }),
      store.onReplaced(() => this.#clusterChanged()),
      log.onLeadership(() => this.#provideKey()),
    );
    this.#clusterChanged();
  }

  get status(): SaveStatus {
    return this.#schedule.status;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#unsubscribe) stop();
    this.#cancelKeyTimer?.();
    // A key that is being written is left to the store, which is closed next.
    await this.#schedule.close();
  }

  /** The key that saved snapshots of this cluster are sealed with. */
  async key(): Promise<{ readonly key: Uint8Array; readonly cluster: Cluster }> {
    await this.#barrier();
    return this.#keyNow();
  }

  /** The whole state as of some moment after the call. */
  async save(signal?: AbortSignal): Promise<SaveInProgress> {
    await unlessAborted(this.#barrier(), signal);
    const { key, cluster } = await this.#keyNow();
    const { store, log, nodeId, release, clock } = this.#options;
    const { view, chunks } = store.saved();
    const description = SnapshotDescription.create({
      clusterId: cluster.id,
      clusterName: cluster.spec?.name ?? '',
      createdAtMs: Math.floor(clock.now()),
      release,
      featureLevel: cluster.featureLevel,
      version: view.version,
      nodeId,
      logIndex: log.status().appliedIndex,
    });
    const pace = { clock, sliceMs: this.#config.sliceMs };
    const members = this.#options.members();
    return { description, pieces: sealSnapshot({ description, members, chunks }, key, pace, signal) };
  }

  async #barrier(): Promise<void> {
    await this.#options.store.readBarrier({ timeoutMs: this.#config.barrierTimeoutMs });
  }

  #cluster(): Cluster | undefined {
    return this.#options.store.view().cluster();
  }

  async #keyNow(): Promise<{ readonly key: Uint8Array; readonly cluster: Cluster }> {
    this.#provideKey();
    await this.#makingKey;
    const cluster = this.#cluster();
    if (cluster === undefined) throw new SwarmError({ code: 'internal', reason: 'internal', message: 'no cluster' });
    if (cluster.snapshotKey.length === DATA_KEY_BYTES) return { key: cluster.snapshotKey, cluster };
    if (cluster.featureLevel < KEY_LEVEL)
      throw new SwarmError({
        code: 'precondition',
        reason: 'feature-level',
        message: `the swarm is at feature level ${cluster.featureLevel}, saved snapshots need ${KEY_LEVEL}`,
        hint: 'upgrade all managers; the level is raised by itself once all of them have the release',
      });
    throw new SwarmError({
      code: 'unavailable',
      reason: 'not-leader',
      message: 'the swarm has no snapshot key yet: its leader is about to make one',
      hint: 'try again in a moment',
    });
  }

  #clusterChanged(): void {
    this.#provideKey();
    this.#schedule.look();
  }

  /** A cluster that an older release founded has no key: the leader makes one as soon as every manager may know of it. */
  #provideKey(): void {
    const cluster = this.#cluster();
    const isMissing = cluster !== undefined && cluster.snapshotKey.length === 0 && cluster.featureLevel >= KEY_LEVEL;
    if (!isMissing || this.#closed || this.#makingKey !== undefined) return;
    if (this.#options.log.leadership().state !== 'leader') return;
    this.#cancelKeyTimer?.();
    this.#makingKey = this.#makeKey(cluster).finally(() => {
      this.#makingKey = undefined;
    });
  }

  async #makeKey(cluster: Cluster): Promise<void> {
    const { store, clock, logger } = this.#options;
    try {
      const object = { ...cluster, snapshotKey: new Uint8Array(randomBytes(DATA_KEY_BYTES)) };
      await store.commit([{ kind: 'update', table: 'cluster', object }]);
      logger.info('the swarm has a snapshot key now');
    } catch (thrown) {
      logger.debug('the snapshot key could not be written', { error: SwarmError.from(thrown).message });
      if (this.#closed) return;
      this.#cancelKeyTimer = clock.setTimer(this.#config.keyRetryMs, () => this.#provideKey());
    }
  }
}

/** Settles as the work does, or rejects at once when the signal says so: nobody waits for a quorum to be told to stop. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void =>
    aborted.reject(
      new SwarmError({ code: 'cancelled', reason: 'shutting-down', message: 'the snapshot was interrupted' }),
    );
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
