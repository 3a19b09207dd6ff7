import type { CancelTimer, Clock } from '#common/clock.ts';
import type { PeerTransportConfig } from './config.ts';

/** Share of a new measurement in the smoothed round trip, as TCP has it. */
const SMOOTHING = 1 / 8;

export interface PulseOptions {
  readonly clock: Clock;
  readonly config: PeerTransportConfig;
  readonly sendPing: (number: number) => void;
  /** The peer did not answer in time. */
  readonly dead: () => void;
}

/**
 * Asks the other end of a stream for a sign of life, one ping at a time: a connection whose other end has vanished
 * looks like one on which nothing is said. Measures the round trip.
 */
export class Pulse {
  readonly #options: PulseOptions;
  #cancelTimer: CancelTimer | undefined;
  #number = 0;
  #askedMs: number | undefined;
  #roundTripMs: number | undefined;
  /** Written to the stream after the last ping that was answered: at most what goes before the next. */
  #bytesBefore = 0;
  /** The share of it that was written before the ping that waits for its answer. */
  #bytesAsked = 0;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  start(): void {
    this.#ask();
  }

  written(bytes: number): void {
    this.#bytesBefore += bytes;
  }

  answered(number: number): void {
    const askedMs = this.#askedMs;
    if (number !== this.#number || askedMs === undefined) return;
    this.#askedMs = undefined;
    this.#bytesBefore -= this.#bytesAsked;
    const { clock, config } = this.#options;
    const measuredMs = clock.monotonic() - askedMs;
    const before = this.#roundTripMs;
    this.#roundTripMs = before === undefined ? measuredMs : before + (measuredMs - before) * SMOOTHING;
    this.#schedule(config.pingIntervalMs, () => this.#ask());
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#askedMs = undefined;
  }

  #ask(): void {
    const { clock, config, sendPing } = this.#options;
    this.#number++;
    this.#askedMs = clock.monotonic();
    this.#bytesAsked = this.#bytesBefore;
    const allowanceMs = (this.#bytesBefore / config.slowLinkBytesPerSecond) * 1_000;
    this.#schedule(config.pongTimeoutMs + allowanceMs, () => this.#expired(this.#number));
    sendPing(this.#number);
  }

  /** The timer of a process that was stopped for a while comes before the answer that waits in the socket. */
  #expired(number: number): void {
    setImmediate(() => {
      if (this.#askedMs !== undefined && this.#number === number) this.#options.dead();
    });
  }

  #schedule(delayMs: number, fire: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.clock.setTimer(delayMs, fire);
  }
}
