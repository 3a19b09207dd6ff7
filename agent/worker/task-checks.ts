/** Keeps one prober for each task that is to be checked, and none for others. */
import type { Executor } from '#agent/executor/index.ts';
import { type HealthConfig, TaskProber } from '#agent/health/index.ts';
import { type HealthReport, isChecked, type TaskMachine } from '#agent/tasks/index.ts';
import type { Clock } from '#common/clock.ts';
import { TaskState } from '#gen/swarm/v1/objects.ts';

export interface TaskChecksOptions {
  readonly executor: Executor;
  readonly clock: Clock;
  readonly config: HealthConfig;
  readonly onReport: (taskId: string, report: HealthReport) => void;
}

export class TaskChecks {
  readonly #options: TaskChecksOptions;
  readonly #probers = new Map<string, TaskProber>();

  constructor(options: TaskChecksOptions) {
    this.#options = options;
  }

  /** To be called with every new state of a machine. */
  follow(machine: TaskMachine): void {
    const taskId = machine.assignment.task.id;
    const prober = this.#probers.get(taskId);
    if (isChecked(machine) === (prober !== undefined)) return;
    if (prober === undefined) this.#begin(taskId, machine);
    else this.#end(taskId, prober);
  }

  close(): void {
    for (const [taskId, prober] of this.#probers) this.#end(taskId, prober);
  }

  #begin(taskId: string, { plan, status, assignment }: TaskMachine): void {
    if (plan === undefined) return;
    const { executor, clock, config, onReport } = this.#options;
    const startedAtMs = status.container?.startedAtMs ?? 0;
    const prober = new TaskProber({
      plan,
      check: (check, timeoutMs, signal) => executor.check(assignment, check, timeoutMs, signal),
      clock,
      config,
      // The wall clock may have been set meanwhile.
      ranMs: startedAtMs === 0 ? 0 : Math.max(0, clock.now() - startedAtMs),
      known: { health: status.health, isRunning: status.state >= TaskState.RUNNING },
      onReport: (report) => onReport(taskId, report),
    });
    this.#probers.set(taskId, prober);
  }

  #end(taskId: string, prober: TaskProber): void {
    prober.stop();
    this.#probers.delete(taskId);
  }
}
