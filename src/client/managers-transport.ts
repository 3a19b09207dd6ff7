/**
 * Calls to whichever manager answers. When the one in use goes away, or cannot serve, the next is asked: for every call
 * that certainly had no effect, and for those that change nothing.
 */
import type { ClientTrust } from '#certs/tls-client.ts';
import { SwarmError } from '#common/errors.ts';
import { cancelledError } from '#proto/grpc/errors.ts';
import { Http2Transport } from '#proto/grpc/http2-transport.ts';
import type { RawCall, RawCallOptions, Target, Transport } from '#proto/grpc/transport.ts';
import { connectManager } from './manager-connection.ts';

export interface ManagersOptions {
  /** For messages. */
  readonly name: string;
  /** host:port of managers, in the order in which they are tried; at least one. */
  readonly addresses: readonly string[];
  readonly trust: ClientTrust;
  readonly config?: ManagersConfig | undefined;
}

export interface ManagersConfig {
  readonly connectTimeoutMs: number;
  readonly headStartMs: number;
}

export const MANAGERS_DEFAULTS: ManagersConfig = {
  // Far-away managers answer in half a second; one that has not in ten times that is not there.
  connectTimeoutMs: 5_000,
  // Above the round trips of a handshake across a continent, below what a person takes for a hang.
  headStartMs: 400,
};

/** Refusals of a manager that has done nothing with the call, where another may do better. */
const TRY_ANOTHER: ReadonlySet<string> = new Set([
  'not-a-manager',
  'not-in-swarm',
  'shutting-down',
  'not-leader',
  'no-quorum',
  'locked',
  // One that lags has not heard of a new client.
  'client-revoked',
]);

/** Methods that change nothing. */
const READS = /\/(?:Get|List|Watch|Subscribe|Check$)/;

interface Connected {
  readonly address: string;
  readonly transport: Http2Transport;
}

export class ManagersTransport implements Transport {
  readonly target: Target;
  readonly #options: ManagersOptions;
  readonly #config: ManagersConfig;
  /** The one that answered last is the first. */
  #addresses: readonly string[];
  #current: Promise<Connected> | undefined;
  /** What that promise has led to. */
  #now: Connected | undefined;
  readonly #closed = new AbortController();

  constructor(options: ManagersOptions) {
    this.#options = options;
    this.#config = options.config ?? MANAGERS_DEFAULTS;
    this.#addresses = options.addresses;
    this.target = { kind: 'address', name: options.name };
  }

  async unary(
    path: string,
    message: Uint8Array,
    options: RawCallOptions & { readonly signal: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    const deadline = deadlineOf(options);
    const turn = new Turn(path, this.#addresses.length);
    for (;;) {
      const connected = await this.#connected();
      try {
        const timeoutMs = deadline === undefined ? undefined : Math.max(1, deadline - performance.now());
        return await connected.transport.unary(path, message, { ...options, timeoutMs });
      } catch (thrown) {
        turn.failed(SwarmError.from(thrown), options.signal?.aborted === true);
        this.#leave(connected);
      }
    }
  }

  open(path: string, options: RawCallOptions): RawCall {
    return new ManagersCall(path, options, this.#addresses.length, {
      connected: () => this.#connected(),
      leave: (connected) => this.#leave(connected),
    });
  }

  close(): void {
    this.#closed.abort(cancelledError('the connection was closed'));
    this.#now?.transport.close();
  }

  /** Calls from now on show the identity of now; those under way come to their end. */
  reconnect(): void {
    if (this.#now !== undefined) this.#leave(this.#now);
  }

  /** Where calls go now; undefined before the first. */
  get connectedAddress(): string | undefined {
    return this.#now?.address;
  }

  #connected(): Promise<Connected> {
    if (this.#current !== undefined) return this.#current;
    const connecting = this.#connect();
    this.#current = connecting;
    connecting.catch(() => {
      if (this.#current === connecting) this.#current = undefined;
    });
    return connecting;
  }

  async #connect(): Promise<Connected> {
    const { trust } = this.#options;
    const { connectTimeoutMs, headStartMs } = this.#config;
    const { address, socket } = await connectManager({
      addresses: this.#addresses,
      trust,
      signal: this.#closed.signal,
      timeoutMs: connectTimeoutMs,
      headStartMs,
    });
    const transport = new Http2Transport({
      target: { kind: 'address', name: address },
      connect: () => socket,
      scheme: 'https',
      keepsAlive: true,
    });
    const connected = { address, transport };
    this.#now = connected;
    this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
    // A connection is used once: after its end, whoever answers then is asked.
    socket.once('close', () => this.#leave(connected, true));
    return connected;
  }

  /** The next call is made on a new connection. */
  #leave(connected: Connected, mayServe = false): void {
    if (this.#now !== connected) return;
    this.#now = undefined;
    this.#current = undefined;
    if (mayServe) return;
    const { address, transport } = connected;
    this.#addresses = [...this.#addresses.filter((other) => other !== address), address];
    // Other calls on it come to their end.
    transport.closeWhenIdle();
  }
}

function deadlineOf({ timeoutMs }: RawCallOptions): number | undefined {
  return timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
}

/** One call, asked of each manager at most once. */
class Turn {
  readonly #isRead: boolean;
  readonly #managers: number;
  #asked = 0;
  #first: SwarmError | undefined;

  constructor(path: string, managers: number) {
    this.#isRead = READS.test(path.slice(path.lastIndexOf('/')));
    this.#managers = managers;
  }

  /** @throws the error of the first manager when no other is to be asked */
  failed(error: SwarmError, isAborted: boolean): void {
    this.#asked += 1;
    this.#first ??= error;
    const hadNoEffect = TRY_ANOTHER.has(error.reason);
    const isLost = error.code === 'unavailable' && error.reason === 'connection-failed' && this.#isRead;
    if (isAborted || !(hadNoEffect || isLost)) throw error;
    if (this.#asked >= this.#managers) throw this.#first;
  }
}

interface Source {
  connected(): Promise<Connected>;
  leave(connected: Connected): void;
}

/** A stream of answers. What is sent is kept for the next manager until the first answer has come. */
class ManagersCall implements RawCall {
  readonly messages: AsyncIterableIterator<Uint8Array>;
  readonly #path: string;
  readonly #options: RawCallOptions;
  readonly #managers: number;
  readonly #source: Source;
  readonly #sent: Uint8Array[] = [];
  #isEnded = false;
  #isCancelled = false;
  #call: RawCall | undefined;

  constructor(path: string, options: RawCallOptions, managers: number, source: Source) {
    this.#path = path;
    this.#options = options;
    this.#managers = managers;
    this.#source = source;
    this.messages = this.#run();
  }

  async write(message: Uint8Array): Promise<void> {
    this.#sent.push(message);
    await this.#call?.write(message);
  }

  end(): void {
    this.#isEnded = true;
    this.#call?.end();
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#call?.cancel();
  }

  async *#run(): AsyncGenerator<Uint8Array> {
    const deadline = deadlineOf(this.#options);
    const turn = new Turn(this.#path, this.#managers);
    for (;;) {
      const connected = await this.#source.connected();
      if (this.#isCancelled) return;
      const timeoutMs = deadline === undefined ? undefined : Math.max(1, deadline - performance.now());
      const call = connected.transport.open(this.#path, { ...this.#options, timeoutMs });
      this.#call = call;
      for (const message of this.#sent) call.write(message).catch(() => {}); // the answer says why
      if (this.#isEnded) call.end();
      let hasAnswered = false;
      try {
        for await (const message of call.messages) {
          hasAnswered = true;
          yield message;
        }
        return;
      } catch (thrown) {
        if (hasAnswered) throw thrown;
        turn.failed(SwarmError.from(thrown), this.#isCancelled);
        this.#source.leave(connected);
      } finally {
        call.cancel();
      }
    }
  }
}
