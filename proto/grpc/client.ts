import { SwarmError } from '#common/errors.ts';
import type { AnyCodec, MethodDefinition, ServiceDefinition } from '../codec.ts';
import { RPC_CONFIG } from './config.ts';
import { checkSize, throwIfAborted } from './errors.ts';
import type { CallOptions, Client, DuplexCall, Messages } from './methods.ts';
import type { RawCall, Transport } from './transport.ts';

/**
 * The methods of a service, called over the transport. Every failure is a SwarmError: the server's own, or one that
 * says what is wrong with the connection.
 */
export function createClient<const S extends ServiceDefinition>(service: S, transport: Transport): Client<S> {
  const methods = Object.entries(service).map(([name, method]) => [name, clientMethod(method, transport)]);
  // The four functions below have the four shapes of ClientMethod; types cannot follow the choice.
  return Object.fromEntries(methods) as Client<S>;
}

function clientMethod(method: MethodDefinition, transport: Transport): unknown {
  if (method.requestStream && method.responseStream)
    return (first?: Messages<object> | CallOptions, options?: CallOptions) =>
      isMessages(first) ? exchange(method, transport, first, options) : duplex(method, transport, first);
  if (method.requestStream)
    return (requests: Messages<object>, options?: CallOptions) => upload(method, transport, requests, options);
  if (method.responseStream)
    return (request: object, options?: CallOptions) => download(method, transport, request, options);
  return (request: object, options?: CallOptions) => unary(method, transport, request, options);
}

function isMessages(value: Messages<object> | CallOptions | undefined): value is Messages<object> {
  return value !== undefined && (Symbol.asyncIterator in value || Symbol.iterator in value);
}

function encode(method: MethodDefinition, init: object): Uint8Array {
  const codec = method.request;
  const bytes = codec.encode(codec.create(init));
  checkSize(codec.typeName, bytes);
  return bytes;
}

async function unary(
  method: MethodDefinition,
  transport: Transport,
  request: object,
  options?: CallOptions,
): Promise<unknown> {
  const bytes = await transport.unary(method.path, encode(method, request), {
    timeoutMs: options?.timeoutMs ?? RPC_CONFIG.unaryTimeoutMs,
    signal: options?.signal,
    metadata: options?.metadata,
  });
  return method.response.decode(bytes);
}

/** Opens a call that ends when the signal is aborted, with the signal's error. */
class StreamCall implements AsyncIterableIterator<unknown> {
  readonly raw: RawCall;
  readonly #codec: AnyCodec;
  readonly #signal: AbortSignal | undefined;
  readonly #abort: () => void;

  constructor(method: MethodDefinition, transport: Transport, options: CallOptions | undefined) {
    const signal = options?.signal;
    throwIfAborted(signal);
    this.#codec = method.response;
    this.raw = transport.open(method.path, { timeoutMs: options?.timeoutMs, metadata: options?.metadata });
    this.#signal = signal;
    this.#abort = () => this.raw.cancel();
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  async next(): Promise<IteratorResult<unknown>> {
    try {
      const result = await this.raw.messages.next();
      if (result.done !== true) return { done: false, value: this.#codec.decode(result.value) };
    } catch (error) {
      await this.return();
      throw error;
    }
    this.#release();
    throwIfAborted(this.#signal);
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#release();
    this.raw.cancel();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #release(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

function download(
  method: MethodDefinition,
  transport: Transport,
  request: object,
  options?: CallOptions,
): AsyncIterableIterator<unknown> {
  const bytes = encode(method, request);
  const call = new StreamCall(method, transport, options);
  // A write that fails has ended the call: the iteration says why.
  call.raw.write(bytes).catch(() => {});
  call.raw.end();
  return call;
}

async function upload(
  method: MethodDefinition,
  transport: Transport,
  requests: Messages<object>,
  options?: CallOptions,
): Promise<unknown> {
  const call = new StreamCall(method, transport, options);
  const sending = send(method, call.raw, requests);
  // Awaited below; a call that fails first is what the caller is told.
  sending.catch(() => {});
  const answer = call.next();
  answer.catch(() => {});
  try {
    await Promise.race([sending, answer]);
    const result = await answer;
    if (result.done === true)
      throw new SwarmError({ code: 'internal', reason: 'internal', message: `no answer to ${method.path}` });
    return result.value;
  } finally {
    await call.return();
  }
}

async function send(method: MethodDefinition, raw: RawCall, requests: Messages<object>): Promise<void> {
  try {
    for await (const request of requests) {
      const bytes = encode(method, request);
      try {
        await raw.write(bytes);
      } catch {
        // The call has ended, and its answer says why.
        return;
      }
    }
    raw.end();
  } catch (error) {
    raw.cancel();
    throw error;
  }
}

/** Answers while the requests are being sent. */
async function* exchange(
  method: MethodDefinition,
  transport: Transport,
  requests: Messages<object>,
  options?: CallOptions,
): AsyncGenerator<unknown> {
  const call = new StreamCall(method, transport, options);
  let failure: { readonly error: unknown } | undefined;
  // Not awaited at the end: a source that is silent would hold the caller; it is left when it next speaks.
  void send(method, call.raw, requests).catch((error: unknown) => {
    failure = { error };
  });
  try {
    yield* call;
    if (failure !== undefined) throw failure.error;
  } finally {
    await call.return();
  }
}

function duplex(method: MethodDefinition, transport: Transport, options?: CallOptions): DuplexCall<object, unknown> {
  const call = new StreamCall(method, transport, options);
  return {
    write: async (message) => call.raw.write(encode(method, message)),
    end: () => call.raw.end(),
    cancel: () => void call.return(),
    [Symbol.asyncIterator]: () => call,
  };
}
