import type { CancelTimer, Clock } from '#common/clock.ts';
import type { SimRandom } from './sim-random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Wall clocks of a run begin here. */
const EPOCH_MS = 1_700_000_000_000;

/** What a resumed process sees first: its timers, then its sockets, as an event loop does. */
type Phase = 'timer' | 'input';

interface Held {
  readonly phase: Phase;
  readonly run: () => void;
}

/** What is going on in the world of one run, shared by its processes. */
export interface ProcessWorld {
  readonly time: VirtualTime;
  /** The process whose event is being handled. */
  current: SimProcess | undefined;
}

export interface ClockTraits {
  /** Local milliseconds per virtual millisecond. */
  readonly rate: number;
  /** How often asking for the time shows that work took some, and how much at most. */
  readonly workShare: number;
  readonly workMs: number;
}

/**
 * One life of a manager's process: from its start to its crash or its end. Everything that happens in it is an event of
 * its own; when it is over, nothing of it happens any more, whatever was under way.
 */
export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #world: ProcessWorld;
  readonly #random: SimRandom;
  readonly #traits: ClockTraits;
  readonly #bootMs: number;
  #isAlive = true;
  #held: Held[] | undefined;
  /** Wall clock against the monotonic one. */
  #wallOffsetMs: number;
  /** Time that work has taken so far: the monotonic clock goes ahead by it. */
  #workedMs = 0;

  constructor(name: string, world: ProcessWorld, random: SimRandom, traits: ClockTraits, wallOffsetMs: number) {
    this.name = name;
    this.#world = world;
    this.#random = random;
    this.#traits = traits;
    this.#bootMs = world.time.nowMs;
    this.#wallOffsetMs = wallOffsetMs;
    this.clock = {
      now: () => Math.floor(EPOCH_MS + this.#localMs() + this.#wallOffsetMs),
      monotonic: () => this.#work(),
      setTimer: (delayMs, fire) => this.#setTimer(delayMs, fire),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#held !== undefined;
  }

  /** Something happens to the process after a time, unless it is over by then. */
  after(delayMs: number, run: () => void): void {
    this.#later(delayMs, 'input', run);
  }

  nextTurn(run: () => void): void {
    this.#later(0, 'input', run);
  }

  /** Runs something as this process right now; within an event of the world's own. */
  enter(run: () => void): void {
    if (this.#isAlive && this.#held === undefined) this.#run(run);
    else if (this.#held !== undefined) this.#held.push({ phase: 'input', run });
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    for (const phase of ['timer', 'input'] as const)
      for (const one of held) if (one.phase === phase) this.#later(0, one.phase, one.run);
  }

  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  get wallOffsetMs(): number {
    return this.#wallOffsetMs;
  }

  /** The process is gone, with everything that was under way in it. */
  end(): void {
    this.#isAlive = false;
    this.#held = undefined;
  }

  #later(delayMs: number, phase: Phase, run: () => void): void {
    this.#world.time.after(delayMs, () => {
      if (!this.#isAlive) return;
      if (this.#held !== undefined) this.#held.push({ phase, run });
      else this.#run(run);
    });
  }

  #run(run: () => void): void {
    this.#world.current = this;
    run();
  }

  #setTimer(delayMs: number, fire: () => void): CancelTimer {
    let cancelled = false;
    this.#later(Math.max(0, delayMs) / this.#traits.rate, 'timer', () => {
      if (!cancelled) fire();
    });
    return () => {
      cancelled = true;
    };
  }

  #localMs(): number {
    return (this.#world.time.nowMs - this.#bootMs) * this.#traits.rate;
  }

  /** The time, after a little work now and then. */
  #work(): number {
    if (this.#traits.workShare > 0 && this.#random.chance(this.#traits.workShare))
      this.#workedMs += this.#random.next() * this.#traits.workMs;
    return this.#localMs() + this.#workedMs;
  }
}
