import { chmod, unlink } from 'node:fs/promises';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { MethodPath } from '#gen/services.ts';
import { refuseCall, refuseForwarding } from '../authorization.ts';
import type { MethodDefinition } from '../codec.ts';
import {
  type Caller,
  type CertifiedCaller,
  type ClientIdentity,
  describeCaller,
  type NodeRoleName,
  type PeerIdentity,
} from './caller.ts';
import { messageOptions, RPC_CONFIG } from './config.ts';
import { cancelledError, STATUS } from './errors.ts';
import { FirstCalls } from './first-calls.ts';
import { FORWARDED_KEY, readForwardedCall } from './forwarding.ts';
import { type AuthContext, acceptCall, type IncomingCall } from './incoming-call.ts';
import { prepareListeners } from './listener-options.ts';
import type { Handlers } from './methods.ts';
import { type AnyHandler, type CallOrigin, ServerCall } from './server-call.ts';

/** The part of a call that tells the peer's certificate. */
export interface PeerOfCall {
  getAuthContext(): AuthContext;
}

export interface CertificateTrust {
  readonly kind: 'certificate';
  readonly identify: (call: PeerOfCall) => CertifiedCaller | undefined;
  /** The cluster that callers have to belong to; undefined as long as there is none. */
  readonly clusterId: () => string | undefined;
  /** A last word on a caller that its certificate and the table admit: a node that was removed, say. */
  readonly admit?: ((caller: PeerIdentity, path: string) => SwarmError | undefined) | undefined;
  /** The same for a client from outside of the swarm, one that was revoked, say. All are refused when left out. */
  readonly admitClient?: ((caller: ClientIdentity) => SwarmError | undefined) | undefined;
  /** Why a caller is a stranger that showed a certificate (DER) which TLS has not verified; undefined for the usual. */
  readonly explainStranger?: ((untrustedCertificate: Buffer) => SwarmError | undefined) | undefined;
  /** The role that the caller has by now; a certificate outlives a demotion. That of the certificate when left out. */
  readonly roleOf?: ((caller: PeerIdentity, path: string) => NodeRoleName) | undefined;
}

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
  /** host:port that the call came from; empty for the local socket. */
  readonly peer: string;
  readonly durationMs: number;
  /** What the caller was told, if the call failed. */
  readonly error: SwarmError | undefined;
}

/** A definition whose methods the authorization table knows. */
export type ContractService = Readonly<Record<string, MethodDefinition & { readonly path: MethodPath }>>;

interface ServedMethod {
  readonly definition: MethodDefinition;
  readonly handler: AnyHandler;
}

/** Where grpc-js hands on each HTTP/2 stream; no part of its public interface, and so asserted by the tests. */
interface StreamServer {
  _streamHandler: (interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
}

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
  readonly #methods = new Map<string, ServedMethod>();
  readonly #calls = new Set<ServerCall>();
  readonly #firstCalls = new FirstCalls(RPC_CONFIG.firstCallsSliceMs);
  #socketPath: string | undefined;
  #closing = false;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.#server = new Server({
      // Image archives and contexts come over the local socket; what nodes say is small.
      ...messageOptions(options.trust.kind === 'local'),
      'grpc.max_concurrent_streams': RPC_CONFIG.streamsPerConnection,
    });
    prepareListeners(this.#server, { backlog: RPC_CONFIG.backlog });
    // grpc-js keeps listeners, connections and their signs of life; calls are served without it, at half the cost.
    // A private method to the types, which a subclass may not replace either.
    const streams = this.#server as unknown as StreamServer;
    streams._streamHandler = (_interceptors, stream, headers) => this.#begin(stream, headers);
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

  #serve(definition: MethodDefinition, handler: AnyHandler): void {
    this.#methods.set(definition.path, { definition, handler });
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const incoming = acceptCall(stream, headers);
    if (incoming === undefined) return;
    const method = this.#methods.get(incoming.path);
    if (method !== undefined) this.#acceptInTurn(method, incoming);
    else incoming.refuse({ code: STATUS.unimplemented, details: `no such method: ${incoming.path}`, extra: undefined });
  }

  #acceptInTurn(method: ServedMethod, incoming: IncomingCall): void {
    if (this.#options.trust.kind === 'local' || incoming.isOfKnownConnection) this.#accept(method, incoming);
    else
      this.#firstCalls.add(() => {
        if (incoming.isOver) incoming.end();
        else this.#accept(method, incoming);
      });
  }

  /** Begins the call, or refuses it. */
  #accept({ definition, handler }: ServedMethod, incoming: IncomingCall): void {
    const { path } = definition;
    let origin: CallOrigin = { caller: { kind: 'anonymous' }, forwardedBy: undefined, peer: incoming.peer };
    try {
      if (this.#closing)
        throw new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: 'the daemon is shutting down' });
      origin = { ...origin, caller: this.#callerOf(incoming, path) };
      origin = this.#originOf(incoming, path, origin);
      const refusal = refuseCall(path, origin.caller);
      if (refusal !== undefined) throw this.#strangerProblem(incoming, origin.caller) ?? refusal;
    } catch (error) {
      incoming.fail(error);
      this.#finished(path, origin, 0, SwarmError.from(error));
      return;
    }
    const call = new ServerCall(definition, incoming, origin);
    const startMs = systemClock.monotonic();
    this.#calls.add(call);
    void call.serve(handler).then((error) => {
      this.#calls.delete(call);
      this.#finished(path, origin, systemClock.monotonic() - startMs, error);
    });
  }

  #callerOf(incoming: IncomingCall, path: string): Caller {
    const { trust } = this.#options;
    if (trust.kind === 'local') return { kind: 'local' };
    const identity = trust.identify(incoming);
    if (identity === undefined) return { kind: 'anonymous' };
    return this.#certified(trust, identity, path);
  }

  #strangerProblem(incoming: IncomingCall, caller: Caller): SwarmError | undefined {
    const { trust } = this.#options;
    const { untrustedCertificate } = incoming.getAuthContext();
    if (caller.kind !== 'anonymous' || trust.kind === 'local' || untrustedCertificate === undefined) return undefined;
    return trust.explainStranger?.(untrustedCertificate);
  }

  /** Who made the call: whoever is connected, or whoever that manager names. */
  #originOf(incoming: IncomingCall, path: string, direct: CallOrigin): CallOrigin {
    const { trust } = this.#options;
    const { caller } = direct;
    const values = incoming.binaryMetadata(FORWARDED_KEY);
    if (values.length === 0) return caller.kind === 'local' ? { ...direct, peer: '' } : direct;
    const refusal = refuseForwarding(path, caller);
    if (refusal !== undefined) throw refusal;
    assert(trust.kind === 'certificate' && caller.kind === 'node', 'only managers pass calls on');
    const forwarded = readForwardedCall(values);
    return { ...forwarded, caller: this.#judged(trust, forwarded.caller, path), forwardedBy: caller };
  }

  /** The caller as it is by now, if it is one that has shown a certificate. */
  #judged(trust: CertificateTrust, caller: Caller, path: string): Caller {
    return caller.kind === 'node' || caller.kind === 'client' ? this.#certified(trust, caller, path) : caller;
  }

  #certified(trust: CertificateTrust, caller: CertifiedCaller, path: string): Caller {
    return caller.kind === 'node' ? this.#member(trust, caller, path) : this.#client(trust, caller);
  }

  /** @throws SwarmError for a client of another cluster, or one that is not admitted. */
  #client({ clusterId, admitClient }: CertificateTrust, client: CertifiedCaller & { kind: 'client' }): Caller {
    const own = clusterId();
    if (client.clusterId !== own)
      throw new SwarmError({
        code: 'unauthenticated',
        reason: 'wrong-cluster',
        message: `client ${client.clientId} belongs to cluster ${client.clusterId}, not to ${own ?? 'this one'}`,
        hint: 'use a context of this cluster: `swarm context ls`',
      });
    const refusal = admitClient === undefined ? noClients(client) : admitClient(client);
    if (refusal !== undefined) throw refusal;
    return client;
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

  #finished(path: string, { caller, peer }: CallOrigin, durationMs: number, error: SwarmError | undefined): void {
    const { logger, onCall } = this.#options;
    onCall?.({ path, caller, peer, durationMs, error });
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

  /**
   * Asks again whether who made a call, or passed it on, may make it, and ends streams whose caller may not any more:
   * who was demoted, removed or revoked since. Calls with one answer are left to come to their end.
   */
  review(isConcerned: (id: string) => boolean): void {
    for (const call of this.#calls) {
      const { caller, forwardedBy } = call;
      const concerned =
        (caller.kind === 'node' && isConcerned(caller.nodeId)) ||
        (caller.kind === 'client' && isConcerned(caller.clientId)) ||
        (forwardedBy !== undefined && isConcerned(forwardedBy.nodeId));
      const problem = call.isStream && concerned ? this.#problemOf(call) : undefined;
      if (problem !== undefined) call.abort(problem);
    }
  }

  /**
   * Ends streams whose caller, or the manager that passed them on, has a certificate that has run out by now: its next
   * call would be refused, too.
   */
  endExpired(nowMs: number): void {
    for (const call of this.#calls) {
      const { caller, forwardedBy } = call;
      const ends = 'notAfterMs' in caller ? caller.notAfterMs : Number.POSITIVE_INFINITY;
      if (!call.isStream || nowMs <= Math.min(ends, forwardedBy?.notAfterMs ?? ends)) continue;
      call.abort(
        new SwarmError({
          code: 'unauthenticated',
          reason: 'expired',
          message: `the certificate that ${describeCaller(caller)} opened this stream with has expired`,
          hint: 'open it again with the certificate that there is now',
        }),
      );
    }
  }

  /** Why the call would be refused now. */
  #problemOf({ caller, forwardedBy, path }: ServerCall): SwarmError | undefined {
    const { trust } = this.#options;
    if (trust.kind !== 'certificate') return undefined;
    try {
      const passedOn =
        forwardedBy === undefined ? undefined : refuseForwarding(path, this.#member(trust, forwardedBy, path));
      return passedOn ?? refuseCall(path, this.#judged(trust, caller, path));
    } catch (refusal) {
      return SwarmError.from(refusal);
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

function noClients({ clientId }: ClientIdentity): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'client-revoked',
    message: `client ${clientId} is not known here`,
    hint: 'ask a manager of its swarm',
  });
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
