/**
 * The daemon's side of the resolver: keeps a process of our release running, tells it everything once and every change
 * after that, and says when a change is in force.
 *
 *   idle --start--> seeking --found or started--> telling --acknowledged--> following --process ends--> seeking
 *                      ^---------- with backoff, when anything fails ----------'
 */
import { rename, rm } from 'node:fs/promises';
import type { NetworkApplier, NetworkViews } from '#agent/discovery/index.ts';
import { backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { makePrivateDirectory } from '#common/system/atomic-file.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { type NetworkChange, NetworkChanges, NetworkChangesType, type NetworkProblem } from '#gen/swarm/v1/networks.ts';
import {
  type ResolverAsker,
  ResolverHello,
  type ResolverReply,
  ResolverRetire,
  type ResolverSettings,
  ResolverUpdate,
} from '#gen/swarm/v1/resolver.ts';
import type { ResolverProcessConfig } from '../config.ts';
import { completeUpdates } from '../control/complete-updates.ts';
import { type ResolverFiles, resolverFiles } from '../control/resolver-files.ts';
import { ResolverLink } from './resolver-link.ts';
import { killResolver, type ResolverProgram, startResolver } from './resolver-program.ts';

export interface ResolverProcessOptions {
  /** Of its own, below the run directory. Made when it is missing. */
  readonly directory: string;
  readonly program: ResolverProgram;
  readonly config: ResolverProcessConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** All that the process has to know at its start. */
export interface ResolverContents {
  readonly views: NetworkViews;
  readonly askers: readonly ResolverAsker[];
  readonly settings: ResolverSettings;
}

export type ResolverState = 'idle' | 'seeking' | 'telling' | 'following' | 'closed';

interface Item {
  readonly update: ResolverUpdate;
  readonly settle: (error: SwarmError | undefined) => void;
}

export class ResolverProcess implements NetworkApplier {
  readonly name = 'names';
  readonly #options: ResolverProcessOptions;
  readonly #files: ResolverFiles;
  readonly #askers = new Map<string, ResolverAsker>();
  #views: NetworkViews = new Map();
  #settings: ResolverSettings | undefined;
  #state: ResolverState = 'idle';
  #link: ResolverLink | undefined;
  /**
   * What is to be told. Invariant: whatever is in it is also in `#views`, `#askers` and `#settings`, so that telling
   * everything anew covers it.
   */
  #queue: Item[] = [];
  #isSending = false;
  #maintaining: Promise<void> | undefined;
  readonly #stopping = new AbortController();
  #lastReply: ResolverReply | undefined;

  constructor(options: ResolverProcessOptions) {
    this.#options = options;
    this.#files = resolverFiles(options.directory);
  }

  get state(): ResolverState {
    return this.#state;
  }

  /** Of the process; undefined before it was reached. */
  get pid(): number | undefined {
    return this.#lastReply?.pid;
  }

  /** What does not work beside names: published ports that do not answer on [::1]. */
  get warnings(): readonly string[] {
    return this.#lastReply?.warnings ?? [];
  }

  /**
   * Finds the process, or starts it, and tells it these contents instead of what it knew. Until now one that runs has
   * answered from what an earlier daemon said. Resolves when it answers from them; rejects when that takes too long, and
   * goes on trying by itself.
   */
  async start(contents: ResolverContents): Promise<void> {
    this.#views = contents.views;
    this.#settings = contents.settings;
    for (const asker of contents.askers) this.#askers.set(asker.taskId, asker);
    await makePrivateDirectory(this.#options.directory);
    const told = this.#enqueue(ResolverUpdate.create(), this.#options.config.startTimeoutMs);
    this.#maintaining ??= this.#maintain();
    await told;
  }

  /** A part of discovery: resolves when names are answered by the changes. */
  async apply(
    views: NetworkViews,
    changes: readonly NetworkChange[],
    signal: AbortSignal,
  ): Promise<readonly NetworkProblem[]> {
    this.#views = views;
    const wanted = changes.filter((change) => change.item !== undefined && change.item.kind !== 'peer');
    const size = this.#options.config.changesPerMessage;
    const told: Promise<void>[] = [];
    for (let start = 0; start === 0 || start < wanted.length; start += size) {
      const part = wanted.slice(start, start + size);
      const networks = NetworkChanges.create({
        type: NetworkChangesType.INCREMENTAL,
        version: this.#options.clock.now(),
        changes: part,
      });
      told.push(this.#tell(ResolverUpdate.create({ networks }), signal));
    }
    await Promise.all(told);
    return [];
  }

  /** Lets a container ask, before it is started. */
  async setAsker(asker: ResolverAsker, signal?: AbortSignal): Promise<void> {
    this.#askers.set(asker.taskId, asker);
    await this.#tell(ResolverUpdate.create({ askers: [asker] }), signal);
  }

  async removeAsker(taskId: string, signal?: AbortSignal): Promise<void> {
    if (!this.#askers.delete(taskId)) return;
    await this.#tell(ResolverUpdate.create({ removedAskers: [taskId] }), signal);
  }

  /** Where to listen, the host's resolv.conf, and the ports of [::1]. */
  async configure(settings: ResolverSettings, signal?: AbortSignal): Promise<void> {
    this.#settings = settings;
    await this.#tell(ResolverUpdate.create({ settings }), signal);
  }

  /** Lets go. The process stays and goes on answering. */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#stopping.abort();
    this.#link?.close();
    await this.#maintaining;
    this.#settleAll(closedError());
  }

  /** Ends the process and removes what it kept. Works without `start`, for a daemon that only cleans up. */
  async destroy(): Promise<void> {
    await this.close();
    const { config } = this.#options;
    for (const path of [this.#files.nextSocket, this.#files.socket]) {
      const link = await ResolverLink.open(path);
      if (link !== undefined) await this.#retire(link, true).catch(() => {});
      link?.close();
    }
    await withDeadline(killResolver(this.#files.directory), config.retireTimeoutMs, 'the resolver to end').catch(
      () => {},
    );
    await rm(this.#files.directory, { recursive: true, force: true });
  }

  async #tell(update: ResolverUpdate, signal?: AbortSignal): Promise<void> {
    if (this.#state === 'closed') throw closedError();
    if (this.#state === 'idle') return; // start() will tell it
    signal?.throwIfAborted();
    await this.#enqueue(update, this.#options.config.acknowledgeTimeoutMs, signal);
  }

  /** Rejects after the time, or when aborted; the update is told all the same. */
  #enqueue(update: ResolverUpdate, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    let item: Item | undefined;
    const told = new Promise<void>((resolve, reject) => {
      const settle = (error: SwarmError | undefined): void => {
        signal?.removeEventListener('abort', abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const abort = (): void => settle(closedError());
      signal?.addEventListener('abort', abort);
      item = { update, settle };
      this.#queue.push(item);
      this.#send();
    });
    return withDeadline(told, timeoutMs, 'the resolver to acknowledge a change', this.#options.clock).finally(() => {
      // With nobody to tell, nothing has to be kept for those who gave up: a process is told everything first.
      if (this.#state === 'seeking') this.#queue = this.#queue.filter((queued) => queued !== item);
    });
  }

  #settleAll(error: SwarmError | undefined, items = this.#queue.splice(0)): void {
    for (const item of items) item.settle(error);
  }

  /** Tells what is queued, while there is somebody to tell. */
  #send(): void {
    if (this.#isSending || this.#state !== 'following' || this.#link === undefined || this.#queue.length === 0) return;
    this.#isSending = true;
    void this.#sendQueue(this.#link).finally(() => {
      this.#isSending = false;
      this.#send();
    });
  }

  async #sendQueue(link: ResolverLink): Promise<void> {
    const { config } = this.#options;
    while (this.#queue.length > 0 && this.#link === link) {
      const items = this.#queue.splice(0, config.messagesInFlight);
      await Promise.all(
        items.map(async (item) => {
          try {
            const reply = await this.#request(link, item.update);
            item.settle(reply.problem === '' ? undefined : problemError(reply.problem));
          } catch (error) {
            // Told again with everything else, once a process is there; who waits for it is told so.
            item.settle(SwarmError.from(error));
          }
        }),
      );
    }
  }

  /** A process that does not answer at all is cut off, and found out about by `#maintain`. */
  async #request(link: ResolverLink, update: ResolverUpdate): Promise<ResolverReply> {
    try {
      this.#lastReply = await link.request({ kind: 'update', value: update }, this.#options.config.hangTimeoutMs);
      return this.#lastReply;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  async #maintain(): Promise<void> {
    const { clock, random, logger, config } = this.#options;
    let attempt = 0;
    while (!this.#stopping.signal.aborted) {
      const sinceMs = clock.monotonic();
      try {
        this.#enter('seeking');
        const link = await this.#reach();
        this.#link = link;
        this.#enter('following');
        this.#send();
        await link.closed;
        if (this.#stopping.signal.aborted) return;
        logger.warn('the resolver process ended; starting another');
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const { message, hint } = SwarmError.from(error);
        logger.warn('names are not answered by what is known: the resolver cannot be reached', {
          error: message,
          hint,
        });
      }
      this.#link = undefined;
      attempt = clock.monotonic() - sinceMs > config.stableAfterMs ? 0 : attempt;
      await this.#pause(backoffDelay(config.restart, attempt++, random));
    }
  }

  #enter(state: Exclude<ResolverState, 'idle' | 'closed'>): void {
    if (this.#state !== 'closed') this.#state = state;
  }

  /** A process of our release that knows everything. Throws when there is none. */
  async #reach(): Promise<ResolverLink> {
    await this.#settleUnfinishedReplacement();
    const found = await ResolverLink.open(this.#files.socket);
    const greeting = found === undefined ? undefined : await this.#greet(found);
    if (found === undefined || greeting === undefined) {
      // One that hangs is in the way of the next.
      found?.close();
      await killResolver(this.#files.directory);
      const link = await this.#startAndConnect(false);
      await this.#tellEverything(link);
      return link;
    }
    this.#lastReply = greeting;
    if (greeting.programVersion === this.#options.program.version) {
      await this.#tellEverything(found);
      return found;
    }
    return this.#replace(found, greeting);
  }

  async #greet(link: ResolverLink): Promise<ResolverReply | undefined> {
    const request = { kind: 'hello', value: ResolverHello.create() } as const;
    return link.request(request, this.#options.config.hangTimeoutMs).catch(() => undefined);
  }

  /** The new one answers beside the old one before that is told to go: no question is lost. */
  async #replace(old: ResolverLink, greeting: ResolverReply): Promise<ResolverLink> {
    const { logger, program } = this.#options;
    logger.info('replacing the resolver process', { from: greeting.programVersion, to: program.version });
    let next: ResolverLink;
    try {
      next = await this.#startAndConnect(true);
      await this.#tellEverything(next);
    } catch (error) {
      // Neighbouring releases understand each other.
      logger.warn('the resolver of the last release stays', { error: SwarmError.from(error).message });
      await this.#tellEverything(old);
      return old;
    }
    await this.#retire(old, false).catch((error: unknown) => {
      logger.warn('the resolver of the last release does not go', { error: SwarmError.from(error).message });
    });
    old.close();
    await rename(this.#files.nextSocket, this.#files.socket);
    return next;
  }

  /** A daemon that ended while it replaced a process may have left two, or one that is not at its place yet. */
  async #settleUnfinishedReplacement(): Promise<void> {
    const next = await ResolverLink.open(this.#files.nextSocket);
    if (next === undefined) {
      await rm(this.#files.nextSocket, { force: true });
      return;
    }
    const current = await ResolverLink.open(this.#files.socket);
    if (current === undefined) await rename(this.#files.nextSocket, this.#files.socket);
    else await this.#retire(next, true).catch(() => {});
    current?.close();
    next.close();
  }

  async #startAndConnect(next: boolean): Promise<ResolverLink> {
    const { config, program, clock } = this.#options;
    let hasEnded = false;
    const started = await startResolver(program, this.#files.directory, next);
    void started.ended.then(() => {
      hasEnded = true;
    });
    const path = next ? this.#files.nextSocket : this.#files.socket;
    const endMs = clock.monotonic() + config.startTimeoutMs;
    for (;;) {
      const link = await ResolverLink.open(path);
      if (link !== undefined) return link;
      if (hasEnded || clock.monotonic() > endMs || this.#stopping.signal.aborted)
        throw new SwarmError({
          code: 'unavailable',
          reason: 'network-failed',
          message: hasEnded ? 'the resolver process ended at its start' : 'the resolver process does not come up',
          hint: `see ${this.#files.log}`,
        });
      await this.#pause(config.connectEveryMs);
    }
  }

  /** Everything, and with it whatever is queued by now. What is queued meanwhile is told afterwards. */
  async #tellEverything(link: ResolverLink): Promise<void> {
    this.#enter('telling');
    const { config, clock } = this.#options;
    const covered = this.#queue.splice(0);
    const networks = [...this.#views.values()].map(({ table, services, endpoints }) => ({
      table,
      services: services.values(),
      endpoints: endpoints.values(),
    }));
    const everything = {
      version: clock.now(),
      networks,
      askers: [...this.#askers.values()],
      settings: this.#settings,
    };
    try {
      let problem = '';
      for (const update of completeUpdates(everything, config.changesPerMessage))
        problem = (await this.#request(link, update)).problem;
      this.#settleAll(problem === '' ? undefined : problemError(problem), covered);
    } catch (error) {
      this.#queue.unshift(...covered);
      throw error;
    }
  }

  async #retire(link: ResolverLink, now: boolean): Promise<void> {
    const request = { kind: 'retire', value: ResolverRetire.create({ now }) } as const;
    await link.request(request, this.#options.config.retireTimeoutMs);
  }

  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#options.clock.setTimer(delayMs, done);
      signal.addEventListener('abort', done);
    });
  }
}

function closedError(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'shutting-down', message: 'the resolver is not used any more' });
}

function problemError(problem: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'network-failed',
    message: `names are not answered: ${problem}`,
  });
}
