/** gRPC on one HTTP/2 stream of a server: messages as bytes, both ways, and a status at the end. */

import type { X509Certificate } from 'node:crypto';
import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { TLSSocket } from 'node:tls';
import { SwarmError } from '#common/errors.ts';
import { GRPC_ERROR_KEY, type GrpcError, toGrpcError } from '../grpc-error.ts';
import { STATUS, tooLargeMessage } from './errors.ts';
import { FrameReader, FrameTooLarge, frame } from './framing.ts';
import { endWithMessage } from './only-message.ts';

/** What a call tells whoever serves it. */
export interface IncomingListener {
  message(bytes: Uint8Array): void;
  /** The caller has said all it had to. Not told of a call that was cut. */
  ended(): void;
  /** The writer may go on. */
  drained(): void;
  /** What came is no message. */
  broken(error: SwarmError): void;
  /** Comes at the end of every call; before this end has ended it, it means that the caller has gone. */
  closed(): void;
}

export interface AuthContext {
  /** Present when TLS has verified it. */
  readonly sslPeerCertificate?: Pick<X509Certificate, 'raw' | 'fingerprint256'> | undefined;
  /** DER of one that TLS has not verified. Good for telling the caller why it is a stranger, and for nothing else. */
  readonly untrustedCertificate?: Buffer | undefined;
}

/** What does not change between the calls of a connection. */
interface ConnectionFacts {
  readonly peer: string;
  readonly authContext: AuthContext;
}

/** By connection: reading a certificate takes 50 us, as much as the rest of a call. */
const connections = new WeakMap<Http2Session, ConnectionFacts>();

const CONTENT_TYPE = 'application/grpc';
const RESPONSE_HEADERS = { ':status': 200, 'content-type': `${CONTENT_TYPE}+proto` } as const;
/** Nobody reads a date here, and it would be another one every second. */
const RESPONSE_OPTIONS = { waitForTrailers: true, sendDate: false } as const;
const TRAILERS_ONLY = { endStream: true, sendDate: false } as const;
const OK: GrpcError = { code: STATUS.ok, details: '', extra: undefined };

/** The time in which even a busy reader takes what is in its socket. */
const ERROR_AFTER_MESSAGES_MS = 20;

const TIMEOUT = /^(\d{1,8})\s*([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
/** Longer timers fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A request that does not speak gRPC is answered here; undefined then. */
export function acceptCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): IncomingCall | undefined {
  // Its `close` follows, which says all that there is to know.
  stream.on('error', () => {});
  if (headers['content-type']?.startsWith(CONTENT_TYPE) === true) return new IncomingCall(stream, headers);
  stream.respond({ ':status': constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE }, TRAILERS_ONLY);
  stream.resume();
  return undefined;
}

export class IncomingCall {
  /** When the caller stops waiting, wall clock; undefined for no limit. */
  readonly deadlineMs: number | undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #frames = new FrameReader();
  readonly #timer: NodeJS.Timeout | undefined;
  #listener: IncomingListener | undefined;
  /** Set once the call has ended on this side. */
  #status: GrpcError | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.#headers = headers;
    const timeoutMs = timeoutOf(headers['grpc-timeout']);
    if (timeoutMs === undefined) return;
    this.deadlineMs = Date.now() + timeoutMs;
    // The caller keeps the deadline too; this is for one that has vanished.
    this.#timer = setTimeout(() => this.#expired(), Math.min(timeoutMs, TIMER_MAX_MS));
  }

  /** Whether its connection has made calls before, so that who is at its other end is known. */
  get isOfKnownConnection(): boolean {
    const { session } = this.#stream;
    return session !== undefined && connections.has(session);
  }

  /** Nobody waits for an answer any more. */
  get isOver(): boolean {
    return this.#status !== undefined || this.#stream.closed || this.#stream.destroyed;
  }

  get path(): string {
    return this.#headers[':path'] ?? '';
  }

  /** `192.0.2.7:40312`. */
  get peer(): string {
    return this.#connection().peer;
  }

  getAuthContext(): AuthContext {
    return this.#connection().authContext;
  }

  /** The values of a metadata key that ends in `-bin`. */
  binaryMetadata(key: string): readonly Uint8Array[] {
    const value = this.#headers[key];
    if (value === undefined) return [];
    const texts = typeof value === 'string' ? value.split(',') : value;
    return texts.map((text) => Buffer.from(text.trim(), 'base64'));
  }

  /** Begins to read. Nothing is told before this. */
  listen(listener: IncomingListener): void {
    this.#listener = listener;
    const stream = this.#stream;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk, listener));
    stream.on('end', () => this.#requestEnded(listener));
    stream.on('drain', () => listener.drained());
    stream.on('close', () => this.#closed());
    // Before anybody listened.
    if (stream.readableEnded) queueMicrotask(() => this.#requestEnded(listener));
    if (stream.closed || stream.destroyed) queueMicrotask(() => this.#closed());
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Sends a message; false when the stream has enough and will tell when it has not. */
  write(message: Uint8Array): boolean {
    const stream = this.#stream;
    if (this.#status !== undefined || stream.closed || stream.destroyed) return true;
    if (!stream.headersSent) stream.respond(RESPONSE_HEADERS, RESPONSE_OPTIONS);
    return stream.write(frame(message));
  }

  /** The call has succeeded, and the message is all that it answers. */
  answer(message: Uint8Array): void {
    if (this.#status !== undefined) return;
    this.#status = OK;
    clearTimeout(this.#timer);
    const stream = this.#stream;
    if (stream.closed || stream.destroyed) return;
    stream.respond(RESPONSE_HEADERS, RESPONSE_OPTIONS);
    endWithMessage(stream, frame(message));
    // What still comes is dropped, so that the stream can close.
    stream.resume();
  }

  /** The call has succeeded. */
  end(): void {
    this.#finish(OK);
  }

  /** The call has failed, as the caller is told at once. */
  fail(thrown: unknown): void {
    this.refuse(toGrpcError(thrown));
  }

  /**
   * The same, after the messages that were written: callers that use grpc-js drop those that they have not read when an
   * error comes, so they get the time to.
   */
  failAfterMessages(thrown: unknown): void {
    const status = toGrpcError(thrown);
    if (!this.#stream.headersSent) this.#finish(status);
    else setTimeout(() => this.#finish(status), ERROR_AFTER_MESSAGES_MS);
  }

  /** The call has failed with a bare status. */
  refuse(status: GrpcError): void {
    this.#finish(status);
  }

  #finish(status: GrpcError): void {
    if (this.#status !== undefined) return;
    this.#status = status;
    clearTimeout(this.#timer);
    const stream = this.#stream;
    if (stream.closed || stream.destroyed) return;
    if (stream.headersSent) {
      stream.once('wantTrailers', () => stream.sendTrailers(trailersOf(status)));
      stream.end();
    } else stream.respond({ ...RESPONSE_HEADERS, ...trailersOf(status) }, TRAILERS_ONLY);
    // What still comes is dropped, so that the stream can close.
    if (this.#listener === undefined) stream.on('data', () => {});
    stream.resume();
  }

  #receive(chunk: Buffer, listener: IncomingListener): void {
    if (this.#status !== undefined) return;
    try {
      this.#frames.push(chunk, (message) => listener.message(message));
    } catch (error) {
      listener.broken(error instanceof FrameTooLarge ? tooLargeMessage(error.bytes) : badRequest(String(error)));
    }
  }

  #requestEnded(listener: IncomingListener): void {
    // A stream that was reset ends first like one that is complete. A cut upload must not pass for a whole one.
    if (this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    if (this.#frames.isMidway) listener.broken(badRequest('its last message is cut off'));
    else listener.ended();
  }

  #expired(): void {
    this.#finish({ code: STATUS.deadline, details: 'Deadline exceeded', extra: undefined });
    this.#listener?.closed();
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#listener?.closed();
  }

  #connection(): ConnectionFacts {
    const { session } = this.#stream;
    if (session === undefined) return { peer: 'unknown', authContext: {} };
    const known = connections.get(session);
    if (known !== undefined) return known;
    const facts = factsOf(session);
    connections.set(session, facts);
    return facts;
  }
}

function factsOf({ socket }: Http2Session): ConnectionFacts {
  const { remoteAddress, remotePort } = socket;
  const peer = remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort ?? 0}`;
  if (!(socket instanceof TLSSocket)) return { peer, authContext: {} };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { peer, authContext: {} };
  return {
    peer,
    authContext: socket.authorized ? { sslPeerCertificate: certificate } : { untrustedCertificate: certificate.raw },
  };
}

function timeoutOf(header: string | string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? TIMEOUT.exec(header) : null;
  if (match === null) return undefined;
  return Math.ceil(Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 0));
}

function trailersOf({ code, details, extra }: GrpcError): Record<string, string | number> {
  if (code === STATUS.ok) return { 'grpc-status': STATUS.ok };
  const trailers = { 'grpc-status': code, 'grpc-message': encodeURI(details.toWellFormed()) };
  return extra === undefined ? trailers : { ...trailers, [GRPC_ERROR_KEY]: Buffer.from(extra).toString('base64') };
}

function badRequest(what: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-message', message: `the request cannot be read: ${what}` });
}
