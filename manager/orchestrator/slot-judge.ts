/**
 * Looks at one slot of a service: what is in it, and the next step to what should be. A function of the slot's tasks,
 * their nodes, the service and the time; each step is one group of changes, and a slot that gives none is as it should
 * be until its wake-up time.
 *
 * The order of steps in a slot (docs/orchestrator.md has the reasons):
 *   replace what is lost, ended or has to leave -> retire what is superseded -> let the held task start
 */
import { earliest } from '#common/earliest.ts';
import { type Node, type Service, type Task, type TaskRollout, TaskState } from '#gen/swarm/v1/objects.ts';
import type { Change, ChangeGroup } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { fenceMs, isGivenUp, type LossRules, mayStillRun } from './node-loss.ts';
import { decideRestart, describeEnd, replacementRefusal } from './restart-policy.ts';
import type { RevisionBook } from './revision-book.ts';
import { hasFixedAddresses, restartRules, stopMs } from './service-settings.ts';
import { EMPTY_SUMMARY, type SlotSummary, summarize } from './slot-summary.ts';
import { type Account, accountOf, byAge, FRESH_ACCOUNT, makeTask, newestKept, newestWanted } from './slot-tasks.ts';
import * as facts from './task-facts.ts';
import { countedFailure, isBroughtBy, type UpdateContext } from './update/update-context.ts';

export interface SlotQuestion {
  readonly service: Service;
  readonly update: UpdateContext;
  /** Replicated: its number; global: 0. */
  readonly slot: number;
  /** Global: the node that is the slot; replicated: empty. */
  readonly nodeId: string;
  readonly tasks: readonly Task[];
  readonly nowMs: number;
}

/** What judging needs besides. */
export interface SlotHelp extends LossRules {
  readonly config: OrchestratorConfig;
  readonly book: RevisionBook;
  newId(): string;
  /** From 0 to 1, excluded: by chance. */
  jitter(): number;
}

export interface SlotJudgement {
  readonly summary: SlotSummary;
  /** Empty: nothing to do now. */
  readonly changes: ChangeGroup;
  readonly wakeAtMs: number | undefined;
}

interface Replacement {
  readonly account: Account;
  readonly delayMs: number;
  readonly reason: string;
  /** The old task stays until the new one runs. */
  readonly keepOld?: boolean;
}

export class SlotJudge {
  readonly #question: SlotQuestion;
  readonly #help: SlotHelp;
  /** Oldest first. */
  readonly #tasks: readonly Task[];

  constructor(question: SlotQuestion, help: SlotHelp) {
    this.#question = question;
    this.#help = help;
    this.#tasks = byAge(question.tasks);
  }

  judge(): SlotJudgement {
    const current = this.#current();
    if (current === undefined) return this.#withoutWanted();
    const node = current.nodeId === '' ? undefined : this.#help.nodeOf(current.nodeId);
    if (current.nodeId !== '' && facts.isLost(node)) return this.#lost(current, node);
    if (facts.hasEnded(current)) return this.#ended(current, node);
    if (current.evictReason !== '' || this.#leavesAtOnce(node)) return this.#leaving(current);
    return this.#standing(current);
  }

  /** The step by which an update moves the slot to the target. */
  moveToTarget(): ChangeGroup {
    const { update, service } = this.#question;
    // With order start-first what runs is retired by what takes its place, once that is healthy.
    const stays = (task: Task): boolean => update.rules.startFirst && facts.stateOf(task) === TaskState.RUNNING;
    const retired = this.#tasks.filter((task) => facts.isWanted(task) && !stays(task));
    const changes: Change[] = [];
    for (const task of retired) push(changes, facts.retire(task));
    changes.push(this.#create(service.revision, FRESH_ACCOUNT, this.#broughtNow(), this.#holdReason(retired), 0));
    return changes;
  }

  /** The first task of a slot that has none that is wanted. */
  fill(): ChangeGroup {
    const { service, update } = this.#question;
    const earlier = update.fillsWithEarlier ? this.#help.book.returnPoint(service.id, service.revision) : undefined;
    const revision = earlier?.number ?? service.revision;
    return [this.#create(revision, FRESH_ACCOUNT, undefined, this.#holdReason([]), 0)];
  }

  /** For a slot that is not to be: every task is retired. */
  empty(): SlotJudgement {
    const changes: Change[] = [];
    for (const task of this.#tasks) if (facts.isWanted(task)) push(changes, facts.retire(task));
    return { summary: EMPTY_SUMMARY, changes, wakeAtMs: undefined };
  }

  leavesAtOnce(node: Node): boolean {
    return this.#help.leavesAtOnce(node);
  }

  /** For a slot that is not to be in the end: what runs may run on until it is told to leave. Updates leave it alone. */
  outlive(): SlotJudgement {
    const works = (task: Task): boolean =>
      facts.isAssigned(task) && !facts.hasEnded(task) && task.desiredState === TaskState.RUNNING;
    const hasToLeave = this.#tasks.some((task) => facts.isWanted(task) && task.evictReason !== '');
    if (hasToLeave || !this.#tasks.some(works)) return this.empty();
    return nothing(EMPTY_SUMMARY);
  }

  /** For a slot that leaves no trace: its tasks are told to go, those that hold nothing are deleted. */
  clear(): SlotJudgement {
    const changes = facts.clearSlot(this.#tasks, (task) => mayStillRun(task, this.#help));
    return { summary: EMPTY_SUMMARY, changes, wakeAtMs: undefined };
  }

  /**
   * The task that the slot stands or falls with: the newest that is wanted, unless it belongs to an update that was
   * abandoned while an older one, of the right kind and in good order, is still there.
   */
  #current(): Task | undefined {
    const newest = newestWanted(this.#tasks);
    if (newest === undefined) return newest;
    if (this.#isUpToDate(newest)) return this.#sparedBy(newest) ?? newest;
    for (const task of this.#tasks) {
      if (!facts.isWanted(task) || !this.#isUpToDate(task) || facts.hasEnded(task) || task.evictReason !== '') continue;
      const node = task.nodeId === '' ? undefined : this.#help.nodeOf(task.nodeId);
      if (task.nodeId === '' || (!facts.isLost(node) && !this.#leavesAtOnce(node))) return task;
    }
    return newest;
  }

  /** One of the same kind that was to leave and may stay after all, while its successor does not run. */
  #sparedBy(newest: Task): Task | undefined {
    if (facts.stateOf(newest) >= TaskState.RUNNING) return undefined;
    return this.#tasks.findLast((task) => {
      if (!facts.isWanted(task) || task.revision !== newest.revision || !facts.isHealthy(task)) return false;
      const node = this.#help.nodeOf(task.nodeId);
      return task.evictReason === '' && !facts.isLost(node) && !this.#leavesAtOnce(node);
    });
  }

  #leavesAtOnce(node: Node | undefined): boolean {
    return node !== undefined && this.#help.leavesAtOnce(node);
  }

  #isUpToDate(task: Task): boolean {
    const { book } = this.#help;
    const { target } = this.#question.update;
    return task.revision === target || book.isUpToDate(task, target, this.#help.nodeOf(task.nodeId));
  }

  #withoutWanted(): SlotJudgement {
    const newest = newestKept(this.#tasks);
    if (newest === undefined || newest.finalReason === '') return nothing(EMPTY_SUMMARY);
    return nothing(this.#summary(newest));
  }

  /** The node is gone or silent: without counting an attempt, as soon as its return is not waited for. */
  #lost(task: Task, node: Node | undefined): SlotJudgement {
    if (this.#question.nodeId !== '') {
      // A global service has nowhere else to go; what is there is looked at when the node comes back.
      return node === undefined ? this.clear() : nothing({ ...this.#summary(task), suspended: true });
    }
    if (facts.hasEnded(task) || isGivenUp(task, this.#help))
      return this.#replaceUncounted(task, node?.status?.message ?? 'node is gone');
    return nothing({ ...this.#summary(task), running: false, steady: false, healthySinceMs: 0 });
  }

  #ended(task: Task, node: Node | undefined): SlotJudgement {
    const state = facts.stateOf(task);
    const stopped = state === TaskState.SHUTDOWN || state === TaskState.ORPHANED;
    if ((stopped && task.quickFailures === 0) || facts.endedWithNode(task, node, this.#help.config.nodeReturnMs))
      return this.#replaceUncounted(task, describeEnd(task));
    const rules = restartRules(this.#help.book.taskSpec(task.serviceId, task.revision));
    const decision = decideRestart(
      task,
      stopped ? { ...rules, attemptsMax: 0 } : rules,
      this.#help.config.restart,
      this.#question.nowMs,
      this.#help.jitter(),
    );
    if (decision.kind === 'final') return this.#finish(task, decision.reason);
    const { attempt, failures, quickFailures, delayMs, reason } = decision;
    const account = stopped
      ? { ...accountOf(task), quickFailures }
      : { restartAttempt: attempt, failures, quickFailures };
    return this.#replace(task, { account, delayMs, reason });
  }

  #leaving(task: Task): SlotJudgement {
    const reason = task.evictReason !== '' ? task.evictReason : 'node is drained';
    const last = newestKept(this.#tasks);
    if (last !== undefined && last.id !== task.id && last.finalReason !== '')
      // Nothing is wrong with one that leaves gently: better it than none.
      return this.#staysUntilReady(task) ? nothing(this.#summary(task)) : this.#finish(task, last.finalReason);
    // One that makes room goes first: its successor may have nowhere else to be.
    const startFirst = this.#question.update.rules.startFirst && task.preemptedBy === '';
    const keepOld = (startFirst && facts.stateOf(task) === TaskState.RUNNING) || this.#staysUntilReady(task);
    return this.#replaceUncounted(task, reason, keepOld);
  }

  /**
   * It leaves though nothing is wrong with it, and runs until what takes its place is prepared, or healthy. With
   * addresses of its own it cannot: they are free when it has stopped.
   */
  #staysUntilReady(task: Task): boolean {
    if (!task.evictGently || task.preemptedBy !== '' || facts.stateOf(task) !== TaskState.RUNNING) return false;
    const node = this.#help.nodeOf(task.nodeId);
    if (facts.isLost(node) || this.#leavesAtOnce(node) || !facts.isWanted(task)) return false;
    return !hasFixedAddresses(this.#help.book.taskSpec(task.serviceId, task.revision));
  }

  #replaceUncounted(task: Task, reason: string, keepOld = false): SlotJudgement {
    const rules = restartRules(this.#help.book.taskSpec(task.serviceId, task.revision));
    const refusal = facts.isAssigned(task) ? replacementRefusal(task, rules) : undefined;
    if (refusal !== undefined) return this.#finish(task, `${reason}; ${refusal}`);
    const quick = facts.stateOf(task) === TaskState.SHUTDOWN ? 1 : 0;
    const account = { ...accountOf(task), quickFailures: task.quickFailures + quick };
    return this.#replace(task, { account, delayMs: 0, reason, keepOld });
  }

  #replace(task: Task, replacement: Replacement): SlotJudgement {
    const { update, nowMs } = this.#question;
    const upToDate = this.#isUpToDate(task);
    const keeps = !upToDate && update.keepRevision && this.#help.book.get(task.serviceId, task.revision) !== undefined;
    const revision = keeps ? task.revision : update.target;
    const carries = keeps || upToDate;
    const moved = !carries && update.phase === 'active';
    const rollout = moved ? this.#broughtNow() : this.#carriedRollout(task);
    const changes: Change[] = [];
    if (replacement.keepOld !== true) push(changes, facts.retire(task));
    // The last lines of the newest failure, and of the one that the update is judged by, are enough for a slot.
    for (const other of this.#tasks)
      if (other.id !== task.id && other.id !== rollout?.failedTask) push(changes, facts.forgetLog(other));
    const startNotBeforeMs = Math.max(
      replacement.delayMs > 0 ? nowMs + replacement.delayMs : 0,
      task.startNotBeforeMs > nowMs && carries ? task.startNotBeforeMs : 0,
    );
    const waits = this.#holdReason(replacement.keepOld === true ? [] : [task]);
    const holdReason = waits !== '' ? waits : startNotBeforeMs > nowMs ? replacement.reason : '';
    const account = carries ? replacement.account : FRESH_ACCOUNT;
    changes.push(this.#create(revision, account, carries || moved ? rollout : undefined, holdReason, startNotBeforeMs));
    return { summary: this.#summary(task), changes, wakeAtMs: undefined };
  }

  /** Nothing takes the task's place; the slot counts as done until the service changes. */
  #finish(task: Task, finalReason: string): SlotJudgement {
    if (!facts.isAssigned(task))
      return { summary: EMPTY_SUMMARY, changes: [facts.removeTask(task)], wakeAtMs: undefined };
    const rollout = this.#carriedRollout(task);
    const object = { ...facts.withDesired(task, TaskState.SHUTDOWN), finalReason, rollout };
    return { summary: this.#summary(task), changes: [facts.updateTask(object)], wakeAtMs: undefined };
  }

  /** With a mark when the task failed under the eyes of the update that brought it. */
  #carriedRollout(task: Task): TaskRollout | undefined {
    const { rollout } = task;
    const { update } = this.#question;
    if (rollout === undefined || !isBroughtBy(rollout, update) || countedFailure(rollout, update) !== '')
      return rollout;
    if (!facts.hasEnded(task) || facts.stateOf(task) === TaskState.SHUTDOWN) return rollout;
    if (facts.stateOf(task) === TaskState.ORPHANED) return rollout;
    const rules = restartRules(this.#help.book.taskSpec(task.serviceId, task.revision));
    if (facts.stateOf(task) === TaskState.COMPLETE && rules.condition !== 'any') return rollout;
    const sinceMs = facts.workedSinceMs(task);
    const workedMs = sinceMs === 0 ? 0 : (task.status?.timestampMs ?? 0) - sinceMs;
    if (workedMs > update.rules.monitorMs) return rollout;
    return { ...rollout, failedTask: task.id, attempt: update.attempt };
  }

  /** The mark of a task by which the update moves the slot now. */
  #broughtNow(): TaskRollout {
    const { update, nowMs } = this.#question;
    return { updateStartedAtMs: update.startedAtMs, failedTask: '', attempt: update.attempt, movedAtMs: nowMs };
  }

  #standing(task: Task): SlotJudgement {
    const changes: Change[] = [];
    const { update } = this.#question;
    const isCanary = update.tryingCanaries && isBroughtBy(task.rollout, update);
    // What is to be moved yet is no reason to give up what else there is.
    const isToBeMoved = update.phase !== 'idle' && !this.#isUpToDate(task);
    const keepsOthers = update.rules.startFirst && (isCanary || isToBeMoved || !facts.isHealthy(task));
    for (const other of this.#tasks) {
      if (other.id === task.id || !facts.isWanted(other)) continue;
      const keeps = keepsOthers || (facts.stateOf(task) < TaskState.READY && this.#staysUntilReady(other));
      if (!keeps || this.#isUseless(other, task)) push(changes, facts.retire(other));
    }
    // It starts when what it waits for has stopped: what is told to now has not.
    const waits = changes.length > 0 || (!update.rules.startFirst && this.#staysBeside(task));
    const isHeld = task.desiredState !== TaskState.RUNNING && !waits;
    const startAtMs = isHeld ? this.#startAtMs(task) : undefined;
    const starts = startAtMs !== undefined && startAtMs <= this.#question.nowMs;
    if (starts) changes.push(facts.updateTask({ ...facts.withDesired(task, TaskState.RUNNING), holdReason: '' }));
    const summary = this.#summary(task);
    return { summary, changes, wakeAtMs: earliest(starts ? undefined : startAtMs, summary.changesAtMs) };
  }

  /** With order stop-first: something leaves gently, and the task is to take its place. */
  #staysBeside(task: Task): boolean {
    return this.#tasks.some((other) => other.id !== task.id && this.#staysUntilReady(other));
  }

  /** Nothing is lost when the task goes, which is there beside the one that the slot stands for. */
  #isUseless(other: Task, current: Task): boolean {
    const node = this.#help.nodeOf(other.nodeId);
    if (facts.hasEnded(other) || facts.isLost(node)) return true;
    const hasToLeave = other.evictReason !== '' || this.#leavesAtOnce(node);
    return hasToLeave && facts.isHealthy(current);
  }

  /** When a held task may start: after its delay, and when what was there before has stopped or had its time to. */
  #startAtMs(task: Task): number | undefined {
    const stopping = this.#stopping();
    if (stopping.length === 0) return task.startNotBeforeMs;
    const { book, config } = this.#help;
    // One that never runs beside another waits for as long as it takes.
    if (stopping.some((one) => fenceMs(this.#help.specOf(one)) > 0)) return undefined;
    const longestMs = Math.max(...stopping.map((one) => stopMs(book.get(one.serviceId, one.revision)?.spec)));
    return Math.max(task.startNotBeforeMs, task.createdAtMs + longestMs + config.stopOverdueMs);
  }

  #stopping(): readonly Task[] {
    return this.#tasks.filter((task) => !facts.isWanted(task) && this.#mayStillRun(task));
  }

  #mayStillRun(task: Task): boolean {
    return mayStillRun(task, this.#help);
  }

  /** Why a new task cannot run at once: what is stopping already, and what is retired along with its creation. */
  #holdReason(retired: readonly Task[]): string {
    const going = retired.filter((task) => facts.isWanted(task) && this.#mayStillRun(task));
    const staying = this.#question.update.rules.startFirst
      ? []
      : this.#tasks.filter((task) => !going.includes(task) && this.#staysUntilReady(task));
    const awaited = [...this.#stopping(), ...going, ...staying];
    return awaited.length === 0 ? '' : `waiting for task ${awaited.map(({ id }) => id).join(', ')} to stop`;
  }

  #create(
    revision: number,
    account: Account,
    rollout: TaskRollout | undefined,
    holdReason: string,
    startNotBeforeMs: number,
  ): Change {
    const { service, slot, nodeId, nowMs } = this.#question;
    // One that no node was told of is deleted when it is retired: the chain goes on from the one before.
    const after = this.#tasks.findLast(facts.isAssigned);
    const id = this.#help.newId();
    const task = makeTask(
      { id, service, revision, slot, nodeId, account, rollout, after, holdReason, startNotBeforeMs },
      nowMs,
    );
    return facts.createTask(task);
  }

  #summary(task: Task): SlotSummary {
    const last = newestKept(this.#tasks) ?? task;
    return summarize({
      task,
      tasks: this.#tasks,
      last,
      upToDate: this.#isUpToDate(task),
      lastIsUpToDate: last.id === task.id || this.#isUpToDate(last),
      update: this.#question.update,
      nowMs: this.#question.nowMs,
    });
  }
}

function nothing(summary: SlotSummary): SlotJudgement {
  return { summary, changes: [], wakeAtMs: summary.changesAtMs };
}

function push(changes: Change[], change: Change | undefined): void {
  if (change !== undefined) changes.push(change);
}
