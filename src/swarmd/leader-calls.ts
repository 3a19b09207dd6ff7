/**
 * Brings calls to the leader, wherever it is: runs them here when this manager leads, else passes them on with the
 * identity of their caller. Waits while there is no leader. Tries again what certainly had no effect, and nothing else.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { abortError, UnsentError } from '#proto/grpc/errors.ts';
import { forwardingMetadata } from '#proto/grpc/forwarding.ts';
import type { CallOptions } from '#proto/grpc/methods.ts';
import type { Transport } from '#proto/grpc/transport.ts';
import { Attempts } from './leader-attempts.ts';
import { LEADER_CALLS_DEFAULTS, type LeaderCallsConfig } from './leader-config.ts';
import { LeaderLink, type LinkIdentity } from './leader-link.ts';
import { type Leader, type LeadershipSource, LeaderWatch } from './leader-watch.ts';

export interface LeaderCallsOptions {
  readonly log: LeadershipSource;
  readonly identity: LinkIdentity;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config?: LeaderCallsConfig | undefined;
}

/** What the leader is asked, and how this manager answers when it is the leader itself. */
export interface UnaryCall<T> {
  readonly local: () => Promise<T>;
  readonly remote: (transport: Transport, options: CallOptions) => Promise<T>;
}

export interface StreamCall<T> {
  readonly local: () => AsyncIterable<T>;
  readonly remote: (transport: Transport, options: CallOptions) => AsyncIterable<T>;
}

type Context = Pick<CallContext, 'caller' | 'forwardedBy' | 'peer' | 'deadlineMs' | 'signal'>;

/** Refusals of a manager that has done nothing with the call. */
const NO_EFFECT: ReadonlySet<string> = new Set(['not-leader', 'shutting-down']);

export class LeaderCalls {
  readonly watch: LeaderWatch;
  readonly #options: LeaderCallsOptions;
  readonly #config: LeaderCallsConfig;
  /** To other managers, by node: they stand before one of these leads. */
  readonly #links = new Map<string, LeaderLink>();
  #closed = false;

  constructor(options: LeaderCallsOptions) {
    this.#options = options;
    this.#config = options.config ?? LEADER_CALLS_DEFAULTS;
    this.watch = new LeaderWatch(options.log, options.clock, this.#config.leaderWaitMs);
  }

  /** This manager ends: nothing is to be tried again. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether this manager leads. */
  get leading(): boolean {
    return this.watch.leading;
  }

  /**
   * Makes the call at the leader.
   * @throws SwarmError what the leader says; `no-quorum` without one; `leadership-lost` when the lead moved and nobody
   * knows what became of the call; `not-leader` for a call that another manager has passed on to the wrong one.
   */
  async unary<T>(context: Context, call: UnaryCall<T>): Promise<T> {
    const attempts = new Attempts(this.#options, this.#config);
    for (;;) {
      const leader = await this.#leader(context, attempts);
      try {
        if (leader.kind === 'self') return await call.local();
        return await this.#callOther(leader, context, call);
      } catch (thrown) {
        await this.#beforeRetry(attempts, leader, thrown, context, hadNoEffect);
      }
    }
  }

  /** The same for a stream of answers that changes nothing. Not begun anew once something of it has been passed on. */
  async *stream<T>(context: Context, call: StreamCall<T>): AsyncGenerator<T> {
    let attempts = new Attempts(this.#options, this.#config);
    for (;;) {
      const leader = await this.#leader(context, attempts);
      let begun = false;
      try {
        const answers = leader.kind === 'self' ? call.local() : this.#streamOther(leader, context, call);
        for await (const answer of answers) {
          begun = true;
          yield answer;
        }
        return;
      } catch (thrown) {
        if (begun) throw thrown;
        // A stream that stood for long, silent, has met a change of leader of its own.
        if (attempts.lasted && !(thrown instanceof UnsentError)) attempts = new Attempts(this.#options, this.#config);
        const isUnavailable = (error: SwarmError): boolean => error.code === 'unavailable' || isExpired(error);
        await this.#beforeRetry(attempts, leader, thrown, context, isUnavailable);
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.watch.close();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  /**
   * Connects to the other managers as far as they can be reached, so that a call that waits for a new leader does not
   * wait for a handshake besides. Told all of them, whenever they change.
   */
  prepare(others: readonly (ManagerPeer & { readonly reachable: boolean })[]): void {
    const nodeIds = new Set(others.map(({ nodeId }) => nodeId));
    for (const nodeId of this.#links.keys()) if (!nodeIds.has(nodeId)) this.#drop(nodeId);
    for (const { nodeId, address, reachable } of others) {
      if (!reachable) continue;
      const link = this.#linkTo({ nodeId, address });
      link
        .transport('unary')
        .connected(this.#config.leaderWaitMs)
        .catch(() => {
          if (this.#links.get(nodeId) === link) this.#drop(nodeId);
        });
    }
  }

  /** Who is to answer. A call that was passed on is never passed on again. */
  async #leader(context: Context, attempts: Attempts): Promise<Leader> {
    if (this.watch.leading) return { kind: 'self' };
    if (context.forwardedBy !== undefined) return this.#leaderPassedOnTo(context.signal);
    const { clock } = this.#options;
    const callerMs = context.deadlineMs === undefined ? Number.POSITIVE_INFINITY : context.deadlineMs - clock.now();
    const deadlineMs = Math.min(attempts.untilMs, clock.monotonic() + callerMs);
    return this.watch.leader({ deadlineMs, signal: context.signal });
  }

  /** Others hear of a new leader before it has caught up with its own log, which is a matter of one more write. */
  async #leaderPassedOnTo(signal: AbortSignal): Promise<Leader> {
    if (this.watch.current() === undefined) {
      const deadlineMs = this.#options.clock.monotonic() + this.#config.catchUpMs;
      await this.watch.leader({ deadlineMs, signal }).catch(() => {});
    }
    if (!this.watch.leading) throw notTheLeader(this.watch.current());
    return { kind: 'self' };
  }

  /** Resolves when the call may be made again. @throws the error when it may not */
  async #beforeRetry(
    attempts: Attempts,
    leader: Leader,
    thrown: unknown,
    context: Context,
    repeatable: (error: SwarmError) => boolean,
  ): Promise<void> {
    const error = SwarmError.from(thrown);
    if (!repeatable(error) || context.forwardedBy !== undefined || context.signal.aborted) throw error;
    if (attempts.failed()) throw this.#options.log.quorumProblem() ?? error;
    // The news of another leader may have come before the refusal.
    const isStillLeader = leader.kind === 'self' ? this.watch.leading : this.#leads(leader);
    if (isStillLeader) await this.watch.changed(attempts.nextDelayMs(), context.signal);
    if (context.signal.aborted) throw abortError(context.signal);
  }

  async #callOther<T>(leader: ManagerPeer, context: Context, call: UnaryCall<T>): Promise<T> {
    const watched = this.#watchLead(leader, context.signal);
    try {
      const transport = await this.#connected(leader, 'unary');
      const { callTimeoutMs } = this.#config;
      const timeoutMs =
        context.deadlineMs === undefined ? callTimeoutMs : context.deadlineMs - this.#options.clock.now();
      return await call.remote(transport, {
        timeoutMs,
        signal: watched.signal,
        metadata: forwardingMetadata(context),
      });
    } catch (thrown) {
      const error = this.#noted(leader, thrown);
      throw brokeUnderway(error) ? leaderGone(leader, 'went away', error) : error;
    } finally {
      watched.stop();
    }
  }

  async *#streamOther<T>(leader: ManagerPeer, context: Context, call: StreamCall<T>): AsyncGenerator<T> {
    const watched = this.#watchLead(leader, context.signal);
    try {
      const transport = await this.#connected(leader, 'stream');
      const timeoutMs = context.deadlineMs === undefined ? undefined : context.deadlineMs - this.#options.clock.now();
      yield* call.remote(transport, { timeoutMs, signal: watched.signal, metadata: forwardingMetadata(context) });
    } catch (thrown) {
      const error = this.#noted(leader, thrown);
      // Its streams are ended when another manager leads.
      throw error.code === 'cancelled' && !context.signal.aborted ? leaderGone(leader, 'lost the lead') : error;
    } finally {
      watched.stop();
    }
  }

  /**
   * A link that could not be made is left, so that the next attempt does not wait for this one's backoff. So is one that
   * was made with a certificate which has been renewed since.
   */
  #noted({ nodeId }: ManagerPeer, thrown: unknown): SwarmError {
    const error = SwarmError.from(thrown);
    if (error instanceof UnsentError || isExpired(error)) {
      this.#options.logger.debug('the connection to the leader is of no use', { error: error.message });
      this.#drop(nodeId);
    }
    return error;
  }

  async #connected(leader: ManagerPeer, kind: 'unary' | 'stream'): Promise<Transport> {
    const link = this.#linkTo(leader);
    for (const other of this.#links.values()) if (other !== link) other.endStreams();
    const transport = link.transport(kind);
    await this.#whileLeading(leader, transport.connected(this.#config.leaderWaitMs));
    if (link.closed) throw notConnected(leader, 'was closed');
    return transport;
  }

  #linkTo(peer: ManagerPeer): LeaderLink {
    const before = this.#links.get(peer.nodeId);
    if (before?.peer.address === peer.address) return before;
    before?.close();
    const link = new LeaderLink(peer, this.#options.identity);
    this.#links.set(peer.nodeId, link);
    return link;
  }

  #drop(nodeId: string): void {
    this.#links.get(nodeId)?.close();
    this.#links.delete(nodeId);
  }

  /** As the work does, but no longer than the leader leads: a dead machine does not refuse connections. */
  async #whileLeading(leader: ManagerPeer, connecting: Promise<void>): Promise<void> {
    const { promise: deposed, reject } = Promise.withResolvers<never>();
    const unsubscribe = this.watch.onChange(() => {
      if (!this.#leads(leader)) reject(notConnected(leader, 'was given up: it does not lead any more'));
    });
    connecting.catch(() => {}); // told by the race, if it comes first
    try {
      await Promise.race([connecting, deposed]);
    } finally {
      unsubscribe();
    }
  }

  /** A signal that is aborted with the caller's, and when another manager has led for a while. */
  #watchLead(leader: ManagerPeer, caller: AbortSignal): { readonly signal: AbortSignal; readonly stop: () => void } {
    const { clock } = this.#options;
    const moved = new AbortController();
    let cancel: CancelTimer | undefined;
    const look = (): void => {
      if (this.#leads(leader)) {
        cancel?.();
        cancel = undefined;
      } else
        cancel ??= clock.setTimer(this.#config.answerGraceMs, () => moved.abort(leaderGone(leader, 'lost the lead')));
    };
    const unsubscribe = this.watch.onChange(look);
    look();
    return {
      signal: AbortSignal.any([caller, moved.signal]),
      stop: () => {
        cancel?.();
        unsubscribe();
      },
    };
  }

  #leads(peer: ManagerPeer): boolean {
    try {
      const leader = this.watch.current();
      return leader?.kind === 'other' && leader.nodeId === peer.nodeId;
    } catch {
      return false; // this manager is shutting down
    }
  }
}

function hadNoEffect(error: SwarmError): boolean {
  return error instanceof UnsentError || NO_EFFECT.has(error.reason) || isExpired(error);
}

function isExpired({ code, reason }: SwarmError): boolean {
  return code === 'unauthenticated' && reason === 'expired';
}

function notTheLeader(leader: Leader | undefined): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-leader',
    message: `this manager does not lead the swarm${leader?.kind === 'other' ? `, the one at ${leader.address} does` : ''}`,
    hint: 'try again in a moment',
  });
}

function notConnected(leader: ManagerPeer, what: string): UnsentError {
  return new UnsentError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: `the connection to the leader at ${leader.address} ${what}`,
  });
}

/** The connection was lost with the call on it, or the server shut down over it. */
function brokeUnderway(error: SwarmError): boolean {
  return error.code === 'unavailable' && error.reason === 'connection-failed' && !(error instanceof UnsentError);
}

function leaderGone(leader: ManagerPeer, how: string, cause?: SwarmError): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'leadership-lost',
    message: `the manager at ${leader.address} ${how} before it answered; the change may or may not have come into effect`,
    hint: 'look whether it did before trying again',
    cause,
  });
}
