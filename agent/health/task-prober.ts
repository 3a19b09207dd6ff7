/** Makes the checks of one task, each in its own rhythm, and says what they come to. */
import {
  absorbOutcome,
  activeProbes,
  type Check,
  type CheckOutcome,
  type HealthPlan,
  type HealthReport,
  isNews,
  NEW_PROBE,
  nextCheckMs,
  type PlannedProbe,
  type ProbeRole,
  type ProbeState,
  type ProbeStates,
  reportOf,
  resumedStates,
} from '#agent/tasks/index.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { TaskHealth } from '#gen/swarm/v1/objects.ts';
import type { HealthConfig } from './config.ts';

export interface TaskProberOptions {
  readonly plan: HealthPlan;
  /** Ends soon after its signal aborts, however; takes no longer than a little more than `timeoutMs`. */
  readonly check: (check: Check, timeoutMs: number, signal: AbortSignal) => Promise<CheckOutcome>;
  readonly clock: Clock;
  readonly config: HealthConfig;
  /** How long the container has run already. */
  readonly ranMs: number;
  /** What was found out before, of a task that counts as running already. */
  readonly known: { readonly health: TaskHealth | undefined; readonly isRunning: boolean };
  /** Called when a manager should hear of it. Must not throw. */
  readonly onReport: (report: HealthReport) => void;
}

/** A probe that is being made. */
interface Running {
  readonly probe: PlannedProbe;
  /** On the monotonic clock. */
  readonly beganMs: number;
  cancelTimer: CancelTimer;
}

export class TaskProber {
  readonly #options: TaskProberOptions;
  readonly #running = new Map<ProbeRole, Running>();
  readonly #stopped = new AbortController();
  #states: ProbeStates;
  #told: HealthReport;

  constructor(options: TaskProberOptions) {
    this.#options = options;
    this.#states = resumedStates(options.plan, options.known.health, options.known.isRunning);
    this.#told = reportOf(options.plan, this.#states);
    this.#begin(options.ranMs);
  }

  /** Nothing is checked or said any more. */
  stop(): void {
    this.#stopped.abort();
    for (const { cancelTimer } of this.#running.values()) cancelTimer();
    this.#running.clear();
  }

  /** Begins the probes that are due and ends those that are not any more. */
  #begin(ranMs: number): void {
    const { plan, clock } = this.#options;
    const active = activeProbes(plan, this.#states);
    for (const [role, running] of this.#running) {
      if (active.some((probe) => probe.role === role)) continue;
      running.cancelTimer();
      this.#running.delete(role);
    }
    for (const probe of active) {
      if (this.#running.has(probe.role)) continue;
      const running = { probe, beganMs: clock.monotonic() - ranMs, cancelTimer: () => {} };
      this.#running.set(probe.role, running);
      this.#schedule(running);
    }
  }

  #schedule(running: Running): void {
    const { clock, config } = this.#options;
    const elapsedMs = clock.monotonic() - running.beganMs;
    const delayMs = nextCheckMs(running.probe, this.#stateOf(running.probe.role), elapsedMs);
    running.cancelTimer = clock.setTimer(Math.max(delayMs, config.checkGapMs), () => void this.#check(running));
  }

  async #check(running: Running): Promise<void> {
    const { check, clock } = this.#options;
    const { role, check: asked, timeoutMs } = running.probe;
    let outcome: CheckOutcome;
    try {
      outcome = await check(asked, timeoutMs, this.#stopped.signal);
    } catch (error) {
      outcome = { ok: false, message: error instanceof Error ? error.message : String(error) };
    }
    if (this.#stopped.signal.aborted || this.#running.get(role) !== running) return;
    const elapsedMs = clock.monotonic() - running.beganMs;
    this.#states = { ...this.#states, [role]: absorbOutcome(running.probe, this.#stateOf(role), outcome, elapsedMs) };
    this.#schedule(running);
    this.#begin(0);
    this.#report();
  }

  #stateOf(role: ProbeRole): ProbeState {
    return this.#states[role] ?? NEW_PROBE;
  }

  #report(): void {
    const report = reportOf(this.#options.plan, this.#states);
    if (!isNews(this.#told, report)) return;
    this.#told = report;
    this.#options.onReport(report);
  }
}
