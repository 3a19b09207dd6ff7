/**
 * The life of one task on this node, as a pure function of its state and what happens to it. Effects come out as data;
 * the worker runs them on an Executor and feeds the outcomes back in.
 *
 *   ASSIGNED -> ACCEPTED -> PREPARING -> READY -> STARTING -> RUNNING -> COMPLETE | FAILED | SHUTDOWN
 *                                                 (its checks)
 *                                \-> REJECTED (before STARTING)    \-> FAILED (from STARTING on)
 */
import { type ContainerStatus, HealthState, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { gatesStart, type HealthPlan } from './health-plan.ts';
import type { HealthReport } from './health-report.ts';
import type { FoundTask, PreparedTask, TaskAssignment, TaskExit } from './task-types.ts';

/** What an executor can be doing for a task; at most one at a time, beside waiting for the container's end. */
export type Operation = 'prepare' | 'start' | 'shutdown' | 'remove';

export interface TaskMachine {
  readonly assignment: TaskAssignment;
  /** Invariant: `status.state` never goes back, and a terminal one (COMPLETE or later) never changes. */
  readonly status: TaskStatus;
  /** False once the manager does not assign the task any more: it is stopped, removed and forgotten. Never true again. */
  readonly wanted: boolean;
  readonly operation: Operation | undefined;
  /** The operation was told to stop; its outcome is still awaited. */
  readonly cancelling: boolean;
  /** Somebody waits for the end of the container. */
  readonly waiting: boolean;
  /** Its process runs, as far as is known; whether the task may count as running, its checks say. */
  readonly started: boolean;
  /** How it is checked, known once it is started; undefined when it is not. */
  readonly plan: HealthPlan | undefined;
  /** Why this node makes it end by itself; undefined while it does not. Never changes once set. */
  readonly stopReason: string | undefined;
  /** Why its checks make it end; undefined as long as they let it live. Never changes once set. */
  readonly failure: string | undefined;
  /** The container exists, as far as is known. Only then is a shutdown worth calling. */
  readonly prepared: boolean;
  /** Failed attempts of a shutdown or removal in a row; they are retried until they succeed. */
  readonly attempts: number;
  /** Nothing is tried again before this time. */
  readonly retryAtMs: number | undefined;
  /** Removed: nothing of the task is left on this node. */
  readonly done: boolean;
}

export type TaskInput =
  | { readonly kind: 'assign'; readonly assignment: TaskAssignment }
  | { readonly kind: 'unassign' }
  /** The node itself decides that the task is to come to an end. */
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'found'; readonly found: FoundTask; readonly plan?: HealthPlan | undefined }
  | { readonly kind: 'progress'; readonly message: string }
  | { readonly kind: 'prepared'; readonly prepared: PreparedTask }
  | { readonly kind: 'started'; readonly container: ContainerStatus; readonly plan?: HealthPlan | undefined }
  | { readonly kind: 'health'; readonly report: HealthReport }
  | { readonly kind: 'exited'; readonly exit: TaskExit }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'removed' }
  | { readonly kind: 'failed'; readonly operation: Operation | 'wait'; readonly error: string }
  | { readonly kind: 'tick' };

export type TaskEffect =
  | { readonly kind: 'run'; readonly operation: Operation }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'wait' };

export interface Step {
  readonly machine: TaskMachine;
  readonly effects: readonly TaskEffect[];
}

/** Operations that say how far they are, and the state that they say it in. */
const PROGRESSING: ReadonlyMap<Operation | undefined, TaskState> = new Map([
  ['prepare', TaskState.PREPARING],
  ['start', TaskState.STARTING],
]);

export interface TaskMachineConfig {
  /** Delay before a failed shutdown or removal is tried again, by number of failures so far. */
  readonly retryDelayMs: (attempts: number) => number;
}

/** `stopReason`: why this node has decided before to bring it to an end. */
export function createMachine(
  assignment: TaskAssignment,
  status: TaskStatus | undefined,
  wanted = true,
  stopReason?: string,
): TaskMachine {
  return {
    assignment: stopReason === undefined ? assignment : ending(assignment),
    status: status ?? assignment.task.status ?? TaskStatus.create({ state: TaskState.ASSIGNED }),
    wanted,
    operation: undefined,
    cancelling: false,
    waiting: false,
    started: false,
    plan: undefined,
    stopReason,
    failure: undefined,
    prepared: false,
    attempts: 0,
    retryAtMs: undefined,
    done: false,
  };
}

export function isTerminal(state: TaskState): boolean {
  return state >= TaskState.COMPLETE;
}

/** Whether the task was told to come to an end. A desired state of COMPLETE means: run until it ends by itself. */
function shouldStop(machine: TaskMachine): boolean {
  return !machine.wanted || machine.assignment.task.desiredState >= TaskState.SHUTDOWN;
}

/** Whether its checks are to be made. */
export function isChecked(machine: TaskMachine): boolean {
  const { started, plan, failure, status } = machine;
  return started && plan !== undefined && failure === undefined && !isTerminal(status.state) && !shouldStop(machine);
}

/** Whether an end like this is one that the task's last words explain. */
export function needsExplanation(machine: TaskMachine, exit: TaskExit): boolean {
  return !shouldStop(machine) && (exit.error !== undefined || machine.failure !== undefined);
}

/** One input, all its consequences. */
export function step(machine: TaskMachine, input: TaskInput, nowMs: number, config: TaskMachineConfig): Step {
  return decide(absorb(machine, input, nowMs, config), nowMs);
}

function withStatus(
  machine: TaskMachine,
  nowMs: number,
  change: Partial<TaskStatus> & { state: TaskState },
): TaskMachine {
  if (isTerminal(machine.status.state) || change.state < machine.status.state) return machine;
  return { ...machine, status: { ...machine.status, error: '', ...change, timestampMs: nowMs } };
}

function endOperation(machine: TaskMachine): TaskMachine {
  return { ...machine, operation: undefined, cancelling: false, attempts: 0, retryAtMs: undefined };
}

/** Takes the input into the state; decides nothing. */
function absorb(machine: TaskMachine, input: TaskInput, nowMs: number, config: TaskMachineConfig): TaskMachine {
  switch (input.kind) {
    case 'assign':
      return absorbAssignment(machine, input.assignment);
    case 'stop':
      return toldToStop(machine, input.reason);
    case 'unassign':
      return { ...machine, wanted: false };
    case 'found':
      return absorbFound({ ...machine, plan: input.plan }, input.found, nowMs);
    case 'progress':
      if (machine.status.state !== PROGRESSING.get(machine.operation)) return machine;
      return { ...machine, status: { ...machine.status, message: input.message } };
    case 'prepared':
      return withStatus(
        { ...endOperation(machine), prepared: true, assignment: withNetworks(machine, input.prepared) },
        nowMs,
        {
          state: TaskState.READY,
          message: 'prepared',
          ports: input.prepared.ports,
        },
      );
    case 'started':
      return absorbStart({ ...endOperation(machine), plan: input.plan }, input.container, nowMs);
    case 'health':
      return isChecked(machine) ? absorbHealth(machine, input.report, nowMs) : machine;
    case 'exited':
      return absorbExit({ ...machine, waiting: false }, input.exit, nowMs);
    case 'stopped':
      return absorbStop(endOperation(machine), nowMs);
    case 'removed':
      return { ...endOperation(machine), prepared: false, done: true };
    case 'failed':
      return absorbFailure(machine, input.operation, input.error, nowMs, config);
    case 'tick':
      return machine.retryAtMs !== undefined && machine.retryAtMs <= nowMs
        ? { ...machine, retryAtMs: undefined }
        : machine;
  }
}

/** A task that this node stops by itself. What was decided before, by whomever, stays. */
export function toldToStop(machine: TaskMachine, reason: string): TaskMachine {
  if (shouldStop(machine) || isTerminal(machine.status.state)) return machine;
  return { ...machine, assignment: ending(machine.assignment), stopReason: reason };
}

/** Whatever a manager wants of it: the desired state never goes back. */
function ending(assignment: TaskAssignment): TaskAssignment {
  const desiredState = Math.max(assignment.task.desiredState, TaskState.SHUTDOWN) as TaskState;
  return { ...assignment, task: { ...assignment.task, desiredState } };
}

/** How a task ends that was told to. */
function shutdown({ stopReason = '' }: TaskMachine): Partial<TaskStatus> & { state: TaskState } {
  return { state: TaskState.SHUTDOWN, message: 'shutdown', error: stopReason };
}

/** The desired state never goes back, whatever a manager says. */
function absorbAssignment(machine: TaskMachine, assignment: TaskAssignment): TaskMachine {
  const desiredState = Math.max(machine.assignment.task.desiredState, assignment.task.desiredState) as TaskState;
  return { ...machine, assignment: { ...assignment, task: { ...assignment.task, desiredState } } };
}

function withNetworks(machine: TaskMachine, prepared: PreparedTask): TaskAssignment {
  return { ...machine.assignment, task: { ...machine.assignment.task, networks: prepared.networks } };
}

function absorbFound(machine: TaskMachine, found: FoundTask, nowMs: number): TaskMachine {
  switch (found.kind) {
    case 'absent':
      if (machine.status.state < TaskState.STARTING) return machine;
      return withStatus(machine, nowMs, {
        state: TaskState.FAILED,
        message: 'lost',
        error: 'the container is gone: the host was restarted or the container was removed behind our back',
      });
    case 'prepared':
      if (machine.status.state >= TaskState.STARTING) return { ...machine, prepared: true };
      return withStatus({ ...machine, prepared: true }, nowMs, { state: TaskState.READY, message: 'prepared' });
    case 'running': {
      const running = { ...machine, prepared: true };
      if (machine.status.state >= TaskState.RUNNING) return { ...running, started: true };
      return absorbStart({ ...running, status: { ...running.status, ports: found.ports } }, found.container, nowMs);
    }
    case 'exited':
      return absorbExit({ ...machine, prepared: true }, found.exit, nowMs);
  }
}

/** The process runs; with a check that has to succeed first the task goes on starting. */
function absorbStart(machine: TaskMachine, container: ContainerStatus, nowMs: number): TaskMachine {
  const { plan } = machine;
  const started = { ...machine, started: true };
  const ready = plan === undefined || plan.every(({ role }) => role === 'liveness');
  const health =
    plan === undefined
      ? undefined
      : {
          state: ready ? HealthState.HEALTHY : HealthState.STARTING,
          ready,
          failingStreak: 0,
          message: '',
          readySinceMs: nowMs,
        };
  const change = { container: begun(machine, container, nowMs), health };
  if (plan !== undefined && gatesStart(plan))
    return withStatus(started, nowMs, { state: TaskState.STARTING, message: 'its health check is awaited', ...change });
  return withStatus(started, nowMs, { state: TaskState.RUNNING, message: 'started', runningAtMs: nowMs, ...change });
}

function absorbHealth(machine: TaskMachine, report: HealthReport, nowMs: number): TaskMachine {
  const { ready, state, failingStreak, message, failure } = report;
  const before = machine.status.health;
  const readySinceMs = before?.ready === ready ? before.readySinceMs : nowMs;
  const health = { state, ready, failingStreak, message, readySinceMs };
  if (machine.status.state < TaskState.RUNNING && report.started && failure === undefined)
    return withStatus(machine, nowMs, { state: TaskState.RUNNING, message: 'started', runningAtMs: nowMs, health });
  const told = failure === undefined ? machine.status.message : 'it is unhealthy and is stopped';
  return { ...machine, failure, status: { ...machine.status, health, message: told } };
}

/** The container with the time it was started at: the executor's, else what is known of it, else the given one. */
function begun(machine: TaskMachine, container: ContainerStatus, nowMs: number): ContainerStatus {
  const startedAtMs = container.startedAtMs || machine.status.container?.startedAtMs || nowMs;
  return { ...container, startedAtMs };
}

function absorbExit(machine: TaskMachine, exit: TaskExit, nowMs: number): TaskMachine {
  const ended = { ...machine, prepared: false };
  const container = begun(machine, exit.container, 0);
  const { lastLog = [] } = exit;
  if (shouldStop(machine)) return withStatus(ended, nowMs, { ...shutdown(machine), container });
  if (machine.failure !== undefined)
    return withStatus(ended, nowMs, {
      state: TaskState.FAILED,
      message: 'unhealthy',
      error: machine.failure,
      container,
      lastLog,
    });
  if (exit.error === undefined)
    return withStatus(ended, nowMs, { state: TaskState.COMPLETE, message: 'finished', container });
  return withStatus(ended, nowMs, {
    state: TaskState.FAILED,
    message: 'started',
    error: exit.error,
    container,
    lastLog,
  });
}

/** It was stopped, or had ended before. How an unhealthy one ended is still to come when somebody waits for it. */
function absorbStop(machine: TaskMachine, nowMs: number): TaskMachine {
  const stopped = { ...machine, prepared: false };
  if (shouldStop(machine) || machine.failure === undefined)
    return withStatus({ ...stopped, waiting: false }, nowMs, shutdown(machine));
  return stopped;
}

function absorbFailure(
  machine: TaskMachine,
  operation: Operation | 'wait',
  error: string,
  nowMs: number,
  config: TaskMachineConfig,
): TaskMachine {
  if (operation === 'wait' || operation === 'shutdown' || operation === 'remove') {
    const attempts = machine.attempts + 1;
    const retried: TaskMachine = {
      ...machine,
      attempts,
      retryAtMs: nowMs + config.retryDelayMs(attempts),
    };
    return operation === 'wait'
      ? { ...retried, waiting: false }
      : { ...retried, operation: undefined, cancelling: false, status: { ...machine.status, error } };
  }
  const cancelled = machine.cancelling;
  const ended = endOperation(machine);
  if (cancelled && shouldStop(machine)) return operation === 'start' ? { ...ended, prepared: true } : ended;
  if (operation === 'prepare')
    return withStatus({ ...ended, prepared: false }, nowMs, { state: TaskState.REJECTED, message: 'preparing', error });
  return withStatus(ended, nowMs, { state: TaskState.FAILED, message: 'starting', error });
}

/** What to do next, from the state alone. */
function decide(machine: TaskMachine, nowMs: number): Step {
  if (machine.done) return { machine, effects: [] };
  if (machine.operation !== undefined) {
    const abandon = shouldStop(machine) && !machine.cancelling;
    if (abandon && (machine.operation === 'prepare' || machine.operation === 'start'))
      return { machine: { ...machine, cancelling: true }, effects: [{ kind: 'cancel' }] };
    return { machine, effects: [] };
  }
  if (machine.retryAtMs !== undefined && machine.retryAtMs > nowMs) return { machine, effects: [] };
  if (isTerminal(machine.status.state)) return machine.wanted ? { machine, effects: [] } : run(machine, 'remove');
  if (shouldStop(machine)) return stop(machine, nowMs);
  if (machine.failure !== undefined) return fail(machine, machine.failure, nowMs);
  return advance(machine, nowMs);
}

function run(machine: TaskMachine, operation: Operation): Step {
  return { machine: { ...machine, operation, retryAtMs: undefined }, effects: [{ kind: 'run', operation }] };
}

function stop(machine: TaskMachine, nowMs: number): Step {
  if (machine.prepared) return run(machine, 'shutdown');
  const stopped = withStatus(machine, nowMs, shutdown(machine));
  return machine.wanted ? { machine: stopped, effects: [] } : run(stopped, 'remove');
}

/** Its checks have failed: it is stopped, and what is left is to hear how it ended. */
function fail(machine: TaskMachine, error: string, nowMs: number): Step {
  if (machine.prepared) return run(machine, 'shutdown');
  if (machine.waiting) return { machine, effects: [] };
  return { machine: withStatus(machine, nowMs, { state: TaskState.FAILED, message: 'unhealthy', error }), effects: [] };
}

function advance(machine: TaskMachine, nowMs: number): Step {
  const { state } = machine.status;
  if (state < TaskState.PREPARING || (state < TaskState.STARTING && !machine.prepared))
    return run(withStatus(machine, nowMs, { state: TaskState.PREPARING, message: 'preparing' }), 'prepare');
  if (state < TaskState.STARTING && machine.assignment.task.desiredState < TaskState.RUNNING)
    return { machine, effects: [] };
  if (state < TaskState.RUNNING && !machine.started)
    return run(withStatus(machine, nowMs, { state: TaskState.STARTING, message: 'starting' }), 'start');
  if (machine.waiting) return { machine, effects: [] };
  return { machine: { ...machine, waiting: true }, effects: [{ kind: 'wait' }] };
}
