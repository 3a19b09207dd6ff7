/** Answers the questions that come to one UDP socket, as many at a time as are waiting. */
import { DatagramBatch, sendDatagram } from '#agent/kernel/datagram-batch.ts';
import { closeDescriptor, type DescriptorWatch, watchReadable } from '#agent/kernel/libc.ts';
import type { Clock } from '#common/clock.ts';
import type { DnsServerConfig } from '../config.ts';
import type { QueryHandler } from './query-handler.ts';

/** Questions before others (TCP, the daemon, timers) get their turn: half a millisecond of work. */
const QUESTIONS_PER_TURN = 64;

export interface UdpQuestionsOptions {
  readonly handler: QueryHandler;
  readonly clock: Clock;
  /** Whether the asker may ask one more. */
  readonly admit: (source: string, nowMs: number) => boolean;
  /** Shared by all sockets of a server. */
  readonly batch: DatagramBatch;
}

export function questionBatch(config: DnsServerConfig): DatagramBatch {
  return new DatagramBatch({
    count: QUESTIONS_PER_TURN,
    // One byte more, so that a question that is too long shows.
    receiveBytes: config.questionBytesMax + 1,
    sendBytes: config.udpPayloadBytes,
  });
}

export class UdpQuestions {
  /** It is closed with this. */
  readonly descriptor: number;
  readonly #options: UdpQuestionsOptions;
  readonly #watch: DescriptorWatch;
  #closed = false;

  constructor(descriptor: number, options: UdpQuestionsOptions) {
    this.descriptor = descriptor;
    this.#options = options;
    this.#watch = watchReadable(descriptor, true, () => this.#answerWaiting());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    closeDescriptor(this.descriptor);
  }

  #answerWaiting(): void {
    if (this.#closed) return;
    const { batch, clock, admit } = this.#options;
    const count = batch.receive(this.descriptor);
    const nowMs = clock.monotonic();
    for (let index = 0; index < count; index++) {
      const source = batch.sender(index);
      if (admit(source, nowMs)) this.#answer(index, source);
    }
    batch.flush(this.descriptor);
  }

  #answer(index: number, source: string): void {
    const { batch, handler } = this.#options;
    const length = batch.lengthOf(index);
    const known = handler.handleAgain(batch.datagram(index), length, source);
    if (known !== undefined) {
      batch.reply(index, known);
      return;
    }
    // A copy: what is asked elsewhere is needed for longer than the batch lasts.
    const answer = handler.handle(Buffer.from(batch.datagram(index).subarray(0, length)), source, 'udp');
    if (answer === undefined) return;
    if (!(answer instanceof Promise)) {
      batch.reply(index, answer);
      return;
    }
    const returnAddress = batch.returnAddress(index);
    void answer.then((late) => {
      if (!this.#closed) sendDatagram(this.descriptor, late, returnAddress);
    });
  }
}
