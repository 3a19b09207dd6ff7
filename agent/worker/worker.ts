/**
 * The tasks of this node: one machine each, driven through an executor. What is assigned is durable before anything is
 * done about it, so that a killed agent finds its containers again. Works on while no manager can be reached.
 */
import type { AgentDatabase, DatabaseWrite, StoredTask } from '#agent/database/index.ts';
import type { Executor, TaskAssignment } from '#agent/executor/index.ts';
import {
  createMachine,
  type FoundTask,
  type Operation,
  step,
  type TaskInput,
  type TaskMachine,
  toldToStop,
} from '#agent/tasks/index.ts';
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { eachAtATime } from '#common/system/each-at-a-time.ts';
import { type Task, TaskState, type TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { AssignmentStep } from './assignment-set.ts';
import type { WorkerConfig } from './config.ts';
import { KeptRevisions } from './kept-revisions.ts';
import { explained } from './last-lines.ts';
import { TaskChecks } from './task-checks.ts';

export interface WorkerOptions {
  readonly executor: Executor;
  readonly database: AgentDatabase;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: WorkerConfig;
  readonly node: { readonly id: string; readonly hostname: string };
  /** Why a task that was found when the daemon started must not go on; undefined when it may. */
  readonly overdue?: (assignment: TaskAssignment) => string | undefined;
  /** Called at every change of a task's status that a manager should hear of. Must not throw. */
  readonly onStatus: (taskId: string, status: TaskStatus) => void;
  /** Writes to agent.db fail: the node cannot be trusted with more work. Called once. */
  readonly onFailure: (error: SwarmError) => void;
}

interface RunningTask {
  machine: TaskMachine;
  operation: AbortController | undefined;
  waiting: AbortController | undefined;
  /** Resolves when the machine has heard how the container ended that it waits for. */
  told: Promise<void> | undefined;
  cancelRetry: CancelTimer | undefined;
}

/** As agent.db has it. */
type KnownTask = Omit<StoredTask, 'task'> & { readonly assignment: TaskAssignment };

function atRest(machine: TaskMachine): RunningTask {
  return { machine, operation: undefined, waiting: undefined, told: undefined, cancelRetry: undefined };
}

/** What an agent that comes back has to know. */
function mustBeKept(before: TaskStatus, after: TaskStatus): boolean {
  return before.state !== after.state || before.error !== after.error || before.health?.ready !== after.health?.ready;
}

function putTask({
  assignment: { task },
  wanted,
  stopReason,
}: TaskMachine): Extract<DatabaseWrite, { kind: 'put-task' }> {
  return { kind: 'put-task', task, wanted, stopReason };
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #tasks = new Map<string, RunningTask>();
  readonly #revisions = new KeptRevisions();
  readonly #checks: TaskChecks;
  #applying: Promise<void> = Promise.resolve();
  #closed = false;
  #failed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { executor, clock, config } = options;
    this.#checks = new TaskChecks({
      executor,
      clock,
      config: config.health,
      onReport: (taskId, report) => this.#feed(taskId, { kind: 'health', report }),
    });
  }

  /**
   * Loads what the agent knew, adopts what lives, and goes on; first of all it stops what must not go on. Call once, before
   * anything else.
   */
  async start(): Promise<void> {
    const { executor, config } = this.#options;
    const known = new Map((await this.#load()).map((one) => [one.assignment.task.id, one] as const));
    const ended: (() => Promise<void>)[] = [];
    const assignments = [...known.values()].map(({ assignment }) => assignment);
    await executor.recover(assignments, (taskId, found) => {
      const one = known.get(taskId);
      if (one === undefined) return;
      const machine = this.#toGoOn(one);
      if (found.kind === 'exited')
        ended.push(async () => {
          const exit = await explained(executor, machine, found.exit, config);
          this.#adopt(machine, { ...found, exit });
        });
      else this.#adopt(machine, found);
    });
    await eachAtATime(ended, config.explainedAtATime, (adopt) => adopt());
  }

  /** What agent.db has, what must not go on first. */
  async #load(): Promise<readonly KnownTask[]> {
    const { database, overdue, logger } = this.#options;
    const stored = await database.load();
    for (const revision of stored.revisions) this.#revisions.keep(revision);
    const stopping: KnownTask[] = [];
    const others: KnownTask[] = [];
    for (const { task, ...rest } of stored.tasks) {
      const assignment = this.#assignment(task);
      if (assignment === undefined) logger.warn('a task without its revision is dropped', { task: task.id });
      else if (rest.stopReason !== undefined || overdue?.(assignment) !== undefined)
        stopping.push({ ...rest, assignment });
      else others.push({ ...rest, assignment });
    }
    return [...stopping, ...others];
  }

  /** As it was, or stopped where that was decided before, or is due by now. */
  #toGoOn({ assignment, status, wanted, stopReason }: KnownTask): TaskMachine {
    const last = createMachine(assignment, status, wanted, stopReason);
    const reason = this.#options.overdue?.(assignment);
    const machine = reason === undefined ? last : toldToStop(last, reason);
    this.#keepStop(last, machine);
    return machine;
  }

  #adopt(machine: TaskMachine, found: FoundTask): void {
    const { assignment } = machine;
    this.#tasks.set(assignment.task.id, atRest(machine));
    this.#feed(assignment.task.id, { kind: 'found', found, plan: this.#options.executor.healthPlan(assignment) });
  }

  /** The last status of every task, for a new session. */
  statuses(): readonly { readonly taskId: string; readonly status: TaskStatus }[] {
    return [...this.#tasks].map(([taskId, { machine }]) => ({ taskId, status: machine.status }));
  }

  /** The last status of one task; undefined for one that this node does not have. */
  status(taskId: string): TaskStatus | undefined {
    return this.#tasks.get(taskId)?.machine.status;
  }

  /** Calls back after every change of any task, until the returned function is called. */
  onChange(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  /** The assignments held, for executors' images in use, logs and facts about the node. */
  assignments(): readonly TaskAssignment[] {
    return [...this.#tasks.values()].map((task) => task.machine.assignment);
  }

  runningCount(): number {
    let count = 0;
    for (const { machine } of this.#tasks.values()) if (machine.status.state === TaskState.RUNNING) count++;
    return count;
  }

  /** Takes in a step of assignments: resolves once it is durable and under way. Steps are taken in order. */
  apply(assignments: AssignmentStep): Promise<void> {
    const applied = this.#applying.then(() => this.#apply(assignments));
    this.#applying = applied.catch(() => {});
    return applied;
  }

  /** Brings every task to an end, in order, with its stop signal and grace period: the host goes down or leaves. */
  async stopAll(signal: AbortSignal): Promise<void> {
    for (const [taskId, { machine }] of [...this.#tasks]) {
      const task = { ...machine.assignment.task, desiredState: TaskState.SHUTDOWN };
      this.#feed(taskId, { kind: 'assign', assignment: { ...machine.assignment, task } });
    }
    await this.#settled((machine) => machine.status.state >= TaskState.COMPLETE, signal);
  }

  /** Brings one task to an end, in order, because this node wants it so: also when the daemon is started anew meanwhile. */
  stop(taskId: string, reason: string): void {
    const before = this.#tasks.get(taskId)?.machine;
    this.#feed(taskId, { kind: 'stop', reason });
    const machine = this.#tasks.get(taskId)?.machine;
    if (machine !== undefined) this.#keepStop(before, machine);
  }

  /** What this node has decided holds also when the daemon is killed over it, and managers are back. */
  #keepStop(before: TaskMachine | undefined, machine: TaskMachine): void {
    const { stopReason: reason } = machine;
    if (reason === before?.stopReason) return;
    this.#options.logger.warn('a task is stopped', { task: machine.assignment.task.id, reason });
    this.#writeBehind([putTask(machine)]);
  }

  /** Removes every task and whatever belongs to it: the node has left the swarm. */
  async removeAll(signal: AbortSignal): Promise<void> {
    await this.apply({ complete: true, version: 0, changes: [] });
    await this.#settled((machine) => machine.done, signal);
  }

  /** Lets go without stopping anything. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#applying;
    this.#checks.close();
    for (const task of this.#tasks.values()) {
      task.cancelRetry?.();
      task.operation?.abort();
      task.waiting?.abort();
    }
  }

  readonly #watchers = new Set<() => void>();

  async #settled(enough: (machine: TaskMachine) => boolean, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        const left = [...this.#tasks.values()].filter((task) => !enough(task.machine)).length;
        if (left > 0 && !signal.aborted) return;
        this.#watchers.delete(check);
        signal.removeEventListener('abort', check);
        if (left === 0) resolve();
        else
          reject(
            new SwarmError({
              code: 'deadline',
              reason: 'timeout',
              message: `${left} of ${this.#tasks.size} tasks had not ended in time`,
            }),
          );
      };
      this.#watchers.add(check);
      signal.addEventListener('abort', check);
      check();
    });
  }

  #assignment(task: Task): TaskAssignment | undefined {
    const spec = this.#revisions.get(task)?.spec;
    return spec === undefined ? undefined : { task, spec, node: this.#options.node };
  }

  async #apply(assignments: AssignmentStep): Promise<void> {
    if (this.#closed) return;
    // First, so that tasks of the step find them; and kept nowhere but there.
    this.#options.executor.payloads.apply(assignments);
    const writes: DatabaseWrite[] = [];
    const inputs: { taskId: string; input: TaskInput }[] = [];
    for (const change of assignments.changes)
      if (change.item?.kind === 'revision' && !change.remove) writes.push(...this.#revisions.keep(change.item.value));
    const named = new Set<string>();
    for (const { item, remove } of assignments.changes) {
      if (item?.kind !== 'task') continue;
      if (remove) this.#unassign(item.value.id, writes, inputs);
      else {
        named.add(item.value.id);
        this.#assign(item.value, writes, inputs);
      }
    }
    if (assignments.complete)
      for (const taskId of this.#tasks.keys()) if (!named.has(taskId)) this.#unassign(taskId, writes, inputs);
    await this.#write(writes);
    for (const { taskId, input } of inputs) {
      if (this.#closed) return;
      this.#feed(taskId, input);
    }
    this.#dropRevisions();
  }

  #assign(task: Task, writes: DatabaseWrite[], inputs: { taskId: string; input: TaskInput }[]): void {
    const assignment = this.#assignment(task);
    if (assignment === undefined)
      throw new SwarmError({
        code: 'internal',
        reason: 'session-invalid',
        message: `task ${task.id} came without revision ${task.revision} of its service`,
      });
    const existing = this.#tasks.get(task.id);
    if (existing?.machine.wanted === false) return; // being removed; a task never comes back
    if (existing === undefined) {
      const status = task.status;
      // What ended before this node lost its memory stays ended: there is nothing of it here.
      this.#tasks.set(task.id, atRest(createMachine(assignment, status)));
      inputs.push({
        taskId: task.id,
        input:
          status !== undefined && status.state >= TaskState.STARTING
            ? { kind: 'found', found: { kind: 'absent' } }
            : { kind: 'assign', assignment },
      });
    } else if (existing.machine.assignment.task.version !== task.version)
      inputs.push({ taskId: task.id, input: { kind: 'assign', assignment } });
    else return;
    writes.push({ kind: 'put-task', task, wanted: true, stopReason: existing?.machine.stopReason });
  }

  #unassign(taskId: string, writes: DatabaseWrite[], inputs: { taskId: string; input: TaskInput }[]): void {
    const existing = this.#tasks.get(taskId);
    if (existing === undefined || !existing.machine.wanted) return;
    writes.push({ ...putTask(existing.machine), wanted: false });
    inputs.push({ taskId, input: { kind: 'unassign' } });
  }

  /** Revisions that no task runs any more go; their order with tasks does not matter, both are named by content. */
  #dropRevisions(): void {
    this.#writeBehind(
      this.#revisions.dropUnused([...this.#tasks.values()].map((task) => task.machine.assignment.task)),
    );
  }

  #feed(taskId: string, input: TaskInput): void {
    const task = this.#tasks.get(taskId);
    if (task === undefined || this.#closed) return;
    const before = task.machine;
    const { clock, config, random } = this.#options;
    const retryDelayMs = (attempts: number): number => backoffDelay(config.retry, attempts - 1, random);
    const { machine, effects } = step(before, input, clock.now(), { retryDelayMs });
    task.machine = machine;
    this.#checks.follow(machine);
    if (machine.done) {
      this.#forget(taskId, task);
      return;
    }
    if (machine.status !== before.status) {
      if (mustBeKept(before.status, machine.status))
        this.#writeBehind([{ kind: 'put-status', taskId, status: machine.status }]);
      if (machine.wanted) this.#options.onStatus(taskId, machine.status);
    }
    this.#armRetry(taskId, task);
    for (const effect of effects) {
      if (effect.kind === 'run') this.#run(taskId, task, effect.operation);
      else if (effect.kind === 'wait') this.#wait(taskId, task);
      else task.operation?.abort();
    }
    for (const check of [...this.#watchers]) check();
  }

  #forget(taskId: string, task: RunningTask): void {
    task.cancelRetry?.();
    task.waiting?.abort();
    this.#tasks.delete(taskId);
    this.#writeBehind([{ kind: 'delete-task', taskId }]);
    this.#dropRevisions();
    for (const check of [...this.#watchers]) check();
  }

  #armRetry(taskId: string, task: RunningTask): void {
    task.cancelRetry?.();
    task.cancelRetry = undefined;
    const { retryAtMs } = task.machine;
    if (retryAtMs === undefined) return;
    const delayMs = Math.max(1, retryAtMs - this.#options.clock.now());
    task.cancelRetry = this.#options.clock.setTimer(delayMs, () => this.#feed(taskId, { kind: 'tick' }));
  }

  #run(taskId: string, task: RunningTask, operation: Operation): void {
    const controller = new AbortController();
    task.operation = controller;
    this.#execute(taskId, task, operation, controller.signal).then(
      (input) => this.#feed(taskId, input),
      (thrown: unknown) => this.#operationFailed(taskId, operation, thrown),
    );
  }

  async #execute(taskId: string, task: RunningTask, operation: Operation, signal: AbortSignal): Promise<TaskInput> {
    const { executor, config } = this.#options;
    const { assignment } = task.machine;
    const progress = (message: string): void => this.#feed(taskId, { kind: 'progress', message });
    switch (operation) {
      case 'prepare': {
        // Without a manager they cannot come, however long that takes.
        await executor.payloads.available(assignment, progress, signal);
        const bounded = AbortSignal.any([signal, AbortSignal.timeout(config.prepareTimeoutMs)]);
        return { kind: 'prepared', prepared: await executor.prepare(assignment, progress, bounded) };
      }
      case 'start': {
        const bounded = AbortSignal.any([signal, AbortSignal.timeout(config.startTimeoutMs)]);
        const container = await executor.start(taskId, progress, bounded);
        return { kind: 'started', container, plan: executor.healthPlan(assignment) };
      }
      case 'shutdown':
        await executor.shutdown(assignment, signal, task.machine.failure !== undefined);
        // How it ended is told before that it was stopped: nobody asks for it afterwards.
        await task.told;
        return { kind: 'stopped' };
      case 'remove':
        await executor.remove(taskId, signal);
        return { kind: 'removed' };
    }
  }

  #operationFailed(taskId: string, operation: Operation | 'wait', thrown: unknown): void {
    if (this.#closed) return;
    const error = SwarmError.from(thrown);
    this.#options.logger.warn('a task operation failed', {
      task: taskId,
      operation,
      reason: error.reason,
      error: error.message,
    });
    const hint = error.hint === undefined ? '' : `: ${error.hint}`;
    this.#feed(taskId, { kind: 'failed', operation, error: `${error.message}${hint}` });
  }

  #wait(taskId: string, task: RunningTask): void {
    const controller = new AbortController();
    task.waiting = controller;
    const { executor, config } = this.#options;
    const ended = executor
      .wait(taskId, controller.signal)
      .then((exit) => explained(executor, task.machine, exit, config));
    task.told = ended.then(
      (exit) => this.#feed(taskId, { kind: 'exited', exit }),
      (thrown: unknown) => {
        if (!controller.signal.aborted) this.#operationFailed(taskId, 'wait', thrown);
      },
    );
  }

  #writeBehind(writes: readonly DatabaseWrite[]): void {
    if (writes.length > 0) this.#write(writes).catch(() => {}); // reported by #write
  }

  async #write(writes: readonly DatabaseWrite[]): Promise<void> {
    if (writes.length === 0) return;
    try {
      await this.#options.database.write(writes);
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (!this.#failed && !this.#closed) {
        this.#failed = true;
        this.#options.onFailure(error);
      }
      throw error;
    }
  }
}
