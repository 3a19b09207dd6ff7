/**
 * The heartbeats of one session, and what their answers prove: that a manager had heard of this node when the answered
 * one was sent. What a manager sends by itself proves nothing of the kind, and neither does a session that its manager
 * has not made count yet: it may be a leader that is none any more.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Random } from '#common/random.ts';

/** Who wants to know when managers had heard of this node. */
export interface ManagerSigns {
  /** Of a clock that goes on while the host sleeps: an answer may be read after that. */
  nowMs(): number;
  /** A manager has surely heard of this node at this time of that clock, or later, and holds it for one that is there. */
  heard(atMs: number): void;
}

export interface HeartbeatOptions {
  readonly send: () => void;
  readonly signs: ManagerSigns;
  readonly clock: Clock;
  readonly random: Random;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /**
   * When those were sent that have no answer, the oldest first, on the clock of signs. Invariant: a session ends when a
   * few are missing.
   */
  #unanswered: number[] = [];
  /** On the same clock. */
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
    this.#provenMs = this.#options.signs.nowMs();
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
    this.#options.signs.heard(this.#provenMs);
  }

  /** `periodMs`: with more nodes managers want to hear of each less often, and an operator may change it either way. */
  answered(periodMs: number): void {
    if (periodMs > 0) this.#adopt(periodMs);
    this.#provenMs = this.#unanswered.shift() ?? this.#provenMs;
    if (this.#counts) this.#options.signs.heard(this.#provenMs);
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
    const { clock, send, signs } = this.#options;
    this.#lastBeatMs = clock.monotonic();
    this.#unanswered.push(signs.nowMs());
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
