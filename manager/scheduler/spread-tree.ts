import { Heap, type HeapItem } from '#common/heap.ts';
import type { NodeRecord } from './node-record.ts';

/** A node as one group of tasks sees it. The keys are those of the record at `generation`. */
export interface Candidate extends HeapItem {
  readonly record: NodeRecord;
  generation: number;
  /** Index of the first filter that refuses the node; -1 when it fits. */
  refusedBy: number;
  /** Recent failures of the group here, when they are too many; otherwise 0. */
  failures: number;
  /** How well the node suits the wishes of the group. */
  wishes: number;
  serviceTasks: number;
  activeTasks: number;
  reservedShare: number;
  /** The leaf of the spread tree that the node belongs to. */
  branch: Branch;
}

/** Negative when the first is to be taken before the second. A total order. */
export type CompareCandidates = (a: Candidate, b: Candidate) => number;

/**
 * A value of a placement preference, with the values of the next preference below it, or, at the last, with its nodes.
 * Each level takes the branch with the fewest tasks of the service that has room.
 */
export class Branch implements HeapItem {
  heapIndex = -1;
  readonly #value: string;
  readonly #parent: Branch | undefined;
  readonly #compare: CompareCandidates;
  readonly #children = new Map<string, Branch>();
  /** Children that have a fitting node. */
  readonly #open = new Heap<Branch>((a, b) => a.#serviceTasks - b.#serviceTasks || (a.#value < b.#value ? -1 : 1));
  /** Nodes of a leaf that fit. */
  readonly #fitting: Heap<Candidate>;
  /** Tasks of the service on all nodes below, fitting or not. */
  #serviceTasks = 0;

  constructor(compare: CompareCandidates, value = '', parent?: Branch) {
    this.#compare = compare;
    this.#value = value;
    this.#parent = parent;
    this.#fitting = new Heap(compare);
  }

  /** The leaf for the values, one per preference. */
  leaf(values: readonly string[], depth = 0): Branch {
    const value = values[depth];
    if (value === undefined) return this;
    let child = this.#children.get(value);
    if (child === undefined) {
      child = new Branch(this.#compare, value, this);
      this.#children.set(value, child);
    }
    return child.leaf(values, depth + 1);
  }

  /** The best fitting candidate as far as the keys are up to date. */
  best(): Candidate | undefined {
    const open = this.#open.peek();
    return open === undefined ? this.#fitting.peek() : open.best();
  }

  /** On a leaf: the number of tasks of the service on its nodes changes. */
  addServiceTasks(difference: number): void {
    if (difference === 0) return;
    this.#serviceTasks += difference;
    if (this.#parent === undefined) return;
    if (this.heapIndex >= 0) this.#parent.#open.update(this);
    this.#parent.addServiceTasks(difference);
  }

  /** On a leaf: enters the candidate, or moves it to the place of its new keys. */
  place(candidate: Candidate): void {
    if (candidate.heapIndex >= 0) {
      this.#fitting.update(candidate);
      return;
    }
    this.#fitting.push(candidate);
    this.#openUp();
  }

  /** On a leaf: the candidate does not fit any more. */
  withdraw(candidate: Candidate): void {
    if (candidate.heapIndex < 0) return;
    this.#fitting.remove(candidate);
    this.#closeUp();
  }

  #openUp(): void {
    if (this.#parent === undefined || this.heapIndex >= 0) return;
    this.#parent.#open.push(this);
    this.#parent.#openUp();
  }

  #closeUp(): void {
    if (this.#parent === undefined || this.#fitting.size > 0 || this.#open.size > 0) return;
    this.#parent.#open.remove(this);
    this.#parent.#closeUp();
  }
}
