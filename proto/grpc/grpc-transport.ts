import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { SwarmError } from '#common/errors.ts';
import { GRPC_ERROR_KEY, type GrpcError } from '../grpc-error.ts';
import { asBuffer, sameBytes } from './bytes.ts';
import { messageOptions, RPC_CONFIG } from './config.ts';
import { CUT_MARK } from './cut-mark.ts';
import { abortError, callError, cancelledError, STATUS, UnsentError } from './errors.ts';
import { MessageQueue } from './message-queue.ts';
import type { RawCall, RawCallOptions, Target, Transport } from './transport.ts';
import { WriteGate } from './write-gate.ts';

type Channel = ReturnType<Client['getChannel']>;

export interface GrpcTransportOptions {
  readonly target: Target;
  /** Of an address; sockets need none. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Large windows for streams of much data. */
  readonly bulk?: boolean | undefined;
}

/** What grpc-js reports, without its library's wording around the text of a server of ours. */
export function receivedError(error: ServiceError): GrpcError {
  const extra = error.metadata?.get(GRPC_ERROR_KEY)[0];
  return {
    code: error.code ?? STATUS.unknown,
    // An error of ours may be without words; one of the library has them in one place or the other.
    details: extra === undefined ? error.details || error.message : error.details,
    extra: typeof extra === 'object' ? extra : undefined,
  };
}

/** Calls over grpc-js. Connects at the first call, and again by itself after a loss. */
export class GrpcTransport implements Transport {
  readonly target: Target;
  readonly #client: Client;
  readonly #calls = new Set<GrpcCall>();
  #isClosed = false;
  /** Set once no more streams are to be opened: called when the last one has ended. */
  #idle: (() => void) | undefined;

  constructor(options: GrpcTransportOptions) {
    this.target = options.target;
    const { kind, name } = options.target;
    this.#client = new Client(
      kind === 'socket' ? `unix:${name}` : name,
      options.credentials ?? credentials.createInsecure(),
      {
        ...messageOptions(options.bulk === true),
        'grpc.initial_reconnect_backoff_ms': RPC_CONFIG.reconnectBackoffMs,
        'grpc.max_reconnect_backoff_ms': RPC_CONFIG.reconnectBackoffMaxMs,
        // A node that has renewed its certificate must not find itself on a connection of the old one.
        'grpc.use_local_subchannel_pool': 1,
        // Retries are ours to decide; the library would buffer every message for them.
        'grpc.enable_retries': 0,
        // Cluster traffic goes where it is told: no proxies of the environment, no service configs from DNS.
        'grpc.enable_http_proxy': 0,
        'grpc.service_config_disable_resolution': 1,
      },
    );
  }

  /**
   * Resolves when the connection stands or the attempt to make it has failed, which a call then tells at once.
   * @throws UnsentError when neither happens in time.
   */
  async connected(timeoutMs: number): Promise<void> {
    const channel = this.#client.getChannel();
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      // A channel that is closed would be brought back to life by the question, and connect for ever.
      const state = this.#isClosed ? connectivityState.SHUTDOWN : channel.getConnectivityState(true);
      if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
      if (state === connectivityState.SHUTDOWN || !(await stateChanged(channel, state, deadline)))
        throw new UnsentError({
          code: 'unavailable',
          reason: 'connection-failed',
          message: `${this.target.name} does not answer`,
          hint: 'check that the machine is up and that no firewall drops the port',
        });
    }
  }

  unary(
    path: string,
    message: Uint8Array,
    options: RawCallOptions & { readonly signal: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(abortError(signal));
    return new Promise((resolve, reject) => {
      const abort = (): void => call.cancel();
      const call = this.#client.makeUnaryRequest(
        path,
        asBuffer,
        sameBytes,
        message,
        metadataOf(options),
        callOptions(options),
        (error, response) => {
          signal?.removeEventListener('abort', abort);
          if (error === null) resolve(response ?? new Uint8Array());
          else if (signal?.aborted === true) reject(abortError(signal));
          else reject(callError(receivedError(error), this.target, path));
        },
      );
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  open(path: string, options: RawCallOptions): RawCall {
    const stream = this.#client.makeBidiStreamRequest(
      path,
      asBuffer,
      sameBytes,
      metadataOf(options),
      callOptions(options),
    );
    const call = new GrpcCall(
      stream,
      (error) => callError(receivedError(error), this.target, path),
      () => {
        this.#calls.delete(call);
        if (this.#calls.size === 0) this.#idle?.();
      },
    );
    this.#calls.add(call);
    return call;
  }

  /** Closes once the streams that are open have ended; calls with one answer come to theirs. `closed` is told then. */
  closeWhenIdle(closed: () => void): void {
    this.#idle = () => {
      this.#idle = undefined;
      this.close();
      closed();
    };
    if (this.#calls.size === 0) this.#idle();
  }

  close(): void {
    this.#isClosed = true;
    for (const call of this.#calls) call.cancel(cancelledError('the connection was closed'));
    // After the cancellations, which need a round of the event loop.
    setImmediate(() => this.#client.close());
  }
}

/** False when the deadline comes first. */
function stateChanged(channel: Channel, from: connectivityState, deadline: number): Promise<boolean> {
  return new Promise((resolve) => {
    channel.watchConnectivityState(from, deadline, (error) => resolve(error === undefined));
  });
}

function metadataOf({ metadata }: RawCallOptions): Metadata {
  const converted = new Metadata();
  for (const [key, value] of Object.entries(metadata ?? {})) converted.set(key, asBuffer(value));
  return converted;
}

function callOptions(options: RawCallOptions): { deadline?: number } {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
}

class GrpcCall implements RawCall {
  readonly messages: MessageQueue<Uint8Array>;
  readonly #stream: ClientDuplexStream<Uint8Array, Buffer>;
  readonly #gate: WriteGate;

  readonly #ended: () => void;
  #finished = false;

  constructor(
    stream: ClientDuplexStream<Uint8Array, Buffer>,
    convert: (error: ServiceError) => SwarmError,
    ended: () => void,
  ) {
    this.#stream = stream;
    this.#ended = ended;
    this.messages = new MessageQueue<Uint8Array>(
      { pause: () => stream.pause(), resume: () => stream.resume(), cancel: () => this.cancel() },
      RPC_CONFIG.messagesAhead,
    );
    this.#gate = new WriteGate((bytes) => stream.write(bytes), RPC_CONFIG.writesAhead);
    stream.on('data', (message: Buffer) => this.messages.push(message));
    stream.on('drain', () => this.#gate.drained());
    // An error comes with the status, before the messages that are still buffered here: it is for after them.
    let failure: SwarmError | undefined;
    stream.on('error', (error: Error) => {
      failure = convert(error as ServiceError);
      this.#gate.close(failure);
    });
    stream.on('end', () => this.#finish(failure));
    stream.on('close', () => this.#finish(failure));
  }

  write(message: Uint8Array): Promise<void> {
    return this.#gate.write(message);
  }

  end(): void {
    this.#gate.end();
    this.#stream.end();
  }

  /** With an error, the reader is told; without, it has asked for it. */
  cancel(error?: SwarmError): void {
    if (this.#finished) return;
    this.#finish(error);
    if (this.#stream.writableEnded || this.#stream.destroyed) {
      this.#stream.cancel();
      return;
    }
    this.#stream.write(CUT_MARK);
    // grpc-js passes the mark on asynchronously; a cancellation must not overtake it.
    setImmediate(() => this.#stream.cancel());
  }

  #finish(error?: SwarmError): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#ended();
    this.messages.finish(error);
    this.#gate.close(error ?? cancelledError('the call has ended'));
  }
}
