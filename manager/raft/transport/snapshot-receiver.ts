import type { Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { SendSnapshotRequest } from '#gen/swarm/v1/raft.ts';
import type { PeerTransportConfig } from './config.ts';
import { fromWire } from './message-codec.ts';

type Request = NonNullable<SendSnapshotRequest['message']>;

/**
 * Takes a snapshot from the requests of a call: the header, then the sender's chunks, whole. A reader that is slow
 * slows the sender down; one piece has its deadline, the whole has none.
 */
export class SnapshotReceiver {
  readonly #iterator: AsyncIterator<SendSnapshotRequest>;
  readonly #config: PeerTransportConfig;
  readonly #clock: Clock;
  #stopped: SwarmError | undefined;
  /** Fails the read that waits for the next request. */
  #interrupt: (error: SwarmError) => void = () => {};

  constructor(requests: AsyncIterable<SendSnapshotRequest>, config: PeerTransportConfig, clock: Clock) {
    this.#iterator = requests[Symbol.asyncIterator]();
    this.#config = config;
    this.#clock = clock;
  }

  /** Whoever reads gets the error. */
  stop(error: SwarmError): void {
    this.#stopped = error;
    this.#interrupt(error);
  }

  /** @throws SwarmError when what comes first is not the header of a snapshot. */
  async header(): Promise<Message> {
    const first = await this.#next(this.#config.helloTimeoutMs);
    if (first?.kind !== 'header') throw broken('it does not begin with a header');
    const message = fromWire(first.value);
    if (message.type !== 'MsgSnap') throw broken(`its header is a ${message.type}`);
    return message;
  }

  /** To be read once, after the header. Throws unless the snapshot comes to its end. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    let parts: Uint8Array[] = [];
    let partsBytes = 0;
    for (let count = 0; ; ) {
      const request = await this.#next(this.#config.snapshotPartTimeoutMs);
      switch (request?.kind) {
        case 'part':
        case 'chunk':
          parts.push(request.value);
          partsBytes += request.value.length;
          if (partsBytes > this.#config.snapshotChunkBytes)
            throw broken(`a chunk is larger than ${this.#config.snapshotChunkBytes} bytes`);
          if (request.kind === 'part') break;
          yield parts.length === 1 ? request.value : joined(parts, partsBytes);
          count++;
          parts = [];
          partsBytes = 0;
          break;
        case 'end':
          if (parts.length > 0 || request.value !== count) throw broken('a part of it is missing');
          return;
        case undefined:
        case 'header':
          throw broken(request === undefined ? 'it was cut' : 'it has two headers');
      }
    }
  }

  /** The next request; undefined when the stream ended, or holds what this release does not know. */
  async #next(timeoutMs: number): Promise<Request | undefined> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const next = new Promise<IteratorResult<SendSnapshotRequest>>((resolve, reject) => {
      this.#interrupt = reject;
      this.#iterator.next().then(resolve, reject);
    });
    const result = await withDeadline(next, timeoutMs, 'the next piece of a snapshot', this.#clock);
    return result.done === true ? undefined : result.value.message;
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

function broken(what: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-message',
    message: `a snapshot from another manager cannot be used: ${what}`,
  });
}
