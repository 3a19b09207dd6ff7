import type { MessageOf, MethodDefinition, ServiceDefinition } from '../codec.ts';
import type { CallContext } from './call-context.ts';
import type { CallMetadata } from './transport.ts';

/** The types of handlers and clients, derived from the generated definitions. */

export type RequestOf<D extends MethodDefinition> = MessageOf<D['request']>;
export type ResponseOf<D extends MethodDefinition> = MessageOf<D['response']>;

/** Where a handler writes the messages of its answer, when it does not yield them. */
export interface ResponseStream<T> {
  /**
   * Sends a message; resolves when the next may follow, so that a slow reader slows the writer down.
   * @throws SwarmError the reason why the call ended.
   */
  write(message: T): Promise<void>;
}

/** A stream of answers: yielded, or written to the given stream until the promise resolves. */
type Streaming<Response> = AsyncIterable<Response> | Promise<void>;

/**
 * Serves a method. Throws a SwarmError to refuse; anything else that it throws is a defect, logged and answered with
 * `internal`. Long-lived handlers end when `context.signal` is aborted.
 */
export type Handler<D extends MethodDefinition> = D['requestStream'] extends true
  ? D['responseStream'] extends true
    ? (
        requests: AsyncIterable<RequestOf<D>>,
        context: CallContext,
        responses: ResponseStream<ResponseOf<D>>,
      ) => Streaming<ResponseOf<D>>
    : (requests: AsyncIterable<RequestOf<D>>, context: CallContext) => Promise<ResponseOf<D>>
  : D['responseStream'] extends true
    ? (
        request: RequestOf<D>,
        context: CallContext,
        responses: ResponseStream<ResponseOf<D>>,
      ) => Streaming<ResponseOf<D>>
    : (request: RequestOf<D>, context: CallContext) => Promise<ResponseOf<D>>;

/** One handler for every method of the service. */
export type Handlers<S extends ServiceDefinition> = { readonly [M in keyof S]: Handler<S[M]> };

export interface CallOptions {
  /** Time for the whole call. Unary calls have 30 s when it is left out, streams no end. */
  readonly timeoutMs?: number | undefined;
  /** Aborting cancels the call. */
  readonly signal?: AbortSignal | undefined;
  readonly metadata?: CallMetadata | undefined;
}

/** A call whose both ends send when they like. */
export interface DuplexCall<Request, Response> extends AsyncIterable<Response> {
  /**
   * Sends a message; resolves when the next may follow.
   * @throws SwarmError the reason why the call ended.
   */
  write(message: Request): Promise<void>;
  /** Nothing more will be written; answers may still come. */
  end(): void;
  /** Ends the call at once; the iteration ends without an error. */
  cancel(): void;
}

/** What a caller may leave out of a request: defaults are filled in. */
type Init<T> = Partial<T>;

/** Messages for a method that takes a stream of them. */
export type Messages<T> = AsyncIterable<T> | Iterable<T>;

export interface DuplexMethod<Request, Response> {
  /** Sends all that the iterable yields; an error that it throws ends the call and comes out of the iteration. */
  (requests: Messages<Request>, options?: CallOptions): AsyncIterableIterator<Response>;
  /** For callers that send when they like. */
  (options?: CallOptions): DuplexCall<Request, Response>;
}

export type ClientMethod<D extends MethodDefinition> = D['requestStream'] extends true
  ? D['responseStream'] extends true
    ? DuplexMethod<Init<RequestOf<D>>, ResponseOf<D>>
    : (requests: Messages<Init<RequestOf<D>>>, options?: CallOptions) => Promise<ResponseOf<D>>
  : D['responseStream'] extends true
    ? (request: Init<RequestOf<D>>, options?: CallOptions) => AsyncIterableIterator<ResponseOf<D>>
    : (request: Init<RequestOf<D>>, options?: CallOptions) => Promise<ResponseOf<D>>;

/** The methods of a service as a caller sees them. Every rejection is a SwarmError. */
export type Client<S extends ServiceDefinition> = { readonly [M in keyof S]: ClientMethod<S[M]> };
