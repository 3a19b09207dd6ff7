/**
 * Looks at one slot of a job's run (a number, or a node): what has become of it, and the next step. A slot is done with
 * the first of its tasks that completes, whatever else is told of it.
 *
 * What was lost with its node begins anew at once and is no attempt: it may run twice in part, or, where the node comes
 * back too late, in whole. With the restart condition `none` nothing begins anew.
 */
import { type Node, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { Change, ChangeGroup } from '#manager/store/index.ts';
import type { OrchestratorConfig } from '../config.ts';
import { fenceMs, isGivenUp, type LossRules, mayStillRun } from '../node-loss.ts';
import { decideRestart, describeEnd } from '../restart-policy.ts';
import type { RevisionBook } from '../revision-book.ts';
import { type RestartRules, restartRules, stopMs } from '../service-settings.ts';
import { type Account, accountOf, byAge, FRESH_ACCOUNT, newestKept } from '../slot-tasks.ts';
import * as facts from '../task-facts.ts';
import { makeJobTask } from './job-task.ts';

/**
 * - `empty`: nothing was begun
 * - `active`: a task is at work, will be, or has still to stop
 * - `done`: a task has completed
 * - `failed`: no further task will be made
 * - `absent`: the slot is a node that does not take part
 */
export type SlotOutcome = 'empty' | 'active' | 'done' | 'failed' | 'absent';

export interface JobSlotQuestion {
  readonly service: Service;
  readonly revision: number;
  readonly iteration: number;
  /** Replicated jobs: its number; global ones: 0. */
  readonly slot: number;
  /** Global jobs: the node that is the slot; replicated ones: empty. */
  readonly nodeId: string;
  /** Of this slot and run. */
  readonly tasks: readonly Task[];
  readonly nowMs: number;
}

export interface JobSlotHelp extends LossRules {
  readonly config: OrchestratorConfig;
  readonly book: RevisionBook;
  /** From 0 to 1, excluded. */
  jitter(): number;
}

export interface JobSlotJudgement {
  readonly outcome: SlotOutcome;
  /** Empty: nothing to do now. */
  readonly changes: ChangeGroup;
  readonly wakeAtMs: number | undefined;
}

export class JobSlotJudge {
  readonly #question: JobSlotQuestion;
  readonly #help: JobSlotHelp;
  /** Oldest first. */
  readonly #tasks: readonly Task[];

  constructor(question: JobSlotQuestion, help: JobSlotHelp) {
    this.#question = question;
    this.#help = help;
    this.#tasks = byAge(question.tasks);
  }

  judge(): JobSlotJudgement {
    if (this.#tasks.some((task) => facts.stateOf(task) === TaskState.COMPLETE))
      return { outcome: 'done', changes: this.#retireAllBut(undefined), wakeAtMs: undefined };
    const newest = newestKept(this.#tasks);
    if (newest === undefined) return still('empty');
    if (newest.finalReason !== '') return still('failed');
    const node = newest.nodeId === '' ? undefined : this.#help.nodeOf(newest.nodeId);
    if (facts.hasEnded(newest)) return this.#ended(newest, node);
    if (newest.nodeId !== '' && facts.isLost(node)) return this.#lost(newest, node);
    if (this.#hasToLeave(newest, node)) return this.#leaving(newest, 'active');
    if (!facts.isWanted(newest)) return still('active'); // its end is waited for
    return this.#standing(newest);
  }

  /** The first task of the slot. */
  begin(): ChangeGroup {
    return [this.#create(FRESH_ACCOUNT, '', 0)];
  }

  get #isNode(): boolean {
    return this.#question.nodeId !== '';
  }

  /** `any` is `on-failure`: nobody wants again what has succeeded. */
  #rules(task: Task): RestartRules {
    const rules = restartRules(this.#help.book.taskSpec(task.serviceId, task.revision));
    return rules.condition === 'any' ? { ...rules, condition: 'on-failure' } : rules;
  }

  #ended(task: Task, node: Node | undefined): JobSlotJudgement {
    if (this.#isNode && (node === undefined || facts.isLost(node) || facts.isDrained(node))) return still('absent');
    const state = facts.stateOf(task);
    const stopped = state === TaskState.SHUTDOWN || state === TaskState.ORPHANED;
    const { config } = this.#help;
    const { nowMs } = this.#question;
    if ((stopped && task.quickFailures === 0) || facts.endedWithNode(task, node, config.nodeReturnMs))
      return this.#replaceUncounted(task, describeEnd(task));
    const rules = stopped ? { ...this.#rules(task), attemptsMax: 0 } : this.#rules(task);
    const decision = decideRestart(task, rules, config.restart, nowMs, this.#help.jitter());
    if (decision.kind === 'final') return this.#finish(task, decision.reason);
    const { attempt, failures, quickFailures, delayMs, reason } = decision;
    const account = stopped
      ? { ...accountOf(task), quickFailures }
      : { restartAttempt: attempt, failures, quickFailures };
    return this.#replace(task, account, delayMs, reason);
  }

  #lost(task: Task, node: Node | undefined): JobSlotJudgement {
    if (!this.#isNode)
      return isGivenUp(task, this.#help)
        ? this.#replaceUncounted(task, node?.status?.message || 'its node is gone')
        : still('active');
    // There is nowhere else to go: what is there is looked at when the node comes back, unless it has to leave.
    if (node !== undefined) return this.#hasToLeave(task, node) ? this.#leaving(task, 'absent') : still('absent');
    return { ...still('absent'), changes: facts.clearSlot(this.#tasks, (one) => mayStillRun(one, this.#help)) };
  }

  #hasToLeave(task: Task, node: Node | undefined): boolean {
    return task.evictReason !== '' || (node !== undefined && this.#help.leavesAtOnce(node));
  }

  /** The node is to be left: the task is stopped, and its end decides how the slot goes on. */
  #leaving(task: Task, outcome: SlotOutcome): JobSlotJudgement {
    const change = facts.retire(task);
    return { outcome, changes: change === undefined ? [] : [change], wakeAtMs: undefined };
  }

  #replaceUncounted(task: Task, reason: string): JobSlotJudgement {
    if (facts.isAssigned(task) && this.#rules(task).condition === 'none')
      return this.#finish(task, `${reason}; restart condition is none`);
    const quick = facts.stateOf(task) === TaskState.SHUTDOWN ? 1 : 0;
    return this.#replace(task, { ...accountOf(task), quickFailures: task.quickFailures + quick }, 0, reason);
  }

  #replace(task: Task, account: Account, delayMs: number, reason: string): JobSlotJudgement {
    const change = facts.retire(task);
    const startNotBeforeMs = delayMs > 0 ? this.#question.nowMs + delayMs : 0;
    const created = this.#create(account, delayMs > 0 ? reason : '', startNotBeforeMs);
    return { outcome: 'active', changes: change === undefined ? [created] : [change, created], wakeAtMs: undefined };
  }

  /** Nothing takes the task's place, in this run. */
  #finish(task: Task, finalReason: string): JobSlotJudgement {
    const object = { ...facts.withDesired(task, TaskState.SHUTDOWN), finalReason };
    return { outcome: 'failed', changes: [facts.updateTask(object)], wakeAtMs: undefined };
  }

  #standing(task: Task): JobSlotJudgement {
    const changes = this.#retireAllBut(task);
    if (task.desiredState === TaskState.COMPLETE) return { outcome: 'active', changes, wakeAtMs: undefined };
    const startAtMs = this.#startAtMs(task);
    if (startAtMs === undefined) return { outcome: 'active', changes, wakeAtMs: undefined };
    if (startAtMs > this.#question.nowMs) return { outcome: 'active', changes, wakeAtMs: startAtMs };
    const started = facts.updateTask({ ...facts.withDesired(task, TaskState.COMPLETE), holdReason: '' });
    return { outcome: 'active', changes: [...changes, started], wakeAtMs: undefined };
  }

  /** When a held task may start: after its delay, and when what was there before has stopped or had its time to. */
  #startAtMs(task: Task): number | undefined {
    const { book, config } = this.#help;
    const stopping = this.#tasks.filter((one) => one.id !== task.id && mayStillRun(one, this.#help));
    if (stopping.length === 0) return task.startNotBeforeMs;
    // One that never runs beside another waits for as long as it takes.
    if (stopping.some((one) => fenceMs(this.#help.specOf(one)) > 0)) return undefined;
    const longestMs = stopMs(book.get(task.serviceId, task.revision)?.spec) + config.stopOverdueMs;
    return Math.max(task.startNotBeforeMs, task.createdAtMs + longestMs);
  }

  #retireAllBut(task: Task | undefined): ChangeGroup {
    const changes: Change[] = [];
    for (const other of this.#tasks) {
      if (other.id === task?.id || !facts.isWanted(other) || facts.hasEnded(other)) continue;
      const change = facts.retire(other);
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  #create(account: Account, holdReason: string, startNotBeforeMs: number): Change {
    const { service, revision, iteration, slot, nodeId, nowMs } = this.#question;
    // One that no node was told of is deleted when it is retired: the chain goes on from the one before.
    const after = this.#tasks.findLast(facts.isAssigned);
    return facts.createTask(
      makeJobTask({ service, revision, iteration, slot, nodeId, account, after, holdReason, startNotBeforeMs }, nowMs),
    );
  }
}

function still(outcome: SlotOutcome): JobSlotJudgement {
  return { outcome, changes: [], wakeAtMs: undefined };
}
