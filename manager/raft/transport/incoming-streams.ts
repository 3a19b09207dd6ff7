import type { Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { ExchangeRequest, ExchangeResponse, RaftMember, RaftMessages } from '#gen/swarm/v1/raft.ts';
import type { ResponseStream } from '#proto/grpc/methods.ts';
import type { PeerHandler } from '../peer-transport.ts';
import type { PeerTransportConfig } from './config.ts';
import { fromWire } from './message-codec.ts';

export interface IncomingContext {
  readonly handler: PeerHandler;
  readonly config: PeerTransportConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The peer said something. */
  readonly heard: (raftId: number) => void;
  /** The peer's stream was accepted. */
  readonly arrived: (raftId: number) => void;
}

/** A stream that a peer has opened. */
interface Incoming {
  readonly from: RaftMember;
  readonly to: number;
  /** What the peer's certificate says. */
  readonly nodeId: string;
  /** Why the node may not speak for a member that the log does not name. */
  readonly strangerProblem: () => SwarmError | undefined;
  /** Ends the stream with the error. */
  readonly stop: (error: SwarmError) => void;
  /** Something that has no place in it was dropped, and logged. */
  complained: boolean;
}

/** The streams that peers have opened to this manager, one of each. */
export class IncomingStreams {
  readonly #context: IncomingContext;
  readonly #streams = new Map<number, Incoming>();
  #isReviewing = false;

  constructor(context: IncomingContext) {
    this.#context = context;
  }

  /** The node that speaks for the member now, by its certificate. */
  nodeOf(raftId: number): string | undefined {
    return this.#streams.get(raftId)?.nodeId;
  }

  /** Asks again whether the streams of those who are no peers are welcome: a member that was removed must be told. */
  review(isPeer: (raftId: number) => boolean): void {
    // Asking may change the peers, and so lead here again.
    if (this.#isReviewing) return;
    this.#isReviewing = true;
    try {
      for (const stream of this.#streams.values()) {
        if (isPeer(stream.from.raftId)) continue;
        const answer = this.#context.handler.hello({ from: stream.from, to: stream.to }, stream.nodeId);
        if (answer instanceof SwarmError) stream.stop(answer);
      }
    } finally {
      this.#isReviewing = false;
    }
  }

  /**
   * Asks again whether those that the log does not name may speak: a node may have been removed or demoted since it said
   * hello. Returns whose streams were ended.
   */
  reviewStrangers(): readonly number[] {
    const { handler, logger } = this.#context;
    const ended: number[] = [];
    for (const [raftId, stream] of this.#streams) {
      const problem = handler.isNamed(raftId, stream.nodeId) ? undefined : stream.strangerProblem();
      if (problem === undefined) continue;
      logger.warn('the stream of a manager is ended', { peer: stream.nodeId, raftId, error: problem.message });
      // Nothing more of it is taken, and nobody asks whether it is welcome.
      this.#streams.delete(raftId);
      stream.stop(problem);
      ended.push(raftId);
    }
    return ended;
  }

  stopAll(error: SwarmError): void {
    for (const stream of this.#streams.values()) stream.stop(error);
  }

  /** Serves a stream to its end. Rejects with what the peer is told. */
  async serve(
    requests: AsyncIterable<ExchangeRequest>,
    responses: ResponseStream<ExchangeResponse>,
    nodeId: string,
    strangerProblem: () => SwarmError | undefined,
  ): Promise<void> {
    const { clock, config, handler, logger } = this.#context;
    const iterator = requests[Symbol.asyncIterator]();
    const first = await withDeadline(iterator.next(), config.helloTimeoutMs, 'the hello of a manager', clock);
    const { from, to } = helloOf(first);
    const problem = handler.isNamed(from.raftId, nodeId) ? undefined : strangerProblem();
    if (problem !== undefined) throw problem;
    const self = handler.hello({ from, to }, nodeId);
    if (self instanceof SwarmError) throw self;
    let stop = (_error: SwarmError): void => {};
    const stopped = new Promise<never>((_resolve, reject) => {
      stop = reject;
    });
    // It may be stopped before anybody waits for that.
    stopped.catch(() => {});
    const stream: Incoming = { from, to, nodeId, strangerProblem, stop, complained: false };
    this.#streams.get(from.raftId)?.stop(replaced(from));
    this.#streams.set(from.raftId, stream);
    logger.info('stream from manager accepted', { peer: nodeId, raftId: from.raftId, address: from.address });
    try {
      const reading = this.#read(stream, iterator, responses);
      // Comes to its end by itself once the call has ended.
      reading.catch(() => {});
      await responses.write({ message: { kind: 'welcome', value: { self } } });
      handler.changed(from.raftId);
      this.#context.arrived(from.raftId);
      await Promise.race([reading, stopped]);
    } finally {
      if (this.#streams.get(from.raftId) === stream) {
        this.#streams.delete(from.raftId);
        handler.changed(from.raftId);
      }
    }
  }

  async #read(
    stream: Incoming,
    iterator: AsyncIterator<ExchangeRequest>,
    responses: ResponseStream<ExchangeResponse>,
  ): Promise<void> {
    const { raftId } = stream.from;
    for (;;) {
      const next = await iterator.next();
      // What a stream says after another took its place is out of order.
      if (next.done === true || this.#streams.get(raftId) !== stream) return;
      this.#context.heard(raftId);
      const { message } = next.value;
      if (message?.kind === 'messages') this.#receive(stream, message.value);
      else if (message?.kind === 'ping') await responses.write({ message: { kind: 'pong', value: message.value } });
      else this.#complain(stream, 'a request that has no place here');
    }
  }

  #receive(stream: Incoming, batch: RaftMessages): void {
    const { raftId } = stream.from;
    const messages: Message[] = [];
    for (const wire of batch.messages) {
      if (wire.from !== raftId || wire.to !== stream.to) {
        this.#complain(stream, `a message from ${wire.from} to ${wire.to}`);
        continue;
      }
      try {
        messages.push(fromWire(wire));
      } catch (error) {
        this.#complain(stream, SwarmError.from(error).message);
      }
    }
    if (messages.length > 0) this.#context.handler.messages(raftId, messages);
  }

  #complain(stream: Incoming, what: string): void {
    if (stream.complained) return;
    stream.complained = true;
    const { raftId } = stream.from;
    this.#context.logger.warn('a manager said something that is dropped', { peer: stream.nodeId, raftId, what });
  }
}

function helloOf(first: IteratorResult<ExchangeRequest>): { readonly from: RaftMember; readonly to: number } {
  const message = first.done === true ? undefined : first.value.message;
  if (message?.kind !== 'hello' || message.value.from === undefined || message.value.from.raftId === 0)
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-message',
      message: 'a stream between managers begins with a hello that names its sender',
    });
  return { from: message.value.from, to: message.value.to };
}

function replaced(from: RaftMember): SwarmError {
  return new SwarmError({
    code: 'cancelled',
    reason: 'cancelled',
    message: `manager ${from.nodeId} has opened another stream`,
  });
}
