import { chmod, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { MethodPath } from '#gen/services.ts';
import { refuseCall, refuseForwarding } from '../authorization.ts';
import type { MethodDefinition } from '../codec.ts';
import { sameBytes } from './bytes.ts';
import { type Caller, describeCaller, type NodeRoleName, type PeerIdentity } from './caller.ts';
import { messageOptions, RPC_CONFIG } from './config.ts';
import { cancelledError } from './errors.ts';
import { FORWARDED_KEY, readForwardedCall } from './forwarding.ts';
import type { Handlers } from './methods.ts';
import {
  type AnyHandler,
  type ByteStream,
  type CallOrigin,
  http2StreamOf,
  ServerCall,
  statusOf,
} from './server-call.ts';

/** The part of a call that tells the peer's certificate. */
export type PeerOfCall = Pick<ByteStream, 'getAuthContext'>;

export interface CertificateTrust {
  readonly kind: 'certificate';
  readonly identify: (call: PeerOfCall) => PeerIdentity | undefined;
  /** The cluster that callers have to belong to; undefined as long as there is none. */
  readonly clusterId: () => string | undefined;
  /** A last word on a caller that its certificate and the table admit: a node that was removed, say. */
  readonly admit?: ((caller: PeerIdentity, path: string) => SwarmError | undefined) | undefined;
  /** The role that the caller has by now; a certificate outlives a demotion. That of the certificate when left out. */
  readonly roleOf?: ((caller: PeerIdentity, path: string) => NodeRoleName) | undefined;
}

type AuthContext = ReturnType<PeerOfCall['getAuthContext']>;

export interface RpcServerOptions {
  /**
   * How callers are known. `local`: who reaches the socket is root of this machine. `certificate`: `identify` reads the
   * certificate that TLS has verified (undefined for a caller without one, throws for one that will not do).
   */
  readonly trust: { readonly kind: 'local' } | CertificateTrust;
  readonly logger: Logger;
  /** Told of every call that ended, for metrics. */
  readonly onCall?: ((call: FinishedCall) => void) | undefined;
}

export interface FinishedCall {
  readonly path: string;
  readonly caller: Caller;
  readonly durationMs: number;
  /** What the caller was told, if the call failed. */
  readonly error: SwarmError | undefined;
}

/** A definition whose methods the authorization table knows. */
export type ContractService = Readonly<Record<string, MethodDefinition & { readonly path: MethodPath }>>;

/** Linux allows 108 bytes with the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107;
const PROBE_TIMEOUT_MS = 1_000;

/**
 * Serves methods of the contract on one listener, to the callers that the authorization table names. Who calls is
 * decided, and a refusal sent, before any of the request is read.
 */
export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #server: Server;
  readonly #handlers = new Map<string, AnyHandler>();
  readonly #registered = new Set<string>();
  readonly #calls = new Set<ServerCall>();
  /** What TLS says of each connection: reading a certificate takes 50 us, as much as the rest of a call. */
  readonly #authContexts = new WeakMap<object, AuthContext>();
  #socketPath: string | undefined;
  #closing = false;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.#server = new Server({
      // Image archives and contexts come over the local socket; what nodes say is small.
      ...messageOptions(options.trust.kind === 'local'),
      'grpc.max_concurrent_streams': RPC_CONFIG.streamsPerConnection,
    });
  }

  /** Serves the service from now on; also while listening, and in place of what served it before. */
  addService<const S extends ContractService>(service: S, handlers: Handlers<S>): void {
    for (const [name, method] of Object.entries(service)) {
      const handler: unknown = handlers[name];
      if (typeof handler !== 'function') throw new TypeError(`no handler for ${method.path}`);
      this.#serve(method, handler.bind(handlers) as AnyHandler);
    }
  }

  /** Answers every method of the service with the error: this node is not a manager, say. */
  refuseService(service: ContractService, refusal: () => SwarmError): void {
    for (const method of Object.values(service))
      this.#serve(method, () => {
        throw refusal();
      });
  }

  #serve(method: MethodDefinition, handler: AnyHandler): void {
    this.#handlers.set(method.path, handler);
    if (this.#registered.has(method.path)) return;
    this.#registered.add(method.path);
    // On the wire all kinds of calls are the same, so all are served alike: as bytes, both ways.
    const serve = (stream: ByteStream): void => this.#accept(method, stream);
    this.#server.register(method.path, serve, sameBytes, sameBytes, 'bidi');
  }

  /** Begins the call, or refuses it. */
  #accept(method: MethodDefinition, stream: ByteStream): void {
    let origin: CallOrigin = { caller: { kind: 'anonymous' }, forwardedBy: undefined, peer: stream.getPeer() };
    try {
      if (this.#closing)
        throw new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: 'the daemon is shutting down' });
      origin = { ...origin, caller: this.#callerOf(stream, method.path) };
      origin = this.#originOf(stream, method.path, origin);
      const refusal = refuseCall(method.path, origin.caller);
      if (refusal !== undefined) throw refusal;
    } catch (error) {
      stream.emit('error', statusOf(error));
      this.#finished(method.path, origin.caller, 0, SwarmError.from(error));
      return;
    }
    const handler = this.#handlers.get(method.path) as AnyHandler;
    const call = new ServerCall(method, stream, origin);
    const startMs = systemClock.monotonic();
    this.#calls.add(call);
    void call.serve(handler).then((error) => {
      this.#calls.delete(call);
      this.#finished(method.path, origin.caller, systemClock.monotonic() - startMs, error);
    });
  }

  #callerOf(stream: ByteStream, path: string): Caller {
    const { trust } = this.#options;
    if (trust.kind === 'local') return { kind: 'local' };
    const identity = trust.identify({ getAuthContext: () => this.#authContextOf(stream) });
    if (identity === undefined) return { kind: 'anonymous' };
    return this.#member(trust, identity, path);
  }

  #authContextOf(stream: ByteStream): AuthContext {
    const { session } = http2StreamOf(stream);
    if (session === undefined) return stream.getAuthContext();
    const known = this.#authContexts.get(session);
    if (known !== undefined) return known;
    const context = stream.getAuthContext();
    this.#authContexts.set(session, context);
    return context;
  }

  /** Who made the call: whoever is connected, or whoever that manager names. */
  #originOf(stream: ByteStream, path: string, direct: CallOrigin): CallOrigin {
    const { trust } = this.#options;
    const { caller } = direct;
    const values = stream.metadata.get(FORWARDED_KEY);
    if (values.length === 0) return caller.kind === 'local' ? { ...direct, peer: '' } : direct;
    const refusal = refuseForwarding(path, caller);
    if (refusal !== undefined) throw refusal;
    assert(trust.kind === 'certificate' && caller.kind === 'node', 'only managers pass calls on');
    const forwarded = readForwardedCall(values);
    const forwardedFor =
      forwarded.caller.kind === 'node' ? this.#member(trust, forwarded.caller, path) : forwarded.caller;
    return { ...forwarded, caller: forwardedFor, forwardedBy: caller };
  }

  /** The node as it is by now. @throws SwarmError for a node of another cluster, or one that is not admitted. */
  #member(trust: CertificateTrust, identity: PeerIdentity, path: string): Caller {
    const clusterId = trust.clusterId();
    if (identity.clusterId !== clusterId)
      throw new SwarmError({
        code: 'unauthenticated',
        reason: 'wrong-cluster',
        message: `node ${identity.nodeId} belongs to cluster ${identity.clusterId}, not to ${clusterId ?? 'this one'}`,
        hint: 'let the node leave its swarm before it joins this one: `swarm leave`',
      });
    const refusal = trust.admit?.(identity, path);
    if (refusal !== undefined) throw refusal;
    return { ...identity, kind: 'node', role: trust.roleOf?.(identity, path) ?? identity.role };
  }

  #finished(path: string, caller: Caller, durationMs: number, error: SwarmError | undefined): void {
    const { logger, onCall } = this.#options;
    onCall?.({ path, caller, durationMs, error });
    if (error === undefined || error.code === 'cancelled') return;
    const fields = { path, caller: describeCaller(caller), reason: error.reason, error: error.message };
    if (error.code !== 'internal') logger.debug('call refused', fields);
    else
      logger.error('call failed', { ...fields, stack: error.cause instanceof Error ? error.cause.stack : error.stack });
  }

  /** Listens on an address, `0.0.0.0:2377`; resolves with the port. */
  listen(address: string, credentials: ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(bindError(address, error));
      });
    });
  }

  /** Listens on a socket that only root may open. One that a dead daemon left behind is replaced. */
  async listenSocket(path: string): Promise<void> {
    if (this.#options.trust.kind !== 'local') throw new TypeError('a socket is served by a server of local trust');
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX)
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-flag',
        message: `the path of the socket is longer than ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`,
        hint: 'choose a shorter one',
      });
    if (await somebodyListens(path))
      throw new SwarmError({
        code: 'exists',
        reason: 'in-use',
        message: `another swarmd listens on ${path}`,
        hint: 'stop it first, or give this one a socket of its own',
      });
    await unlink(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw bindError(path, error);
    });
    await this.listen(`unix:${path}`, ServerCredentials.createInsecure());
    this.#socketPath = path;
    await chmod(path, 0o600);
  }

  /** Ends all calls that a node has made or passed on, such as one that was removed. */
  dropNode(nodeId: string, error: SwarmError): void {
    for (const call of this.#calls) {
      const own = call.caller.kind === 'node' && call.caller.nodeId === nodeId;
      if (own || call.forwardedBy?.nodeId === nodeId) call.abort(error);
    }
  }

  get callsInFlight(): number {
    return this.#calls.size;
  }

  /** Takes no more calls, lets those in flight end for a while, aborts the rest and closes every connection. */
  async close(graceMs: number = RPC_CONFIG.closeGraceMs): Promise<void> {
    this.#closing = true;
    const drained = new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve());
    });
    try {
      await withDeadline(drained, graceMs, 'calls in flight');
    } catch {
      // Not `shutting-down`: that is said of calls that had no effect.
      for (const call of this.#calls)
        call.abort(
          new SwarmError({
            code: 'unavailable',
            reason: 'connection-failed',
            message: 'the daemon was shut down before it answered',
          }),
        );
      await new Promise((resolve) => setImmediate(resolve));
      this.#server.forceShutdown();
    }
    for (const call of this.#calls) call.abort(cancelledError());
    if (this.#socketPath !== undefined) await unlink(this.#socketPath).catch(() => {});
  }
}

function bindError(address: string, cause: Error): SwarmError {
  const inUse = /EADDRINUSE/.test(cause.message);
  return new SwarmError({
    code: inUse ? 'exists' : 'unavailable',
    reason: inUse ? 'in-use' : 'connection-failed',
    message: inUse ? `${address} is in use by another process` : `cannot listen on ${address}: ${cause.message}`,
    hint: inUse ? 'stop that process, or choose another address' : 'check that the address belongs to this machine',
    cause,
  });
}

function somebodyListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const settle = (answer: boolean): void => {
      probe.destroy();
      resolve(answer);
    };
    probe.setTimeout(PROBE_TIMEOUT_MS, () => settle(true));
    probe.once('connect', () => settle(true));
    probe.once('error', () => settle(false));
  });
}
