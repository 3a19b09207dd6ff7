/**
 * An executor that pretends: containers are entries of a map that take the time they are told to. For clusters of
 * thousands of nodes in one process and for tests of everything above the runtime.
 */
import { PayloadStore } from '#agent/secrets/index.ts';
import {
  type Check,
  type CheckOutcome,
  type FoundTask,
  type HealthPlan,
  healthPlan,
  type PreparedTask,
  type TaskAssignment,
  type TaskExit,
} from '#agent/tasks/index.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { ContainerStatus } from '#gen/swarm/v1/objects.ts';
import { PublishMode } from '#gen/swarm/v1/specs.ts';
import type { Executor, LogLine, LogQuery, TaskStatistics } from '../executor.ts';

export interface SimulatedBehaviour {
  readonly prepareMs: number;
  readonly startMs: number;
  readonly stopMs: number;
  /** How long a container runs before it ends by itself with the given code; undefined runs for ever. */
  readonly runMs: number | undefined;
  readonly exitCode: number;
  /** A prepare fails with this message. */
  readonly prepareError: string | undefined;
  /** What a check of the task comes to, whichever it is; undefined: all succeed. */
  readonly check?: (check: Check) => CheckOutcome;
}

export const SIMULATED_DEFAULTS: SimulatedBehaviour = {
  prepareMs: 1,
  startMs: 1,
  stopMs: 1,
  runMs: undefined,
  exitCode: 0,
  prepareError: undefined,
};

interface SimulatedContainer {
  readonly assignment: TaskAssignment;
  state: 'prepared' | 'running' | 'exited';
  exit: TaskExit | undefined;
  readonly waiters: Set<(exit: TaskExit) => void>;
  cancelEnd: CancelTimer | undefined;
}

/** The containers of one pretended host. They outlive the executor, as real ones outlive the agent. */
export class SimulatedHost {
  readonly containers = new Map<string, SimulatedContainer>();
}

export class SimulatedExecutor implements Executor {
  readonly payloads = new PayloadStore();
  readonly #clock: Clock;
  readonly #host: SimulatedHost;
  readonly #behaviour: (assignment: TaskAssignment) => SimulatedBehaviour;

  constructor(
    clock: Clock,
    host: SimulatedHost = new SimulatedHost(),
    behaviour: (assignment: TaskAssignment) => SimulatedBehaviour = () => SIMULATED_DEFAULTS,
  ) {
    this.#clock = clock;
    this.#host = host;
    this.#behaviour = behaviour;
  }

  async prepare(
    assignment: TaskAssignment,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<PreparedTask> {
    const behaviour = this.#behaviour(assignment);
    progress('simulating');
    await this.#after(behaviour.prepareMs, signal);
    if (behaviour.prepareError !== undefined)
      throw new SwarmError({ code: 'precondition', reason: 'runtime-failed', message: behaviour.prepareError });
    this.#host.containers.set(assignment.task.id, {
      assignment,
      state: 'prepared',
      exit: undefined,
      waiters: new Set(),
      cancelEnd: undefined,
    });
    const ports = assignment.spec.endpoint?.ports.filter((port) => port.publishMode === PublishMode.HOST) ?? [];
    return { networks: [], ports };
  }

  async start(taskId: string, _progress: unknown, signal: AbortSignal): Promise<ContainerStatus> {
    const container = this.#container(taskId);
    const behaviour = this.#behaviour(container.assignment);
    await this.#after(behaviour.startMs, signal);
    container.state = 'running';
    if (behaviour.runMs !== undefined)
      container.cancelEnd = this.#clock.setTimer(behaviour.runMs, () => this.end(taskId, behaviour.exitCode));
    return ContainerStatus.create({ containerId: taskId, pid: 1 });
  }

  /** Ends the container as if its process had: for tests. */
  end(taskId: string, exitCode: number): void {
    const container = this.#host.containers.get(taskId);
    if (container === undefined || container.state === 'exited') return;
    container.cancelEnd?.();
    container.state = 'exited';
    container.exit = {
      container: ContainerStatus.create({ containerId: taskId, exitCode }),
      error: exitCode === 0 ? undefined : `task: non-zero exit (${exitCode})`,
    };
    for (const tell of container.waiters) tell(container.exit);
    container.waiters.clear();
  }

  async wait(taskId: string, signal: AbortSignal): Promise<TaskExit> {
    const container = this.#container(taskId);
    if (container.exit !== undefined) return container.exit;
    return new Promise((resolve, reject) => {
      const tell = (exit: TaskExit): void => {
        signal.removeEventListener('abort', abort);
        resolve(exit);
      };
      const abort = (): void => {
        container.waiters.delete(tell);
        reject(cancelled());
      };
      container.waiters.add(tell);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  healthPlan({ spec }: TaskAssignment): HealthPlan | undefined {
    return healthPlan(spec.task?.container, undefined);
  }

  async check(assignment: TaskAssignment, check: Check): Promise<CheckOutcome> {
    return this.#behaviour(assignment).check?.(check) ?? { ok: true, message: '' };
  }

  async shutdown(assignment: TaskAssignment, signal: AbortSignal): Promise<void> {
    const container = this.#host.containers.get(assignment.task.id);
    if (container === undefined || container.state === 'exited') return;
    await this.#after(this.#behaviour(assignment).stopMs, signal);
    this.end(assignment.task.id, 143);
  }

  async remove(taskId: string, _signal: AbortSignal): Promise<void> {
    this.end(taskId, 137);
    this.#host.containers.delete(taskId);
  }

  async recover(
    known: readonly TaskAssignment[],
    onFound: (taskId: string, found: FoundTask) => void = () => {},
  ): Promise<void> {
    const ids = new Set(known.map(({ task }) => task.id));
    for (const taskId of [...this.#host.containers.keys()]) if (!ids.has(taskId)) await this.remove(taskId, never());
    const found = [...ids].map((id) => [id, this.#find(id)] as const);
    for (const [id, one] of found) if (one.kind !== 'exited') onFound(id, one);
    for (const [id, one] of found) if (one.kind === 'exited') onFound(id, one);
  }

  #find(taskId: string): FoundTask {
    const container = this.#host.containers.get(taskId);
    if (container === undefined) return { kind: 'absent' };
    if (container.exit !== undefined) return { kind: 'exited', exit: container.exit };
    if (container.state === 'prepared') return { kind: 'prepared' };
    return { kind: 'running', container: ContainerStatus.create({ containerId: taskId, pid: 1 }), ports: [] };
  }

  // oxlint-disable-next-line require-yield -- a simulated container prints nothing
  async *logs(_taskId: string, _query: LogQuery, _signal: AbortSignal): AsyncIterable<LogLine> {}

  async statistics(_taskId: string): Promise<TaskStatistics | undefined> {
    return undefined;
  }

  async close(): Promise<void> {}

  #container(taskId: string): SimulatedContainer {
    const container = this.#host.containers.get(taskId);
    if (container === undefined)
      throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: `no container of task ${taskId}` });
    return container;
  }

  #after(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.setTimer(delayMs, () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        cancel();
        reject(cancelled());
      };
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
    });
  }
}

function cancelled(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'the operation was cancelled' });
}

function never(): AbortSignal {
  return new AbortController().signal;
}
