/**
 * What a client needs of a connection: calls of bytes. Two implementations: grpc-js for everything, and a small one on
 * node:http2 for the local socket, which starts in half the time.
 */

/** Where a connection leads, for messages. */
export interface Target {
  readonly kind: 'socket' | 'address';
  /** Path of the socket, or host:port. */
  readonly name: string;
}

/** What travels beside the messages. A key ends with `-bin`. */
export type CallMetadata = Readonly<Record<string, Uint8Array>>;

export interface RawCallOptions {
  /** Time for the whole call; undefined for no end. */
  readonly timeoutMs: number | undefined;
  readonly metadata?: CallMetadata | undefined;
}

/** One call in flight. */
export interface RawCall {
  /** Sends a message at once; resolves when the next may follow, rejects once the call has ended. */
  write(message: Uint8Array): Promise<void>;
  end(): void;
  /** Ends the call; `messages` ends without an error. */
  cancel(): void;
  /** The answers. Throws a SwarmError when the call fails. Stopping early cancels the call. */
  readonly messages: AsyncIterableIterator<Uint8Array>;
}

export interface Transport {
  readonly target: Target;
  /** One message there, one back. Aborting the signal cancels. */
  unary(
    path: string,
    message: Uint8Array,
    options: RawCallOptions & { readonly signal: AbortSignal | undefined },
  ): Promise<Uint8Array>;
  open(path: string, options: RawCallOptions): RawCall;
  /** Ends the connection and every call on it. */
  close(): void;
}
