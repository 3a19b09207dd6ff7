/**
 * Keeps the audit log of this manager in step with the table of events, from the last event in the file on. The file may
 * fail at any time: what is not written is still in the table, and written when the disk has recovered.
 *
 *   catching up (from the table) --> following (commits) --slow, state replaced, disk failed--> catching up
 */
import { backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { eventPlace, isMissingBefore } from '#manager/events/index.ts';
import type { CommitStream, ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { CommitEvents, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { AuditEntry } from './audit-entry.ts';
import { AuditLog } from './audit-log.ts';
import type { AuditConfig } from './config.ts';
import { EntryQueue } from './entry-queue.ts';
import { type Refusal, RefusalBudget } from './refusals.ts';

export interface AuditWriterOptions {
  readonly directory: string;
  readonly store: Pick<ReplicatedStore, 'view' | 'viewAndWatch'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: AuditConfig;
  /**
   * Resolves when the state is what the swarm has committed, in bounded time. After `kill -9` a manager knows less of that
   * than its file does, which is not a state that was put back.
   */
  readonly caughtUp?: () => Promise<unknown>;
}

export class AuditWriter {
  readonly #options: AuditWriterOptions;
  readonly #closing = new AbortController();
  /** Who closes does not wait for a leader. */
  readonly #closed = new Promise<void>((resolve) => {
    this.#closing.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  readonly #refusals: RefusalBudget;
  #log: AuditLog | undefined;
  #stream: CommitStream | undefined;
  #queue: EntryQueue | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;
  #isCaughtUp = false;
  #wake: (() => void) | undefined;

  constructor(options: AuditWriterOptions) {
    this.#options = options;
    this.#refusals = new RefusalBudget(options.config, options.clock);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Notes that a call was refused, unless too many were in a short time. Never fails. */
  refused(refusal: Refusal): void {
    const log = this.#log;
    const cluster = this.#options.store.view().cluster()?.id;
    // It stands in the record of its own swarm, which begins with a line that says so.
    if (log === undefined || cluster === undefined || log.position.cluster !== cluster) return;
    const entry = this.#refusals.entry(refusal, cluster, this.#options.clock.now());
    if (entry !== undefined) log.append([entry]).catch(() => {}); // the next event meets the same disk, and says so
  }

  /** For who looks into the file: resolves when what this manager knows by now is in it, or is not to be had in there yet. */
  async flush(): Promise<void> {
    await this.#queue?.flush();
  }

  /** Writes what is known by now, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#stream?.close();
    this.#wake?.();
    await this.#running;
    await this.#log?.close();
  }

  async #run(): Promise<void> {
    const { logger, config, random } = this.#options;
    while (!this.#closing.signal.aborted) {
      try {
        await this.#follow();
      } catch (thrown) {
        if (this.#closing.signal.aborted) return;
        const error = SwarmError.from(thrown);
        // Beginning again from the table is all that these ask for.
        if (error.reason === 'version-gone' || error.reason === 'slow-watcher') continue;
        if (error.reason === 'shutting-down') return;
        logger.warn('the audit log cannot be written; what it lacks is written when it can be', {
          error: error.message,
          hint: error.hint,
        });
        await this.#pause(backoffDelay(config.retry, this.#failures++, random));
      }
    }
  }

  async #follow(): Promise<void> {
    const { directory, store, clock, config } = this.#options;
    this.#log ??= await AuditLog.open(directory, config);
    await this.#whenCaughtUp();
    if (this.#closing.signal.aborted) return;
    const { view, commits } = store.viewAndWatch({ filter: isNews });
    this.#stream = commits;
    const queue = new EntryQueue({
      log: this.#log,
      clock,
      config,
      onWritten: () => {
        this.#failures = 0;
      },
      onFailed: () => commits.close(),
    });
    this.#queue = queue;
    try {
      await this.#catchUp(this.#log, view);
      let cluster = view.cluster()?.id ?? '';
      for await (const commit of commits) {
        if (cluster === '') {
          cluster = clusterOf(commit) ?? '';
          if (cluster === '') continue; // there is no swarm yet, and nothing that happened to it
          queue.add([begin(cluster, commit.timeMs)]);
        }
        queue.add(createdIn(commit).map((event) => ({ kind: 'event', cluster, event })));
        await queue.room();
      }
      await queue.finish();
    } finally {
      commits.close();
      // Whoever begins again asks the log where it is, and the table for everything after that.
      await queue.drop();
    }
  }

  /** Without a quorum nothing is committed that the file could lack. */
  async #whenCaughtUp(): Promise<void> {
    const { caughtUp = () => Promise.resolve(), config, random } = this.#options;
    while (!this.#isCaughtUp && !this.#closing.signal.aborted) {
      const attempt = caughtUp().then(
        () => true,
        () => false,
      );
      this.#isCaughtUp = await Promise.race([attempt, this.#closed.then(() => false)]);
      if (!this.#isCaughtUp && !this.#closing.signal.aborted)
        await this.#pause(backoffDelay(config.retry, this.#failures++, random));
    }
    this.#failures = 0;
  }

  /** What the table has and the file has not. */
  async #catchUp(log: AuditLog, view: StoreView): Promise<void> {
    const { clock, config } = this.#options;
    const cluster = view.cluster()?.id;
    if (cluster === undefined) return;
    const entries: AuditEntry[] = [];
    let { lastEvent } = log.position;
    const events = inOrder(view.all('event'));
    const isBack = lastEvent !== '' && isPutBack(view, events[0], lastEvent);
    if (log.position.cluster !== cluster || isBack) {
      entries.push(begin(cluster, clock.now(), isBack && log.position.cluster === cluster));
      lastEvent = '';
    }
    const missing = events.filter(({ id }) => id > lastEvent);
    const [first] = missing;
    if (first !== undefined && lastEvent !== '') {
      const afterVersion = eventPlace(lastEvent).version;
      const place = eventPlace(first.id);
      if (place.version !== afterVersion && isMissingBefore(place, afterVersion))
        entries.push({ kind: 'gap', timeMs: clock.now(), cluster, afterVersion, beforeVersion: place.version });
    }
    for (const event of missing) entries.push({ kind: 'event', cluster, event });
    for (let start = 0; start < entries.length; start += config.waiting)
      await log.append(entries.slice(start, start + config.waiting));
    this.#failures = 0;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      const cancel = this.#options.clock.setTimer(ms, done);
      this.#wake = done;
    });
  }
}

/** The cluster itself is looked at for its id, which the first commit tells. */
function isNews({ table, kind }: StoreEvent): boolean {
  return kind === 'create' && (table === 'event' || table === 'cluster');
}

function createdIn({ events }: CommitEvents): readonly Event[] {
  return events.flatMap((event) => (event.table === 'event' && event.kind === 'create' ? [event.object] : []));
}

function clusterOf({ events }: CommitEvents): string | undefined {
  return events.find(({ table }) => table === 'cluster')?.object.id;
}

function inOrder(events: Iterable<Event>): readonly Event[] {
  return [...events].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The state has not what comes after its oldest event: it is another history by now. */
function isPutBack(view: StoreView, oldest: Event | undefined, lastEvent: string): boolean {
  if (eventPlace(lastEvent).version > view.version) return true;
  return oldest !== undefined && oldest.id < lastEvent && view.get('event', lastEvent) === undefined;
}

function begin(cluster: string, timeMs: number, isBack = false): AuditEntry {
  const message = isBack
    ? 'the state of the swarm was put back to an earlier one'
    : 'this node begins to keep the record of the swarm';
  return { kind: 'begin', timeMs, cluster, message };
}
