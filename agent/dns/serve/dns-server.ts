/** Listens for questions on addresses of the host, UDP and TCP, and tries again where it cannot. */
import { createServer, type Server } from 'node:net';
import { openSharedDatagramSocket, stepBack } from '#agent/kernel/datagram-socket.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { DnsServerConfig } from '../config.ts';
import type { QueryHandler } from './query-handler.ts';
import { TcpClients } from './tcp-clients.ts';
import { TokenBuckets } from './token-bucket.ts';
import { questionBatch, UdpQuestions, type UdpQuestionsOptions } from './udp-questions.ts';

export interface DnsServerOptions {
  readonly config: DnsServerConfig;
  readonly handler: QueryHandler;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ListenPlan {
  readonly addresses: readonly string[];
  readonly port: number;
}

/** Bursts while the process is busy with something else wait here: 10,000 questions. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
/** A node has some hundred containers; the addresses are theirs, as others cannot be sent from. */
const ASKERS_MAX = 65_536;
/** Long enough to read what was queued when a socket stepped back. */
const STEP_BACK_MS = 200;

interface Listener {
  readonly address: string;
  readonly port: number;
  questions: UdpQuestions | undefined;
  server: Server | undefined;
  problem: string;
}

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #clients: TcpClients;
  readonly #buckets: TokenBuckets;
  readonly #udp: UdpQuestionsOptions;
  readonly #listeners = new Map<string, Listener>();
  #cancelRetry: CancelTimer | undefined;
  #closed = false;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#buckets = new TokenBuckets(options.config.questionsPerSecond, ASKERS_MAX);
    const { clock, handler, config } = options;
    const admit = (source: string, nowMs = clock.monotonic()): boolean => this.#buckets.take(source, nowMs);
    this.#clients = new TcpClients({ ...options, admit });
    this.#udp = { handler, clock, admit, batch: questionBatch(config) };
  }

  /** TCP connections that are open. */
  get connections(): number {
    return this.#clients.size;
  }

  /** What it cannot listen on, in words; empty when all is well. */
  get problem(): string {
    return [...this.#listeners.values()].flatMap(({ problem }) => (problem === '' ? [] : [problem])).join('; ');
  }

  /** Listens on these and no others. Resolves after one try of each; what failed is tried again and again. */
  async listen(plan: ListenPlan): Promise<void> {
    const wanted = new Map(plan.addresses.map((address) => [`${address} ${plan.port}`, address]));
    for (const [key, listener] of this.#listeners)
      if (!wanted.has(key)) {
        this.#listeners.delete(key);
        this.#stop(listener);
      }
    for (const [key, address] of wanted)
      if (!this.#listeners.has(key))
        this.#listeners.set(key, {
          address,
          port: plan.port,
          questions: undefined,
          server: undefined,
          problem: '',
        });
    await this.#tryAll();
  }

  /** Leaves new questions to another process on the same addresses, answers what is queued, and closes. */
  async retire(): Promise<void> {
    for (const listener of this.#listeners.values()) {
      try {
        if (listener.questions !== undefined) stepBack(listener.questions.descriptor, listener);
      } catch (error) {
        this.#options.logger.warn('cannot leave the questions to another process', { error: String(error) });
      }
      listener.server?.close();
    }
    await new Promise<void>((resolve) => this.#options.clock.setTimer(STEP_BACK_MS, resolve));
    await this.#clients.drain(this.#options.config.tcpIdleMs);
    this.close();
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    for (const listener of this.#listeners.values()) this.#stop(listener);
    this.#listeners.clear();
    this.#clients.close();
  }

  async #tryAll(): Promise<void> {
    if (this.#closed) return;
    await Promise.all([...this.#listeners.values()].map((listener) => this.#start(listener)));
    if (this.problem === '' || this.#closed || this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#options.clock.setTimer(this.#options.config.listenRetryMs, () => {
      this.#cancelRetry = undefined;
      void this.#tryAll();
    });
  }

  async #start(listener: Listener): Promise<void> {
    const { logger } = this.#options;
    try {
      listener.questions ??= new UdpQuestions(openSharedDatagramSocket(listener, RECEIVE_BUFFER_BYTES), this.#udp);
      if (listener.server === undefined) await this.#startTcp(listener);
      if (listener.problem !== '') logger.info('listening after all', { address: listener.address });
      listener.problem = '';
    } catch (error) {
      const problem = `cannot listen on ${listener.address} port ${listener.port}: ${SwarmError.from(error).message}`;
      if (listener.problem !== problem) logger.warn(problem);
      listener.problem = problem;
    }
  }

  #startTcp(listener: Listener): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (connection) => this.#clients.add(connection));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      const { address, port } = listener;
      server.listen({ host: address, port, reusePort: true, exclusive: true }, () => {
        server.off('error', reject);
        server.on('error', () => {});
        listener.server = server;
        resolve();
      });
    });
  }

  #stop(listener: Listener): void {
    listener.questions?.close();
    listener.questions = undefined;
    listener.server?.close();
    listener.server = undefined;
  }
}
