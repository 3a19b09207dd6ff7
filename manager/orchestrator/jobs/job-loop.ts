/**
 * The loop behind both kinds of jobs, and the clock of periodic ones. Works as the ServiceLoop does: slots that something
 * happened to are judged one by one, jobs whose slots are all judged are looked at as a whole, and whatever gives a change
 * is looked at again once the change is in the store, or was refused.
 *
 * That a run is due once, and that a slot completes once, is a matter of the store: a run begins with a write of the
 * service that names the time it was due, and a slot that has a completed task is done.
 */
import { Heap } from '#common/heap.ts';
import type { Random } from '#common/random.ts';
import {
  type JobRun,
  JobRunState,
  type JobStatus,
  RevisionOutcome,
  type Service,
  type Task,
} from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from '../config.ts';
import { LostNodes, mayStillRun, ViewedLoss } from '../node-loss.ts';
import { describeEnd } from '../restart-policy.ts';
import { RevisionBook } from '../revision-book.ts';
import { removeService } from '../service-removal.ts';
import { stopMs } from '../service-settings.ts';
import { compareKeys } from '../service-state.ts';
import * as facts from '../task-facts.ts';
import { isJob } from './job-settings.ts';
import { type JobSlotHelp, JobSlotJudge } from './job-slot-judge.ts';
import { type JobSlot, JobState, type JobTimer, shapeOf } from './job-state.ts';
import { planRuns } from './plan-runs.ts';

export class JobLoop implements Loop {
  readonly name = 'job-orchestrator';
  readonly #config: OrchestratorConfig;
  readonly #random: Random;
  readonly #book = new RevisionBook();
  readonly #jobs = new Map<string, JobState>();
  readonly #lostNodes = new LostNodes();
  readonly #timers = new Heap<JobTimer>((a, b) => a.atMs - b.atMs);
  /** To be judged. */
  readonly #slots = new Set<JobSlot>();
  /** To be looked at as a whole, once no slot is left to be judged: until then counts are out of date. */
  readonly #dirtyJobs = new Set<JobState>();
  readonly #dirtyNodes = new Set<string>();
  /** Jobs for which every node is to be judged. */
  readonly #allNodes = new Set<JobState>();
  /** Slots whose changes the last plan gave. */
  readonly #changing = new Set<JobSlot>();

  constructor(config: OrchestratorConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  restore(view: StoreView): void {
    this.#book.clear();
    this.#jobs.clear();
    this.#timers.clear();
    this.#slots.clear();
    this.#dirtyJobs.clear();
    this.#dirtyNodes.clear();
    this.#lostNodes.clear();
    this.#allNodes.clear();
    this.#changing.clear();
    for (const service of view.all('service')) this.#setService(service);
    for (const revision of view.all('revision')) this.#book.set(revision);
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'node':
        if (event.kind !== 'update' || !facts.sameForTasks(event.old, event.object))
          this.#dirtyNodes.add(event.object.id);
        break;
      case 'service':
        if (event.kind === 'remove') this.#removeService(event.object);
        else this.#setService(event.object);
        break;
      case 'revision':
        if (event.kind === 'remove') this.#book.remove(event.object);
        else this.#book.set(event.object);
        this.#revisionChanged(event.object.serviceId);
        break;
      case 'cluster':
        this.#lostNodes.observe(event);
        break;
      case 'task':
        if (event.kind === 'remove') this.#removeTask(event.object);
        else this.#setTask(event.object);
        break;
      default: // what services only refer to
        break;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    this.#takeUpAgain();
    this.#expandNodes(view);
    this.#fireTimers(nowMs);
    const desk = new Desk(view, nowMs, this.#book, this.#config, this.#random);
    const finished = this.#judgeSlots(desk) && this.#lookAtJobs(desk);
    for (const slot of desk.changedSlots) this.#changing.add(slot);
    return { changes: desk.groups, wakeAtMs: this.#timers.peek()?.atMs, ...(finished ? {} : { more: true }) };
  }

  #setService(service: Service): void {
    let job = this.#jobs.get(service.id);
    if (job === undefined) {
      if (!isJob(service.spec)) return;
      job = new JobState(service);
      this.#jobs.set(service.id, job);
      this.#allNodes.add(job);
    } else if (job.setService(service)) {
      for (const slot of job.slots()) this.#slots.add(slot);
      this.#allNodes.add(job);
    }
    this.#dirtyJobs.add(job);
  }

  #removeService(service: Service): void {
    const job = this.#jobs.get(service.id);
    if (job === undefined) return;
    for (const slot of job.slots()) this.#forget(slot);
    if (job.timer !== undefined) this.#timers.remove(job.timer);
    this.#jobs.delete(service.id);
    this.#dirtyJobs.delete(job);
    this.#allNodes.delete(job);
  }

  #revisionChanged(serviceId: string): void {
    const job = this.#jobs.get(serviceId);
    if (job === undefined) return;
    this.#allNodes.add(job);
    this.#dirtyJobs.add(job);
  }

  #setTask(task: Task): void {
    const job = this.#jobs.get(task.serviceId);
    if (job === undefined) return;
    const slot = job.slot(task.jobIteration, keyOf(task));
    slot.setTask(task);
    this.#slots.add(slot);
  }

  #removeTask(task: Task): void {
    const slot = this.#jobs.get(task.serviceId)?.find(task.jobIteration, keyOf(task));
    if (slot === undefined) return;
    slot.removeTask(task.id);
    this.#slots.add(slot);
  }

  #forget(slot: JobSlot): void {
    this.#slots.delete(slot);
    this.#changing.delete(slot);
    if (slot.timer !== undefined) this.#timers.remove(slot.timer);
  }

  /** What the last plan wanted to change is either in the store by now, or was refused. */
  #takeUpAgain(): void {
    for (const slot of this.#changing) {
      slot.changing = false;
      this.#slots.add(slot);
    }
    this.#changing.clear();
  }

  #expandNodes(view: StoreView): void {
    for (const nodeId of this.#lostNodes.takeAffected(view)) this.#dirtyNodes.add(nodeId);
    for (const nodeId of this.#dirtyNodes) {
      for (const task of view.tasksOfNode(nodeId)) {
        const slot = this.#jobs.get(task.serviceId)?.find(task.jobIteration, keyOf(task));
        if (slot !== undefined) this.#slots.add(slot);
      }
      for (const job of this.#jobs.values()) this.#queueNode(job, nodeId);
    }
    this.#dirtyNodes.clear();
    for (const job of this.#allNodes) for (const node of view.all('node')) this.#queueNode(job, node.id);
    this.#allNodes.clear();
  }

  #queueNode(job: JobState, nodeId: string): void {
    if (job.judged !== undefined && job.service.spec?.mode?.kind === 'globalJob')
      this.#slots.add(job.slot(job.judged.iteration, nodeId));
  }

  #fireTimers(nowMs: number): void {
    for (let timer = this.#timers.peek(); timer !== undefined && timer.atMs <= nowMs; timer = this.#timers.peek()) {
      this.#timers.remove(timer);
      if (timer.slot !== undefined) this.#slots.add(timer.slot);
      this.#dirtyJobs.add(timer.job);
    }
  }

  /** False when the slice was over before all were judged. */
  #judgeSlots(desk: Desk): boolean {
    let looks = this.#config.slotsPerSlice;
    for (const slot of this.#slots) {
      if (looks-- <= 0 || desk.room <= 0) return false;
      this.#slots.delete(slot);
      this.#judge(slot, desk);
      this.#dirtyJobs.add(slot.job);
    }
    return true;
  }

  #judge(slot: JobSlot, desk: Desk): void {
    const { job } = slot;
    const run = job.judged?.iteration === slot.iteration ? job.judged : undefined;
    const { outcome, changes, wakeAtMs } = run === undefined ? desk.dismiss(slot) : desk.judge(slot, run.revision);
    job.setOutcome(slot, outcome);
    if (changes.length > 0) desk.changeSlot(slot, changes);
    this.#setSlotTimer(slot, changes.length > 0 ? undefined : wakeAtMs);
    if (slot.tasks.length === 0 && changes.length === 0) {
      this.#forget(slot);
      job.dropSlot(slot);
    }
  }

  /** False when the slice was over before all were looked at. */
  #lookAtJobs(desk: Desk): boolean {
    let looks = this.#config.jobsPerSlice;
    for (const job of this.#dirtyJobs) {
      if (looks-- <= 0 || desk.room <= 0) return false;
      const groupsBefore = desk.groups.length;
      if (job.service.pendingDelete) {
        this.#setJobTimer(job, undefined);
        if (job.isEmpty) desk.groups.push(removeService(job.service, this.#book));
      } else this.#lookAt(job, desk);
      if (desk.groups.length === groupsBefore) this.#dirtyJobs.delete(job);
    }
    return true;
  }

  /** Runs first: a run that ends by this begins nothing more. */
  #lookAt(job: JobState, desk: Desk): void {
    const { counts, judged } = job;
    const shape = shapeOf(job, this.#book);
    const { status, ended, wakeAtMs } = planRuns(job, {
      nowMs: desk.nowMs,
      shape,
      stopMs: stopMs(this.#book.get(job.id, lastRevision(job))?.spec) + this.#config.stopOverdueMs,
      allBegun: !desk.changes(job) && (shape.global || counts.done + counts.failed + counts.active >= shape.total),
      failure: () => describeFailure(job),
    });
    this.#setJobTimer(job, wakeAtMs);
    if (status !== job.status) desk.groups.push(this.#statusWrite(job, status, ended));
    else if (judged !== undefined && !shape.global) {
      const room = Math.min(desk.room, shape.concurrent - counts.active);
      for (const number of job.freeNumbers(judged.iteration, shape.total, room))
        desk.begin(job.slot(judged.iteration, number), judged.revision);
    }
  }

  #statusWrite({ service }: JobState, status: JobStatus, ended: JobRun | undefined): ChangeGroup {
    // A job has runs, not updates: one that was rolled back is at its new revision with its next run.
    const object = { ...service, job: status, updateStatus: undefined };
    const written: Change = { kind: 'update', table: 'service', object };
    const outcome = ended === undefined ? undefined : OUTCOMES.get(ended.state);
    const revision = ended === undefined ? undefined : this.#book.get(service.id, ended.revision);
    if (outcome === undefined || revision?.outcome !== RevisionOutcome.UNKNOWN) return [written];
    return [written, { kind: 'update', table: 'revision', object: { ...revision, outcome } }];
  }

  #setSlotTimer(slot: JobSlot, atMs: number | undefined): void {
    if (slot.timer !== undefined) this.#timers.remove(slot.timer);
    if (atMs === undefined) return;
    slot.timer ??= { heapIndex: -1, job: slot.job, slot, atMs };
    slot.timer.atMs = atMs;
    this.#timers.push(slot.timer);
  }

  #setJobTimer(job: JobState, atMs: number | undefined): void {
    if (job.timer !== undefined) this.#timers.remove(job.timer);
    if (atMs === undefined) return;
    job.timer ??= { heapIndex: -1, job, slot: undefined, atMs };
    job.timer.atMs = atMs;
    this.#timers.push(job.timer);
  }
}

const OUTCOMES: ReadonlyMap<JobRunState, RevisionOutcome> = new Map([
  [JobRunState.COMPLETED, RevisionOutcome.HEALTHY],
  [JobRunState.FAILED, RevisionOutcome.FAILED],
]);

function keyOf(task: Task): number | string {
  return task.slot > 0 ? task.slot : task.nodeId;
}

function lastRevision({ status, service }: JobState): number {
  return status.runs.findLast(({ revision }) => revision > 0)?.revision ?? service.revision;
}

/** Of the first slot that has failed: the others are listed with the tasks. */
function describeFailure(job: JobState): string {
  const failed = [...job.slotsOf(job.judged?.iteration ?? 0)].filter(({ outcome }) => outcome === 'failed');
  const [first] = failed.sort((a, b) => compareKeys(a.key, b.key));
  const task = first?.tasks.find(({ finalReason }) => finalReason !== '');
  if (first === undefined || task === undefined) return '';
  const more = failed.length > 1 ? `, and ${failed.length - 1} more` : '';
  return `task ${task.id} (${first.number > 0 ? `slot ${first.number}` : `node ${first.nodeId}`}): ${describeEnd(task)}; ${task.finalReason}${more}`;
}

interface DeskJudgement {
  readonly outcome: JobSlot['outcome'];
  readonly changes: ChangeGroup;
  readonly wakeAtMs: number | undefined;
}

/** What one plan is made on: its view and time, and the groups it gives. */
class Desk extends ViewedLoss implements JobSlotHelp {
  readonly groups: ChangeGroup[] = [];
  readonly changedSlots: JobSlot[] = [];
  readonly nowMs: number;
  readonly book: RevisionBook;
  readonly config: OrchestratorConfig;
  readonly #random: Random;
  readonly #changedJobs = new Set<JobState>();

  constructor(view: StoreView, nowMs: number, book: RevisionBook, config: OrchestratorConfig, random: Random) {
    super(view);
    this.nowMs = nowMs;
    this.book = book;
    this.config = config;
    this.#random = random;
  }

  get room(): number {
    return this.config.groupsPerSlice - this.groups.length;
  }

  jitter(): number {
    return this.#random.next();
  }

  /** A slot of the run that is going on. */
  judge(slot: JobSlot, revision: number): DeskJudgement {
    const judge = this.#judgeOf(slot, revision);
    if (slot.nodeId !== '' && !slot.tasks.some(facts.isAssigned)) {
      // Nobody was told: whether the node takes part may still change.
      if (!this.#takesPart(slot, revision))
        return { outcome: 'absent', changes: slot.tasks.map(facts.removeTask), wakeAtMs: undefined };
      if (slot.tasks.length === 0) return { outcome: 'active', changes: judge.begin(), wakeAtMs: undefined };
    }
    return judge.judge();
  }

  begin(slot: JobSlot, revision: number): void {
    slot.job.setOutcome(slot, 'active');
    this.changeSlot(slot, this.#judgeOf(slot, revision).begin());
  }

  /** A slot of another run: what is at work is stopped; nothing stays of runs that are not kept. */
  dismiss(slot: JobSlot): DeskJudgement {
    const { job, tasks } = slot;
    const changes =
      job.service.pendingDelete || !job.isKept(slot.iteration)
        ? facts.clearSlot(tasks, (task) => mayStillRun(task, this))
        : tasks
            .filter((task) => facts.isWanted(task) && !facts.hasEnded(task))
            .flatMap((task) => facts.retire(task) ?? []);
    const stopping = tasks.some((task) => mayStillRun(task, this));
    return { outcome: stopping ? 'stopping' : 'empty', changes, wakeAtMs: undefined };
  }

  /** What slots of the job are to become is not in the store. */
  changes(job: JobState): boolean {
    return this.#changedJobs.has(job);
  }

  changeSlot(slot: JobSlot, changes: ChangeGroup): void {
    this.#changedJobs.add(slot.job);
    slot.changing = true;
    this.changedSlots.push(slot);
    this.groups.push(changes);
  }

  #judgeOf(slot: JobSlot, revision: number): JobSlotJudge {
    const { job, iteration, number, nodeId, tasks } = slot;
    const { service } = job;
    return new JobSlotJudge({ service, revision, iteration, slot: number, nodeId, tasks, nowMs: this.nowMs }, this);
  }

  /** Whether a node on which nothing was begun gets a task of the run. */
  #takesPart({ nodeId, job }: JobSlot, revision: number): boolean {
    const node = this.nodeOf(nodeId);
    if (node === undefined || facts.isLost(node) || facts.isDrained(node)) return false;
    const isPaused = node.spec?.availability === NodeAvailability.PAUSE;
    return !isPaused && this.book.get(job.id, revision) !== undefined && this.book.fits(job.id, revision, node);
  }
}
