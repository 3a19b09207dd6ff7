/** Listens for questions on addresses of the host, UDP and TCP, and tries again where it cannot. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, isIPv6, type Server } from 'node:net';
import { openSharedDatagramSocket, stepBack } from '#agent/kernel/datagram-socket.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { DnsServerConfig } from '../config.ts';
import type { QueryHandler } from './query-handler.ts';
import { TcpClients } from './tcp-clients.ts';
import { TokenBuckets } from './token-bucket.ts';

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
  socket: Socket | undefined;
  descriptor: number;
  server: Server | undefined;
  problem: string;
}

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #clients: TcpClients;
  readonly #buckets: TokenBuckets;
  readonly #listeners = new Map<string, Listener>();
  #cancelRetry: CancelTimer | undefined;
  #closed = false;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#buckets = new TokenBuckets(options.config.questionsPerSecond, ASKERS_MAX);
    this.#clients = new TcpClients({ ...options, admit: (source) => this.#admit(source) });
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
          socket: undefined,
          descriptor: -1,
          server: undefined,
          problem: '',
        });
    await this.#tryAll();
  }

  /** Leaves new questions to another process on the same addresses, answers what is queued, and closes. */
  async retire(): Promise<void> {
    for (const listener of this.#listeners.values()) {
      try {
        if (listener.socket !== undefined) stepBack(listener.descriptor, listener);
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

  #admit(source: string): boolean {
    return this.#buckets.take(source, this.#options.clock.monotonic());
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
      if (listener.socket === undefined) await this.#startUdp(listener);
      if (listener.server === undefined) await this.#startTcp(listener);
      if (listener.problem !== '') logger.info('listening after all', { address: listener.address });
      listener.problem = '';
    } catch (error) {
      const problem = `cannot listen on ${listener.address} port ${listener.port}: ${SwarmError.from(error).message}`;
      if (listener.problem !== problem) logger.warn(problem);
      listener.problem = problem;
    }
  }

  /** dgram cannot make one that shares its port and has a long queue; it can take one over. */
  #startUdp(listener: Listener): Promise<void> {
    const descriptor = openSharedDatagramSocket(listener, RECEIVE_BUFFER_BYTES);
    const family = isIPv6(listener.address) ? 6 : 4;
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Askers are addresses: looking them up costs more than answering.
      lookup: (address, _options, done) => done(null, address, family),
    });
    const { handler } = this.#options;
    socket.on('message', (message, from) => {
      if (!this.#admit(from.address)) return;
      const answer = handler.handle(message, from.address, 'udp');
      if (answer === undefined) return;
      // Whoever is gone, or has no route back, gets no answer; the next one does.
      if (answer instanceof Promise) void answer.then((late) => sendTo(socket, late, from));
      else sendTo(socket, answer, from);
    });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd: descriptor }, () => {
        socket.off('error', reject);
        socket.on('error', () => {});
        listener.socket = socket;
        listener.descriptor = descriptor;
        resolve();
      });
    });
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
    listener.socket?.close();
    listener.socket = undefined;
    listener.server?.close();
    listener.server = undefined;
  }
}

function sendTo(socket: Socket, answer: Buffer, to: { readonly address: string; readonly port: number }): void {
  try {
    // Errors come as events, which are passed over: a callback would cost a tenth of the time.
    socket.send(answer, to.port, to.address);
  } catch {
    // Closed while the answer was on its way.
  }
}
