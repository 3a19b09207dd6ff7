import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { SwarmError } from '#common/errors.ts';
import { GRPC_ERROR_KEY } from '../grpc-error.ts';
import { asBuffer } from './bytes.ts';
import { RPC_CONFIG } from './config.ts';
import { CUT_MARK } from './cut-mark.ts';
import { callError, cancelledError, connectionError, STATUS, throwIfAborted } from './errors.ts';
import { FrameReader, FrameTooLarge, frame } from './framing.ts';
import { MessageQueue } from './message-queue.ts';
import type { RawCall, RawCallOptions, Target, Transport } from './transport.ts';
import { WriteGate } from './write-gate.ts';

/** gRPC's timeout header takes eight digits. */
const TIMEOUT_HEADER_MAX_MS = 99_999_999;

export interface Http2TransportOptions {
  readonly target: Target;
  /** Begins a connection. What it gives may still be connecting, or be in its handshake. */
  readonly connect: () => Duplex;
  readonly scheme: 'http' | 'https';
  /** Asks the other side for signs of life, so that calls without an end learn of a machine that has gone. */
  readonly keepsAlive?: boolean | undefined;
}

/**
 * gRPC over a connection of node:http2, without grpc-js. One connection, made at the first call; after its loss the
 * next call makes another. Closing ends it at once, whatever the other side does. What went wrong with the connection
 * is the `cause` of the error.
 */
export class Http2Transport implements Transport {
  readonly target: Target;
  readonly #options: Http2TransportOptions;
  #session: ClientHttp2Session | undefined;
  /** Why the connection failed, told to every call on it. */
  #failure: Error | undefined;
  #closed = false;
  readonly #calls = new Set<Http2Call>();

  constructor(options: Http2TransportOptions) {
    this.target = options.target;
    this.#options = options;
  }

  async unary(
    path: string,
    message: Uint8Array,
    options: RawCallOptions & { readonly signal: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    const { signal } = options;
    throwIfAborted(signal);
    const call = this.open(path, options);
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      // What refuses the write also ends the call, and that says more.
      call.write(message).catch(() => {});
      call.end();
      for await (const answer of call.messages) {
        const after = await call.messages.next();
        if (after.done === true) return answer;
        throw new SwarmError({ code: 'internal', reason: 'internal', message: `two answers to ${path}` });
      }
      throwIfAborted(signal);
      throw new SwarmError({ code: 'internal', reason: 'internal', message: `no answer to ${path}` });
    } finally {
      signal?.removeEventListener('abort', abort);
      call.cancel();
    }
  }

  open(path: string, options: RawCallOptions): RawCall {
    const session = this.#connect();
    const headers: Record<string, string> = {
      ':method': 'POST',
      ':scheme': this.#options.scheme,
      ':path': path,
      ':authority': 'localhost',
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const { timeoutMs } = options;
    for (const [key, value] of Object.entries(options.metadata ?? {}))
      headers[key] = asBuffer(value).toString('base64');
    if (timeoutMs !== undefined)
      headers['grpc-timeout'] = `${Math.max(1, Math.min(TIMEOUT_HEADER_MAX_MS, Math.ceil(timeoutMs)))}m`;
    const call = new Http2Call(session.request(headers), path, timeoutMs, {
      target: this.target,
      failure: () => this.#failure,
      ended: () => this.#calls.delete(call),
    });
    this.#calls.add(call);
    return call;
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.cancel(cancelledError('the connection was closed'));
    this.#session?.destroy();
    this.#session = undefined;
  }

  /** Takes no more calls, and closes when those that there are have ended. */
  closeWhenIdle(): void {
    this.#closed = true;
    this.#session?.close();
    this.#session = undefined;
  }

  #connect(): ClientHttp2Session {
    if (this.#closed) throw cancelledError('the connection was closed');
    const current = this.#session;
    if (current !== undefined && !current.closed && !current.destroyed) return current;
    this.#failure = undefined;
    const session = connectHttp2(`${this.#options.scheme}://localhost`, {
      createConnection: this.#options.connect,
      settings: { initialWindowSize: RPC_CONFIG.bulkWindowBytes, enablePush: false },
    });
    session.on('error', (error) => {
      this.#failure = error;
    });
    session.once('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(RPC_CONFIG.bulkWindowBytes);
    });
    if (this.#options.keepsAlive === true) keepAlive(session);
    this.#session = session;
    return session;
  }
}

/** Ends the session when the other side does not answer. */
function keepAlive(session: ClientHttp2Session): void {
  let overdue: NodeJS.Timeout | undefined;
  const period = setInterval(() => {
    if (overdue !== undefined || session.destroyed || session.connecting) return;
    overdue = setTimeout(() => session.destroy(new Error('Keepalive timeout')), RPC_CONFIG.keepaliveTimeoutMs);
    session.ping(() => {
      clearTimeout(overdue);
      overdue = undefined;
    });
  }, RPC_CONFIG.keepaliveTimeMs);
  session.once('close', () => {
    clearInterval(period);
    clearTimeout(overdue);
  });
}

/** What a call needs to know of its connection. */
interface Connection {
  readonly target: Target;
  /** Why the connection was lost, if it was. */
  readonly failure: () => Error | undefined;
  readonly ended: () => void;
}

class Http2Call implements RawCall {
  readonly messages: MessageQueue<Uint8Array>;
  readonly #stream: ClientHttp2Stream;
  readonly #path: string;
  readonly #connection: Connection;
  readonly #frames = new FrameReader();
  readonly #gate: WriteGate;
  readonly #timer: NodeJS.Timeout | undefined;
  #status: IncomingHttpHeaders | undefined;
  #finished = false;

  constructor(stream: ClientHttp2Stream, path: string, timeoutMs: number | undefined, connection: Connection) {
    this.#stream = stream;
    this.#path = path;
    this.#connection = connection;
    this.messages = new MessageQueue<Uint8Array>(
      { pause: () => stream.pause(), resume: () => stream.resume(), cancel: () => this.cancel() },
      RPC_CONFIG.messagesAhead,
    );
    this.#gate = new WriteGate((bytes) => stream.write(bytes), RPC_CONFIG.writesAhead);
    // The server keeps the deadline too; this one is for a server that does not answer at all.
    if (timeoutMs !== undefined)
      this.#timer = setTimeout(() => this.#fail({ code: STATUS.deadline, details: '', extra: undefined }), timeoutMs);
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('drain', () => this.#gate.drained());
    stream.on('response', (headers) => this.#response(headers));
    stream.on('trailers', (headers) => {
      this.#status = headers;
    });
    stream.on('end', () => this.#ended());
    stream.on('error', (error) => this.#broken(error));
    stream.on('close', () => this.#broken(undefined));
  }

  write(message: Uint8Array): Promise<void> {
    try {
      return this.#gate.write(frame(message));
    } catch (error) {
      return Promise.reject(this.#frameError(error));
    }
  }

  end(): void {
    this.#gate.end();
    this.#stream.end();
  }

  /** With an error, the reader is told; without, it has asked for it. */
  cancel(error?: SwarmError): void {
    this.#finish(error);
  }

  #receive(chunk: Buffer): void {
    if (this.#finished) return;
    try {
      this.#frames.push(chunk, (message) => this.messages.push(message));
    } catch (error) {
      this.#finish(this.#frameError(error));
    }
  }

  #frameError(error: unknown): SwarmError {
    const code = error instanceof FrameTooLarge ? STATUS.exhausted : STATUS.unknown;
    const details = error instanceof Error ? error.message : String(error);
    return callError({ code, details, extra: undefined }, this.#connection.target, this.#path);
  }

  #response(headers: IncomingHttpHeaders): void {
    // A refusal is often all there is: its status comes with the headers.
    if (headers['grpc-status'] !== undefined) this.#status = headers;
  }

  #ended(): void {
    // Trailers are announced after the last byte.
    if (this.#status === undefined) return;
    const code = Number(this.#status['grpc-status'] ?? STATUS.unknown);
    if (code === STATUS.ok) {
      if (this.#frames.isMidway)
        this.#fail({ code: STATUS.unknown, details: 'the answer is cut off', extra: undefined });
      else this.#finish(undefined);
      return;
    }
    const extra = this.#status[GRPC_ERROR_KEY];
    this.#fail({
      code,
      details: decodeMessage(this.#status['grpc-message']),
      extra: typeof extra === 'string' ? Buffer.from(extra, 'base64') : undefined,
    });
  }

  /** The stream is gone before its status came. */
  #broken(error: Error | undefined): void {
    if (this.#finished) return;
    if (this.#status !== undefined) {
      this.#ended();
      return;
    }
    const reason = rootCause(this.#connection.failure() ?? error);
    this.#finish(connectionError(this.#connection.target, reason?.message ?? 'Connection closed', reason));
  }

  #fail(received: Parameters<typeof callError>[0]): void {
    this.#finish(callError(received, this.#connection.target, this.#path));
  }

  #finish(error: SwarmError | undefined): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#connection.ended();
    this.messages.finish(error);
    this.#gate.close(error ?? cancelledError('the call has ended'));
    if (!this.#stream.writableEnded && !this.#stream.destroyed) this.#stream.write(frame(CUT_MARK));
    // Without effect on a stream that has ended by itself.
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }
}

/** A stream that waited for the connection is cancelled with an error of its own around the connection's. */
function rootCause(error: Error | undefined): Error | undefined {
  return error?.cause instanceof Error ? error.cause : error;
}

function decodeMessage(value: string | string[] | undefined): string {
  const text = typeof value === 'string' ? value : '';
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
