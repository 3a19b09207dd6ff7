/** Everything the resolver process does, put together: what it was told, and the servers that act on it. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ResolverSettings, ResolverUpdate } from '#gen/swarm/v1/resolver.ts';
import { type Asker, NameBook } from '../book/name-book.ts';
import { readResolvConf, usableNameservers } from '../book/resolv-conf.ts';
import type { ResolverConfig } from '../config.ts';
import { Forwarder } from '../forward/forwarder.ts';
import { LoopbackProxy } from '../loopback/loopback-proxy.ts';
import { DnsServer } from '../serve/dns-server.ts';
import { QueryHandler } from '../serve/query-handler.ts';
import { completeUpdates } from './complete-updates.ts';
import { readState, writeState } from './state-file.ts';

const DNS_PORT = 53;

export interface ResolverServiceOptions {
  readonly config: ResolverConfig;
  readonly statePath: string;
  readonly clock: Clock;
  /** Has to be unpredictable. */
  readonly random: Random;
  readonly logger: Logger;
  /** Where other servers listen: 53, but in tests. */
  readonly upstreamPort?: number;
}

export class ResolverService {
  readonly #options: ResolverServiceOptions;
  readonly #forwarder: Forwarder;
  readonly #handler: QueryHandler;
  readonly #server: DnsServer;
  readonly #loopback: LoopbackProxy;
  #book = new NameBook();
  /** What a series of updates that begins with `reset` has brought so far; takes the book's place when it is whole. */
  #next: NameBook | undefined;
  /** The host's servers. */
  #nameservers: readonly string[] = [];
  #cancelSave: CancelTimer | undefined;
  #saving: Promise<void> | undefined;
  #dirty = false;
  #told = false;
  #closed = false;

  constructor(options: ResolverServiceOptions) {
    this.#options = options;
    const { config, clock, random, logger, upstreamPort } = options;
    this.#forwarder = new Forwarder({
      config: config.forwarder,
      clock,
      random,
      ...(upstreamPort === undefined ? {} : { serverPort: upstreamPort }),
    });
    this.#handler = new QueryHandler({
      config: config.server,
      book: () => this.#book,
      forward: (asked, asker) => this.#forwarder.ask(asked, this.#nameserversOf(asker), asker.message.taskId),
      ttlSecondsMax: config.forwarder.ttlSecondsMax,
      random,
      logger,
    });
    this.#server = new DnsServer({ config: config.server, handler: this.#handler, clock, logger });
    this.#loopback = new LoopbackProxy({ config: config.loopback, clock, logger });
  }

  get version(): number {
    return this.#book.version;
  }

  get handler(): QueryHandler {
    return this.#handler;
  }

  /** Why names are not answered, or not everywhere; empty when all is well. */
  get problem(): string {
    return this.#server.problem;
  }

  get warnings(): readonly string[] {
    return this.#loopback.warnings;
  }

  /** Questions and connections that wait for something. */
  get busy(): number {
    return this.#forwarder.waiting + this.#server.connections + this.#loopback.connections;
  }

  /** Goes on from the copy that an earlier process left. */
  async restore(): Promise<void> {
    const book = new NameBook();
    try {
      if (!(await readState(this.#options.statePath, (update) => enter(book, update)))) return;
    } catch (error) {
      // Better than nothing: the daemon sends it all anyway.
      this.#options.logger.warn('the copy of the tables is damaged', { error: SwarmError.from(error).message });
    }
    // The daemon was quicker.
    if (this.#told) return;
    this.#book = book;
    if (book.settings !== undefined) await this.#applySettings(book.settings);
  }

  /** Resolves when questions are answered by it. */
  async apply(update: ResolverUpdate): Promise<void> {
    this.#told = true;
    if (update.reset) this.#next = new NameBook();
    const book = this.#next ?? this.#book;
    enter(book, update);
    if (update.networks?.more === true) return;
    const isNew = book !== this.#book;
    this.#next = undefined;
    this.#book = book;
    const { settings } = book;
    if (settings !== undefined && (isNew || update.settings !== undefined)) await this.#applySettings(settings);
    this.#saveLater();
  }

  /** Leaves new questions and connections to another process and resolves when the last old one is done. */
  async retire(now: boolean): Promise<void> {
    await this.#stopSaving();
    const { retireMs } = this.#options.config;
    await Promise.all([this.#server.retire(), this.#loopback.retire(now ? 0 : retireMs)]);
    this.close();
  }

  close(): void {
    this.#closed = true;
    this.#cancelSave?.();
    this.#server.close();
    this.#loopback.close();
    this.#forwarder.close();
  }

  #nameserversOf(asker: Asker): readonly string[] {
    return asker.nameservers.length > 0 ? asker.nameservers : this.#nameservers;
  }

  async #applySettings(settings: ResolverSettings): Promise<void> {
    const { listenAddresses, listenPort, resolvConf, loopbackPorts } = settings;
    // Asking ourselves would go round in circles.
    const own = new Set(listenAddresses);
    const nameservers = usableNameservers(readResolvConf(resolvConf).nameservers.filter((one) => !own.has(one)));
    if (nameservers.join() !== this.#nameservers.join()) this.#forwarder.forget();
    this.#nameservers = nameservers;
    await Promise.all([
      this.#server.listen({ addresses: listenAddresses, port: listenPort === 0 ? DNS_PORT : listenPort }),
      this.#loopback.serve(loopbackPorts),
    ]);
  }

  #saveLater(): void {
    this.#dirty = true;
    if (this.#saving !== undefined || this.#closed) return;
    this.#cancelSave ??= this.#options.clock.setTimer(this.#options.config.saveDelayMs, () => {
      this.#cancelSave = undefined;
      this.#saving = this.#save().finally(() => {
        this.#saving = undefined;
        if (this.#dirty) this.#saveLater();
      });
    });
  }

  async #save(): Promise<void> {
    const { statePath, config, logger } = this.#options;
    this.#dirty = false;
    const book = this.#book;
    const networks = [...book.networks].map(({ table, services, endpoints }) => ({
      table,
      services: messagesOf(services.values()),
      endpoints: messagesOf(endpoints.values()),
    }));
    const askers = [...messagesOf(book.askers)];
    const everything = { version: book.version, networks, askers, settings: book.settings };
    try {
      await writeState(statePath, completeUpdates(everything, config.saveBatch));
    } catch (error) {
      logger.warn('the copy of the tables cannot be written', { error: SwarmError.from(error).message });
    }
  }

  /** The next process writes the copy from now on. */
  async #stopSaving(): Promise<void> {
    this.#closed = true;
    this.#cancelSave?.();
    this.#dirty = false;
    await this.#saving;
  }
}

function* messagesOf<T>(entries: Iterable<{ readonly message: T }>): Generator<T> {
  for (const { message } of entries) yield message;
}

function enter(book: NameBook, update: ResolverUpdate): void {
  if (update.settings !== undefined) book.setSettings(update.settings);
  for (const taskId of update.removedAskers) book.removeAsker(taskId);
  for (const asker of update.askers) book.setAsker(asker);
  if (update.networks !== undefined) book.applyNetworks(update.networks);
}
