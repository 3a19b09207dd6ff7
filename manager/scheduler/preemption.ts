/**
 * Makes room for a task that fits nowhere: looks for the nodes where the fewest tasks of lower priority would have to
 * leave. Only reservations, generic resources and ports are freed that way; what else refuses a node goes on to do so.
 */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, StoreView } from '#manager/store/index.ts';
import { waitingTask } from './assignment.ts';
import type { Budget } from './candidates.ts';
import { type Filter, isFreed } from './filters.ts';
import type { NodeIndex } from './node-index.ts';
import { compareTies, type NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';

/** A node with the tasks that would have to leave it. */
export interface Eviction {
  readonly record: NodeRecord;
  /** Never empty. */
  readonly victims: readonly Victim[];
}

export interface Victim {
  readonly task: Task;
  readonly priority: number;
}

export interface PreemptionOptions {
  readonly index: NodeIndex;
  readonly request: PlacementRequest;
  readonly filters: readonly Filter[];
  readonly requestOf: (task: Task) => PlacementRequest | undefined;
}

/** One look at all nodes, in as many slices as it takes. */
export class PreemptionSearch {
  readonly #options: PreemptionOptions;
  readonly #rest: Iterator<NodeRecord>;
  readonly #found: Eviction[] = [];
  #freeing = 0;

  constructor(options: PreemptionOptions) {
    this.#options = options;
    this.#rest = options.index.records.values();
  }

  /** Nodes that will have room by themselves, once what is to stop there has stopped. */
  get freeing(): number {
    return this.#freeing;
  }

  /** True when all nodes have been looked at. */
  step(view: StoreView, budget: Budget): boolean {
    while (budget.evaluations > 0) {
      const { done, value } = this.#rest.next();
      if (done === true) return true;
      const outcome = evictionOn(value, view, this.#options, budget);
      if (outcome === 'freeing') this.#freeing++;
      else if (outcome !== undefined) this.#found.push(outcome);
    }
    return false;
  }

  /** The best ones, on a node each, as the nodes are now. */
  best(view: StoreView, count: number): readonly Eviction[] {
    const chosen: Eviction[] = [];
    for (const { record } of this.#found.sort(compareEvictions)) {
      if (chosen.length >= count) break;
      const outcome = evictionOn(record, view, this.#options, { evaluations: 0 });
      if (outcome !== undefined && outcome !== 'freeing') chosen.push(outcome);
    }
    return chosen;
  }
}

/** The change that makes room for the task: those that leave say for whom, and it says where it waits. */
export function evictionChanges(
  { victims }: Eviction,
  task: Task,
  request: PlacementRequest,
  words: { readonly serviceName: string; readonly waiting: string },
  nowMs: number,
): ChangeGroup {
  const { priority } = request;
  const evictReason = `preempted by task ${task.id} of service ${words.serviceName} (priority ${priority})`;
  const leaving = { evictReason, preemptedBy: task.id, preemptedByPriority: priority };
  const objects = [
    ...victims.map((victim) => ({ ...victim.task, ...leaving })),
    waitingTask(task, words.waiting, nowMs),
  ];
  return objects.map((object) => ({ kind: 'update', table: 'task', object }));
}

/** The lowest priorities first, then the fewest tasks, then the youngest. */
function compareEvictions(a: Eviction, b: Eviction): number {
  return (
    highestPriority(a) - highestPriority(b) ||
    a.victims.length - b.victims.length ||
    oldest(b) - oldest(a) ||
    compareTies(a.record, b.record)
  );
}

function highestPriority({ victims }: Eviction): number {
  return Math.max(...victims.map(({ priority }) => priority));
}

function oldest({ victims }: Eviction): number {
  return Math.min(...victims.map(({ task }) => task.createdAtMs));
}

/** Who would have to leave the node; undefined when it would not help. */
function evictionOn(
  record: NodeRecord,
  view: StoreView,
  { index, request, filters, requestOf }: PreemptionOptions,
  budget: Budget,
): Eviction | 'freeing' | undefined {
  budget.evaluations--;
  if (record.removed || filters.some((filter) => !isFreed(filter) && !filter.fits(record, request))) return undefined;
  const freed = filters.filter(isFreed);
  const trial = record.trial();
  const fits = (): boolean => freed.every((filter) => filter.fits(trial, request));
  const lower: Victim[] = [];
  for (const task of view.tasksOfNode(record.id)) {
    budget.evaluations--;
    if (isLeaving(task)) index.tryWithout(trial, task.id, -1);
    else {
      const other = requestOf(task);
      if (mayLeave(task) && other !== undefined && !other.perNode && other.priority < request.priority)
        lower.push({ task, priority: other.priority });
    }
  }
  if (fits()) return 'freeing';
  const held = lower.filter(({ task }) => index.tryWithout(trial, task.id, -1));
  if (held.length === 0 || !fits()) return undefined;
  return { record, victims: withoutSpared(held, index, trial, fits) };
}

/** Lets those stay that need not leave: the highest priority first, among equals the oldest. */
function withoutSpared(
  victims: readonly Victim[],
  index: NodeIndex,
  trial: NodeRecord,
  fits: () => boolean,
): readonly Victim[] {
  return victims
    .toSorted(
      (a, b) => b.priority - a.priority || a.task.createdAtMs - b.task.createdAtMs || (a.task.id < b.task.id ? -1 : 1),
    )
    .filter(({ task }) => {
      index.tryWithout(trial, task.id, 1);
      if (fits()) return false;
      index.tryWithout(trial, task.id, -1);
      return true;
    });
}

/** Is to stop, or to be replaced: it makes room by itself. */
function isLeaving(task: Task): boolean {
  return task.desiredState > TaskState.COMPLETE || task.evictReason !== '';
}

/** A container of `swarm run` is nobody's to take away. */
function mayLeave(task: Task): boolean {
  return task.oneOff === undefined;
}
