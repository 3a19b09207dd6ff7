/**
 * The heartbeats of one session, and what their answers prove: that a manager had heard of this node when the answered
 * one was sent. What a manager sends by itself proves nothing of the kind, and neither does a session that its manager
 * has not made count yet: it may be a leader that is none any more.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Random } from '#common/random.ts';

export interface HeartbeatOptions {
  readonly send: () => void;
  /** A manager has surely heard of this node at this time, or later; on the monotonic clock. */
  readonly onSign: (atMs: number) => void;
  readonly clock: Clock;
  readonly random: Random;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** When those were sent that have no answer, the oldest first. Invariant: a session ends when a few are missing. */
  #unanswered: number[] = [];
  #provenMs = 0;
  #periodMs = 0;
  #counts = false;
  #beating: CancelTimer | undefined;
  /** On the monotonic clock. */
  #lastBeatMs = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** A session is asked for. */
  helloSent(): void {
    this.stop();
    this.#unanswered = [];
    this.#counts = false;
    this.#provenMs = this.#options.clock.monotonic();
  }

  /** A manager has welcomed this node, and wants to hear of it so often. */
  begin(periodMs: number): void {
    this.#periodMs = periodMs;
    this.#beat();
  }

  /** How often managers want to hear of this node. */
  get periodMs(): number {
    return this.#periodMs;
  }

  /** What the node has to run has come: the swarm holds the node for one that is there. */
  counts(): void {
    if (this.#counts) return;
    this.#counts = true;
    this.#options.onSign(this.#provenMs);
  }

  /** `periodMs`: with more nodes managers want to hear of each less often, and an operator may change it either way. */
  answered(periodMs: number): void {
    if (periodMs > 0) this.#adopt(periodMs);
    this.#provenMs = this.#unanswered.shift() ?? this.#provenMs;
    if (this.#counts) this.#options.onSign(this.#provenMs);
  }

  stop(): void {
    this.#beating?.();
    this.#beating = undefined;
  }

  /** The next heartbeat comes sooner where the period has become shorter: the manager counts by that from now on. */
  #adopt(periodMs: number): void {
    const isShorter = periodMs < this.#periodMs;
    this.#periodMs = periodMs;
    if (isShorter && this.#beating !== undefined) this.#arm();
  }

  #beat(): void {
    const { clock, send } = this.#options;
    this.#lastBeatMs = clock.monotonic();
    this.#unanswered.push(this.#lastBeatMs);
    send();
    this.#arm();
  }

  #arm(): void {
    const { clock, random } = this.#options;
    this.#beating?.();
    // Up to a tenth early, so that nodes that joined together do not beat together.
    const dueMs = this.#lastBeatMs + this.#periodMs * (1 - 0.1 * random.next());
    this.#beating = clock.setTimer(Math.max(0, dueMs - clock.monotonic()), () => this.#beat());
  }
}
