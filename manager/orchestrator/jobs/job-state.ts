import { type CronSchedule, compileCron } from '#common/cron-schedule.ts';
import type { HeapItem } from '#common/heap.ts';
import { type JobRun, JobRunState, JobStatus, type Service, type Task } from '#gen/swarm/v1/objects.ts';
import type { RevisionBook } from '../revision-book.ts';
import type { SlotKey } from '../service-state.ts';
import { activeRun, lastRun, queuedRun } from './job-runs.ts';
import { type JobRules, type JobShape, jobRules, jobShape } from './job-settings.ts';
import type { SlotOutcome } from './job-slot-judge.ts';

/** When a job, or one of its slots, is to be looked at though nothing happens. */
export interface JobTimer extends HeapItem {
  readonly job: JobState;
  readonly slot: JobSlot | undefined;
  atMs: number;
}

/** Tasks of one run with the same number, or on the same node. */
export class JobSlot {
  readonly job: JobState;
  readonly iteration: number;
  readonly key: SlotKey;
  /** In no order. */
  tasks: readonly Task[] = [];
  /** Of a run that is not judged any more: `stopping` while a container may be left of it. */
  outcome: SlotOutcome | 'stopping' = 'empty';
  timer: JobTimer | undefined;
  /** Changes of this slot are under way: what else is decided waits for them. */
  changing = false;

  constructor(job: JobState, iteration: number, key: SlotKey) {
    this.job = job;
    this.iteration = iteration;
    this.key = key;
  }

  /** Replicated: its number; global: 0. */
  get number(): number {
    return typeof this.key === 'number' ? this.key : 0;
  }

  /** Global: the node; replicated: empty. */
  get nodeId(): string {
    return typeof this.key === 'string' ? this.key : '';
  }

  setTask(task: Task): void {
    const place = this.tasks.findIndex(({ id }) => id === task.id);
    this.tasks = place < 0 ? [...this.tasks, task] : this.tasks.with(place, task);
  }

  removeTask(taskId: string): void {
    this.tasks = this.tasks.filter(({ id }) => id !== taskId);
  }
}

/**
 * A job with the slots of its runs.
 *
 * Invariant: each count is the number of slots that have that outcome: `stopping` of those of other runs than the one
 * that is judged, the others of its own.
 */
export class JobState {
  service: Service;
  rules: JobRules;
  /** The run whose slots are brought to their end; undefined while there is none. */
  judged: JobRun | undefined;
  readonly counts = { active: 0, done: 0, failed: 0, stopping: 0 };
  timer: JobTimer | undefined;
  /** By iteration and key. Invariant: no entry is empty. */
  readonly #slots = new Map<number, Map<SlotKey, JobSlot>>();
  #compiled: { readonly text: string; readonly schedule: CronSchedule | undefined } | undefined;
  /** Every number from 1 to this one, excluded, was begun in the run that is judged. */
  #numberFrom = 1;

  constructor(service: Service) {
    this.service = service;
    this.rules = jobRules(service.spec);
    this.judged = judgedRun(service, this.rules);
  }

  get id(): string {
    return this.service.id;
  }

  get status(): JobStatus {
    return this.service.job ?? NO_RUNS;
  }

  /** The schedule that is in force; undefined without one, or where it cannot be read. */
  get schedule(): CronSchedule | undefined {
    const { schedule } = this.rules;
    if (schedule === undefined) return undefined;
    const text = `${schedule.cron} ${schedule.timeZone}`;
    if (this.#compiled?.text !== text) {
      const compiled = compileCron(schedule.cron, schedule.timeZone);
      this.#compiled = { text, schedule: 'message' in compiled ? undefined : compiled };
    }
    return this.#compiled.schedule;
  }

  /** Whether slots are to be judged anew: others count now, or a run was forgotten. */
  setService(service: Service): boolean {
    const before = this.service;
    const judgedBefore = this.judged;
    this.service = service;
    if (before.spec !== service.spec) this.rules = jobRules(service.spec);
    this.judged = judgedRun(service, this.rules);
    const same =
      this.judged?.iteration === judgedBefore?.iteration &&
      before.pendingDelete === service.pendingDelete &&
      !forgetsRun(before, service);
    if (same) return false;
    this.#numberFrom = 1;
    Object.assign(this.counts, { active: 0, done: 0, failed: 0, stopping: 0 });
    for (const slot of this.slots()) slot.outcome = 'empty';
    return true;
  }

  /** Run `iteration` is in the status: its tasks are kept. */
  isKept(iteration: number): boolean {
    return this.status.runs.some((run) => run.iteration === iteration);
  }

  get isEmpty(): boolean {
    return this.#slots.size === 0;
  }

  *slots(): Generator<JobSlot, void> {
    for (const slots of this.#slots.values()) yield* slots.values();
  }

  slotsOf(iteration: number): Iterable<JobSlot> {
    return this.#slots.get(iteration)?.values() ?? [];
  }

  find(iteration: number, key: SlotKey): JobSlot | undefined {
    return this.#slots.get(iteration)?.get(key);
  }

  slot(iteration: number, key: SlotKey): JobSlot {
    let slots = this.#slots.get(iteration);
    if (slots === undefined) {
      slots = new Map();
      this.#slots.set(iteration, slots);
    }
    let slot = slots.get(key);
    if (slot === undefined) {
      slot = new JobSlot(this, iteration, key);
      slots.set(key, slot);
    }
    return slot;
  }

  /** Forgets a slot that has no task. */
  dropSlot(slot: JobSlot): void {
    this.setOutcome(slot, 'empty');
    const slots = this.#slots.get(slot.iteration);
    if (slots?.delete(slot.key) === true && slots.size === 0) this.#slots.delete(slot.iteration);
  }

  setOutcome(slot: JobSlot, outcome: JobSlot['outcome']): void {
    this.#count(slot.outcome, -1);
    this.#count(outcome, 1);
    slot.outcome = outcome;
    if (outcome === 'empty' && slot.number > 0) this.#numberFrom = Math.min(this.#numberFrom, slot.number);
  }

  /** The lowest numbers up to `total` in which nothing was begun; at most `count` of them. */
  freeNumbers(iteration: number, total: number, count: number): readonly number[] {
    const free: number[] = [];
    let everyBefore = true;
    for (let number = this.#numberFrom; number <= total && free.length < count; number++) {
      const slot = this.find(iteration, number);
      if (slot !== undefined && slot.outcome !== 'empty') {
        if (everyBefore) this.#numberFrom = number + 1;
        continue;
      }
      everyBefore = false;
      if (slot?.changing !== true) free.push(number);
    }
    return free;
  }

  #count(outcome: JobSlot['outcome'], by: 1 | -1): void {
    if (outcome === 'empty' || outcome === 'absent') return;
    this.counts[outcome] += by;
  }
}

const NO_RUNS = JobStatus.create();

/**
 * The run that is going on. A global job without a schedule or deadline is never over: its last run is for nodes that
 * join later, too.
 */
function judgedRun(service: Service, rules: JobRules): JobRun | undefined {
  const status = service.job;
  if (status === undefined || service.pendingDelete) return undefined;
  const active = activeRun(status);
  if (active !== undefined) return active;
  const last = lastRun(status);
  const goesOn = !rules.isScheduled && rules.deadlineMs === 0 && queuedRun(status) === undefined;
  const isOver = last?.state !== JobRunState.COMPLETED && last?.state !== JobRunState.FAILED;
  return jobShape(service.spec).global && goesOn && !isOver ? last : undefined;
}

/** Of the run that is judged; of the next one while there is none. */
export function shapeOf({ judged, service }: JobState, book: RevisionBook): JobShape {
  return jobShape(book.get(service.id, judged?.revision ?? service.revision)?.spec ?? service.spec);
}

function forgetsRun(before: Service, after: Service): boolean {
  if (before.job?.runs === after.job?.runs) return false;
  const kept = new Set(after.job?.runs.map(({ iteration }) => iteration));
  return before.job?.runs.some(({ iteration }) => !kept.has(iteration)) === true;
}
