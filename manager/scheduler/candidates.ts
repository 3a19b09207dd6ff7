import { PlacementStrategy } from '#gen/swarm/v1/specs.ts';
import { wishesMet } from './affinity.ts';
import type { SchedulerConfig } from './config.ts';
import type { FailureIndex } from './failure-index.ts';
import type { Filter, Refusal } from './filters.ts';
import type { NodeIndex } from './node-index.ts';
import type { NodePosition } from './node-order.ts';
import { compareTies, type NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';
import { Branch, type Candidate, type CompareCandidates } from './spread-tree.ts';

/** What is left of a slice. */
export interface Budget {
  evaluations: number;
}

/** Fewest failures, then the wishes, then fewest tasks of the service, then fewest tasks. */
const compareSpread: CompareCandidates = (a, b) =>
  a.failures - b.failures ||
  b.wishes - a.wishes ||
  a.serviceTasks - b.serviceTasks ||
  a.activeTasks - b.activeTasks ||
  compareTies(a.record, b.record);

/** Fewest failures, then the wishes, then the fullest. */
const compareBinpack: CompareCandidates = (a, b) =>
  a.failures - b.failures ||
  b.wishes - a.wishes ||
  b.reservedShare - a.reservedShare ||
  b.activeTasks - a.activeTasks ||
  compareTies(a.record, b.record);

export interface CandidatesOptions {
  readonly index: NodeIndex;
  readonly request: PlacementRequest;
  readonly groupKey: string;
  readonly strategy: PlacementStrategy;
  readonly filters: readonly Filter[];
  readonly failures: FailureIndex;
  readonly config: SchedulerConfig;
}

/**
 * The nodes for one group of equal tasks, best first, up to date without going over all of them.
 *
 * In the common case (spread, no preferences) nodes are weighed only when they could be the best: the index hands them
 * out by load, and as soon as the best one weighed is no worse than the next could be, it is the best of all. Nodes that
 * got worse since they were weighed are found when they come to the top; nodes that got better are in the change log.
 * With preferences, wishes or binpack the counts of all nodes matter, so all are weighed once and every change is followed.
 *
 * What `best` gives depends on the state of nodes and tasks alone, never on how it came about.
 */
export class Candidates {
  readonly #options: CandidatesOptions;
  readonly #filters: readonly Filter[];
  readonly #compare: CompareCandidates;
  /** All nodes have to be weighed before the first decision, and every change of them counts. */
  readonly #whole: boolean;
  #entries = new Map<NodeRecord, Candidate>();
  #root: Branch;
  /** How far the log of changes was followed: for placing, and (every change) for counting refusals. */
  #cursor: number;
  #countCursor: number;
  /** Nodes that each filter refuses. Invariant: the sum over the entries' `refusedBy`. */
  #refused: number[] = [];
  /** In whole mode: what is still to be weighed; undefined when nothing is. */
  #rest: Iterator<NodeRecord> | undefined;
  /** Otherwise: every node before this position was weighed. */
  #position: NodePosition | undefined;
  /** The first that was not, with the place where it was found. */
  #next: NodePosition | undefined;
  #exhausted = false;

  constructor(options: CandidatesOptions) {
    this.#options = options;
    this.#filters = options.filters;
    const binpack = options.strategy === PlacementStrategy.BINPACK;
    this.#compare = binpack ? compareBinpack : compareSpread;
    this.#whole = binpack || options.request.preferences.length > 0 || options.request.wishes.length > 0;
    this.#root = new Branch(this.#compare);
    this.#cursor = 0;
    this.#countCursor = 0;
    this.#reset();
  }

  /** The node for the next task; undefined when none fits; 'more' when the budget ended before that was known. */
  best(budget: Budget, nowMs: number): NodeRecord | undefined | 'more' {
    if (!this.#followChanges(budget, nowMs)) return 'more';
    if (this.#whole && !this.#weighRest(budget, nowMs)) return 'more';
    for (;;) {
      const top = this.#root.best();
      if (top !== undefined && top.generation !== top.record.generation) {
        this.#weigh(top, budget, nowMs);
        continue;
      }
      if (this.#whole || this.#exhausted) return top?.record;
      const next = this.#peekNext();
      if (next === undefined) {
        this.#exhausted = true;
        return top?.record;
      }
      if (top !== undefined && !couldBeat(next, top)) return top.record;
      if (budget.evaluations <= 0) return 'more';
      this.#position = next;
      this.#next = undefined;
      this.#weigh(this.#add(next.record), budget, nowMs);
    }
  }

  /** Whether something has changed that could make a node fit which did not. */
  get hasNews(): boolean {
    return this.#options.index.changes.hasImprovement(this.#cursor);
  }

  /**
   * The refusals of all nodes as they are now, for a group that found none: every node was weighed. 'more' when the
   * budget ended before; 'lost' when too much has changed to follow, so that `best` has to look at all nodes again.
   */
  refusals(budget: Budget, nowMs: number): readonly Refusal[] | 'more' | 'lost' {
    const cursor = this.#options.index.changes.read(this.#countCursor, (record) => {
      const known = this.#entries.get(record);
      if (known !== undefined && known.generation !== record.generation) this.#weigh(known, budget, nowMs);
      return budget.evaluations > 0;
    });
    if (cursor === undefined) {
      this.#reset();
      return 'lost';
    }
    this.#countCursor = cursor;
    if (cursor < this.#options.index.changes.end) return 'more';
    return this.#filters.map((filter, place) => ({ filter, nodes: this.#refused[place] ?? 0 }));
  }

  #reset(): void {
    const { index } = this.#options;
    this.#entries = new Map();
    this.#root = new Branch(this.#compare);
    this.#refused = this.#filters.map(() => 0);
    this.#cursor = index.changes.end;
    this.#countCursor = index.changes.end;
    this.#rest = this.#whole ? index.records.values() : undefined;
    this.#position = undefined;
    this.#next = undefined;
    this.#exhausted = false;
  }

  /** True when everything that matters was followed. */
  #followChanges(budget: Budget, nowMs: number): boolean {
    const { changes } = this.#options.index;
    if (this.#cursor === changes.end) return true;
    const cursor = changes.read(this.#cursor, (record, improved) => {
      if (!improved && !this.#whole) return true;
      const known = this.#entries.get(record);
      if (known === undefined) {
        if (!record.removed) this.#weigh(this.#add(record), budget, nowMs);
      } else if (known.generation !== record.generation) this.#weigh(known, budget, nowMs);
      return budget.evaluations > 0;
    });
    if (cursor === undefined) this.#reset();
    else this.#cursor = cursor;
    return this.#cursor === changes.end;
  }

  /** True when all nodes have been weighed. */
  #weighRest(budget: Budget, nowMs: number): boolean {
    while (this.#rest !== undefined) {
      if (budget.evaluations <= 0) return false;
      const { done, value } = this.#rest.next();
      if (done === true) this.#rest = undefined;
      else if (!this.#entries.has(value)) this.#weigh(this.#add(value), budget, nowMs);
    }
    return true;
  }

  #peekNext(): NodePosition | undefined {
    // One found before may have been filled since: it is weighed early, but counts as found where it was then, for
    // others may lie between. One that has become better is in the change log, thus weighed already.
    const known = this.#next;
    if (known !== undefined && !known.record.removed && !this.#entries.has(known.record)) return known;
    const record = this.#options.index.order.next(this.#position, (candidate) => this.#entries.has(candidate));
    this.#next = record === undefined ? undefined : { activeTasks: record.activeTasks, record };
    return this.#next;
  }

  #add(record: NodeRecord): Candidate {
    const candidate: Candidate = {
      heapIndex: -1,
      record,
      generation: 0,
      refusedBy: -1,
      failures: 0,
      wishes: 0,
      serviceTasks: 0,
      activeTasks: 0,
      reservedShare: 0,
      branch: this.#root,
    };
    this.#entries.set(record, candidate);
    return candidate;
  }

  /** Brings keys and verdict up to date with the record. */
  #weigh(candidate: Candidate, budget: Budget, nowMs: number): void {
    const { record } = candidate;
    const { request, failures, groupKey, config } = this.#options;
    budget.evaluations -= request.weighCost;
    candidate.generation = record.generation;
    this.#moveToBranch(candidate);
    this.#countRefusal(candidate, -1);
    if (record.removed) {
      candidate.branch.withdraw(candidate);
      this.#entries.delete(record);
      return;
    }
    candidate.activeTasks = record.activeTasks;
    candidate.wishes = wishesMet(request.wishes, record, this.#options.index.neighbourhoods);
    if (this.#compare === compareBinpack) candidate.reservedShare = record.reservedShare;
    const failed = failures.has(groupKey) ? failures.countSince(groupKey, record.id, nowMs - config.faultWindowMs) : 0;
    candidate.failures = failed >= config.faultThreshold ? failed : 0;
    candidate.refusedBy = this.#filters.findIndex((filter) => !filter.fits(record, request));
    this.#countRefusal(candidate, 1);
    if (candidate.refusedBy < 0) candidate.branch.place(candidate);
    else candidate.branch.withdraw(candidate);
  }

  #countRefusal(candidate: Candidate, sign: 1 | -1): void {
    const place = candidate.refusedBy;
    if (place >= 0) this.#refused[place] = (this.#refused[place] ?? 0) + sign;
  }

  #moveToBranch(candidate: Candidate): void {
    const { request } = this.#options;
    const { record } = candidate;
    const serviceTasks = record.removed ? 0 : record.activeOf(request.serviceId);
    if (request.preferences.length > 0) {
      const leaf = this.#root.leaf(request.preferences.map((preference) => preference(record.node)));
      if (leaf !== candidate.branch) {
        candidate.branch.withdraw(candidate);
        candidate.branch.addServiceTasks(-candidate.serviceTasks);
        candidate.serviceTasks = 0;
        candidate.branch = leaf;
      }
      leaf.addServiceTasks(serviceTasks - candidate.serviceTasks);
    }
    candidate.serviceTasks = serviceTasks;
  }
}

/** Whether a node that was not weighed yet may come before the candidate: at best it has no task of the service. */
function couldBeat(next: NodePosition, top: Candidate): boolean {
  if (top.failures > 0 || top.serviceTasks > 0) return true;
  if (next.activeTasks !== top.activeTasks) return next.activeTasks < top.activeTasks;
  return compareTies(next.record, top.record) < 0;
}
