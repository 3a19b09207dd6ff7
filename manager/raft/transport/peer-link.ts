import type { Message } from 'raft-ts';
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { ExchangeRequest, ExchangeResponse, type RaftMember, RaftService } from '#gen/swarm/v1/raft.ts';
import type { RawCall, Transport } from '#proto/grpc/transport.ts';
import type { PeerHandler, PeerState } from '../peer-transport.ts';
import type { PeerTransportConfig } from './config.ts';
import { encodeMessages } from './message-codec.ts';
import { PeerQueue } from './peer-queue.ts';
import { Pulse } from './pulse.ts';

/** What the links of one transport share. */
export interface LinkContext {
  readonly handler: PeerHandler;
  readonly connect: (peer: RaftMember) => Transport;
  readonly config: PeerTransportConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A stream that is being opened or stands. */
interface Attempt {
  readonly transport: Transport;
  readonly call: RawCall;
  readonly pulse: Pulse;
  /** Why this side ended it, which says more than what the transport makes of that. */
  ended: SwarmError | undefined;
  /** When the peer accepted the hello, monotonic. */
  openedMs: number | undefined;
}

/**
 * What this manager says to one other: a stream that is opened again whenever it is lost.
 *
 *     connecting --welcome--> open --lost--> waiting --backoff over, or the peer says hello--> connecting
 *         └──────── failed, refused ──────────↗                                  close() ends it in any state
 */
export class PeerLink {
  readonly peer: RaftMember;
  readonly #context: LinkContext;
  readonly #queue: PeerQueue;
  #attempt: Attempt | undefined;
  #cancelWait: CancelTimer | undefined;
  #closed = false;
  /** Attempts since a stream was stable. */
  #failures = 0;
  /** An open stream was lost, and it is not known yet whether the process behind it is gone too. */
  #lost = false;
  /** Messages were dropped since the queue was last empty. */
  #overflowed = false;
  #flushing = false;
  #blocked = false;
  /** A message that only tells what is committed, to be sent unless entries follow soon. */
  #notice: Message | undefined;
  #cancelNotice: CancelTimer | undefined;
  #lastHeardMs = Number.NEGATIVE_INFINITY;
  #roundTripMs: number | undefined;
  #error: SwarmError | undefined;

  constructor(peer: RaftMember, context: LinkContext) {
    this.peer = peer;
    this.#context = context;
    this.#queue = new PeerQueue(context.config);
  }

  start(): void {
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#attempt?.openedMs !== undefined;
  }

  state(): PeerState {
    return {
      connected: this.isOpen,
      lastHeardMs: this.#lastHeardMs,
      roundTripMs: this.#attempt?.pulse.roundTripMs ?? this.#roundTripMs,
      error: this.#error,
    };
  }

  /** The peer said something on any stream. */
  heard(): void {
    this.#lastHeardMs = this.#context.clock.monotonic();
  }

  /** Messages wait while the stream is being opened; without one they are dropped. */
  send(message: Message): void {
    if (this.#attempt === undefined) return;
    if (message.type === 'MsgApp') {
      // What follows the notice says as much, and what follows it at once also says it soon enough.
      this.#notice = undefined;
      if (message.entries.length === 0) {
        this.#postpone(message);
        return;
      }
    }
    this.#enqueue(message);
  }

  /** There is reason to think that the peer can be reached now. */
  retryNow(): void {
    if (this.#cancelWait === undefined) return;
    this.#failures = 0;
    this.#connect();
  }

  close(error: SwarmError): void {
    this.#closed = true;
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.#dropNotice();
    this.#end(error);
  }

  #enqueue(message: Message): void {
    if (!this.#queue.offer(message)) {
      this.#overflow();
      return;
    }
    if (this.#flushing || this.#blocked || !this.isOpen) return;
    this.#flushing = true;
    // After all that this turn has to say.
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #postpone(notice: Message): void {
    const { clock, config } = this.#context;
    this.#notice = notice;
    this.#cancelNotice ??= clock.setTimer(config.commitNoticeDelayMs, () => {
      this.#cancelNotice = undefined;
      const due = this.#notice;
      this.#notice = undefined;
      if (due !== undefined) this.#enqueue(due);
    });
  }

  #dropNotice(): void {
    this.#notice = undefined;
    this.#cancelNotice?.();
    this.#cancelNotice = undefined;
  }

  #connect(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    const self = this.#context.handler.self();
    if (this.#closed || self === undefined) {
      this.#wait(this.#delay());
      return;
    }
    void this.#exchange(self).then((error) => this.#over(error));
  }

  /** Opens a stream and keeps it until it ends; never rejects, resolves with the reason. */
  async #exchange(self: RaftMember): Promise<SwarmError> {
    const { clock, config } = this.#context;
    let attempt: Attempt | undefined;
    let cancelTimer: CancelTimer | undefined;
    try {
      attempt = this.#open();
      this.#attempt = attempt;
      cancelTimer = clock.setTimer(config.welcomeTimeoutMs, () => this.#end(silent(this.peer)));
      const hello = { kind: 'hello', value: { from: self, to: this.peer.raftId } } as const;
      attempt.call.write(ExchangeRequest.encode({ message: hello })).catch(() => {});
      for await (const bytes of attempt.call.messages) {
        this.heard();
        const { message } = ExchangeResponse.decode(bytes);
        if (message?.kind === 'pong') attempt.pulse.answered(message.value);
        if (message?.kind !== 'welcome') continue;
        checkWelcome(this.peer, message.value.self);
        cancelTimer();
        this.#opened(attempt);
      }
      return attempt.ended ?? ended(this.peer);
    } catch (error) {
      return attempt?.ended ?? SwarmError.from(error);
    } finally {
      cancelTimer?.();
      attempt?.pulse.stop();
      attempt?.transport.close();
    }
  }

  #open(): Attempt {
    const transport = this.#context.connect(this.peer);
    const call = transport.open(RaftService.exchange.path, { timeoutMs: undefined });
    const pulse = new Pulse({
      clock: this.#context.clock,
      config: this.#context.config,
      sendPing: (number) => {
        // A stream that has ended says so where it is read.
        call.write(ExchangeRequest.encode({ message: { kind: 'ping', value: number } })).catch(() => {});
      },
      dead: () => this.#end(silent(this.peer)),
    });
    return { transport, call, pulse, ended: undefined, openedMs: undefined };
  }

  #opened(attempt: Attempt): void {
    if (attempt.openedMs !== undefined || attempt !== this.#attempt) return;
    const { clock, handler, logger } = this.#context;
    attempt.openedMs = clock.monotonic();
    this.#error = undefined;
    this.#lost = false;
    this.#blocked = false;
    attempt.pulse.start();
    logger.info('stream to manager opened', this.#fields());
    handler.changed(this.peer.raftId);
    this.#flush();
  }

  /** Ends the stream from this side. */
  #end(error: SwarmError): void {
    const attempt = this.#attempt;
    if (attempt === undefined || attempt.ended !== undefined) return;
    attempt.ended = error;
    attempt.transport.close();
  }

  /** The stream is gone, or did not come about. */
  #over(error: SwarmError): void {
    const { clock, config, handler, logger } = this.#context;
    const { raftId } = this.peer;
    const openedMs = this.#attempt?.openedMs;
    this.#roundTripMs = this.#attempt?.pulse.roundTripMs ?? this.#roundTripMs;
    this.#attempt = undefined;
    this.#queue.clear();
    this.#dropNotice();
    this.#overflowed = false;
    if (this.#closed) return;
    const isNew = this.#error?.message !== error.message;
    this.#error = error;
    if (openedMs !== undefined) {
      this.#lost = true;
      if (clock.monotonic() - openedMs >= config.stableMs) this.#failures = 0;
      logger.warn('stream to manager lost', { ...this.#fields(), error: error.message });
      handler.unreachable(raftId);
    } else if (isNew) logger.info('manager cannot be reached', { ...this.#fields(), error: error.message });
    if (this.#lost && isRefused(error)) {
      this.#lost = false;
      handler.gone(raftId);
    }
    const refused = isRefusal(error);
    if (refused) handler.refused(raftId, error);
    if (openedMs !== undefined) handler.changed(raftId);
    this.#wait(refused ? config.refusedRetryMs : this.#delay());
  }

  /** No time after a loss: whether the process is gone decides how soon another leads. */
  #delay(): number {
    const { config, random } = this.#context;
    const attempt = this.#failures++;
    return attempt === 0 && this.#lost ? 0 : backoffDelay(config.reconnect, attempt, random);
  }

  #wait(delayMs: number): void {
    // A handler that was told of the loss may have closed this link.
    if (this.#closed) return;
    this.#cancelWait = this.#context.clock.setTimer(delayMs, () => this.#connect());
  }

  #flush(): void {
    const attempt = this.#attempt;
    if (attempt?.openedMs === undefined || this.#blocked || this.#queue.isEmpty) return;
    const batch = this.#queue.take(this.#context.config.batchBytes);
    if (this.#queue.isEmpty) this.#overflowed = false;
    let bytes: Uint8Array;
    try {
      bytes = encodeMessages(batch);
    } catch (error) {
      this.#context.logger.error('messages cannot be sent', {
        ...this.#fields(),
        error: SwarmError.from(error).message,
      });
      return;
    }
    this.#blocked = true;
    attempt.pulse.written(bytes.length);
    attempt.call.write(bytes).then(
      () => {
        if (attempt !== this.#attempt) return;
        this.#blocked = false;
        this.#flush();
      },
      // The stream has ended, which is told where it is read.
      () => {},
    );
  }

  #overflow(): void {
    if (this.#overflowed) return;
    this.#overflowed = true;
    const { handler, logger } = this.#context;
    logger.warn('messages for a manager are dropped: it does not take them', this.#fields());
    // Not from within `send`: whoever sends is in the middle of something.
    queueMicrotask(() => {
      if (!this.#closed) handler.unreachable(this.peer.raftId);
    });
  }

  #fields(): Record<string, unknown> {
    return { peer: this.peer.nodeId, raftId: this.peer.raftId, address: this.peer.address };
  }
}

/** The answers that no repetition changes soon. */
function isRefusal(error: SwarmError): boolean {
  return error.reason === 'node-removed' || error.reason === 'wrong-member';
}

/** Nothing listens where the peer should be. */
function isRefused(error: SwarmError): boolean {
  return error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ECONNREFUSED';
}

function checkWelcome(peer: RaftMember, self: RaftMember | undefined): void {
  if (self?.raftId === peer.raftId) return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'wrong-member',
    message: `${peer.address} is member ${self?.raftId ?? 'unknown'} of the log, not ${peer.raftId}`,
  });
}

function silent(peer: RaftMember): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'timeout',
    message: `manager ${peer.nodeId} at ${peer.address} does not answer`,
    hint: 'check the network between the managers',
  });
}

function ended(peer: RaftMember): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: `manager ${peer.nodeId} at ${peer.address} ended the stream`,
  });
}
