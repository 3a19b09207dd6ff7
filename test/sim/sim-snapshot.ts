import type { Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { connectionError, type Listener, type SimNetwork } from './sim-network.ts';
import type { SimProcess } from './sim-process.ts';

/** A chunk, or the final answer, that takes longer ends the attempt. */
const CHUNK_TIMEOUT_MS = 2000;
const ANSWER_TIMEOUT_MS = 10_000;
/** What the receiver waits for the next chunk. */
const SILENCE_MS = 4000;

/** The receiving end: chunks as they come, then the end or an error. */
class Incoming implements AsyncIterableIterator<Uint8Array> {
  readonly #clock: Clock;
  readonly #taken: () => void;
  readonly #chunks: Uint8Array[] = [];
  #isEnded = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  /** `taken` is called when a chunk was pulled. */
  constructor(clock: Clock, taken: () => void) {
    this.#clock = clock;
    this.#taken = taken;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#error = error;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#taken();
        return { done: false, value: chunk };
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        // The sender may be gone without a word.
        const cancel = this.#clock.setTimer(SILENCE_MS, () =>
          this.fail(connectionError('the next chunk does not come')),
        );
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Streams a snapshot from one process to another, a chunk at a time, each with a deadline; rejects when it breaks. */
export async function sendSnapshotInChunks(
  network: SimNetwork,
  sender: SimProcess,
  receiver: Listener,
  isWhole: () => boolean,
  message: Message,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  let taken: (() => void) | undefined;
  let failure: Error | undefined;
  let isAnswered = false;
  let finished: (() => void) | undefined;
  const answered = (error: Error | undefined): void => {
    isAnswered = true;
    failure = error;
    taken?.();
    finished?.();
  };
  const back = (run: () => void): void => {
    if (isWhole()) sender.after(network.delayMs(), run);
  };
  const incoming = new Incoming(receiver.process.clock, () => back(() => taken?.()));
  const there = (run: () => void): void => {
    if (!isWhole() || network.isLost()) return;
    receiver.process.after(network.delayMs(), run);
  };
  const wait = (timeoutMs: number, begin: (done: () => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const cancel = sender.clock.setTimer(timeoutMs, () => reject(connectionError('the snapshot is not taken')));
      begin(() => {
        cancel();
        resolve();
      });
    });

  there(() => {
    receiver.handler.snapshot(message.from, message, incoming).then(
      () => back(() => answered(undefined)),
      (thrown: unknown) => back(() => answered(thrown as Error)),
    );
  });
  try {
    for await (const chunk of chunks) {
      const copy = chunk.slice();
      await wait(CHUNK_TIMEOUT_MS, (done) => {
        taken = done;
        there(() => incoming.push(copy));
      });
      taken = undefined;
      if (failure !== undefined) throw failure;
    }
    there(() => incoming.end());
    await wait(ANSWER_TIMEOUT_MS, (done) => {
      finished = done;
      if (isAnswered) done();
    });
    if (failure !== undefined) throw failure;
  } catch (thrown) {
    // The connection is closed, which the other end sees.
    receiver.process.after(network.delayMs(), () => incoming.fail(connectionError('the stream of the snapshot broke')));
    throw thrown;
  }
}
