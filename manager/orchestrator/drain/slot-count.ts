/**
 * How many slots of one service do their work, as moves need to know. Read once, in slices, from a view, which never
 * changes; what happens meanwhile and afterwards is told by `set` and `remove`, and counts more than what was read.
 */
import type { Task } from '#gen/swarm/v1/objects.ts';
import { isHealthy, isWanted } from '../task-facts.ts';

/**
 * What a task is to its slot:
 * - `healthy`: it does its work in a place where it stays
 * - `wanted`: it is to
 * - `final`: nothing takes its place
 * - `nothing`: it is history, or is not there any more
 */
type Standing = 'healthy' | 'wanted' | 'final' | 'nothing';

interface Slot {
  healthy: number;
  /** Those that are healthy, too. */
  wanted: number;
  final: number;
}

export class SlotCount {
  readonly #isThere: (nodeId: string) => boolean;
  /** What is to be read yet; undefined when everything was. */
  #unread: Iterator<Task> | undefined;
  /** What each task was counted as. Those that are nothing are kept only until everything was read. */
  readonly #tasks = new Map<string, { readonly slot: number; readonly standing: Standing }>();
  /** Invariant: no entry is all zero. */
  readonly #slots = new Map<number, Slot>();
  #healthy = 0;
  #final = 0;

  /** `isThere`: whether a node can be relied upon. It must not change its mind about any node. */
  constructor(tasks: Iterable<Task>, isThere: (nodeId: string) => boolean) {
    this.#unread = tasks[Symbol.iterator]();
    this.#isThere = isThere;
  }

  /** Whether the numbers hold. */
  get isRead(): boolean {
    return this.#unread === undefined;
  }

  /** Slots with a task that does its work in a place where it stays. */
  get healthy(): number {
    return this.#healthy;
  }

  /** Slots that the restart policy has ended for good. */
  get final(): number {
    return this.#final;
  }

  /** Reads on, at most so many tasks; gives how many it were. */
  read(tasksMax: number): number {
    for (let count = 0; count < tasksMax; count++) {
      const next = this.#unread?.next();
      if (next === undefined) return count;
      if (next.done === true) {
        this.#unread = undefined;
        for (const [id, { standing }] of this.#tasks) if (standing === 'nothing') this.#tasks.delete(id);
        return count;
      }
      if (!this.#tasks.has(next.value.id)) this.set(next.value);
    }
    return tasksMax;
  }

  /** The task is new, or has changed. */
  set(task: Task): void {
    this.#put(task.id, task.slot, this.#standingOf(task));
  }

  remove(task: Task): void {
    this.#put(task.id, task.slot, 'nothing');
  }

  #standingOf(task: Task): Standing {
    if (!isWanted(task)) return task.finalReason === '' ? 'nothing' : 'final';
    return task.evictReason === '' && isHealthy(task) && this.#isThere(task.nodeId) ? 'healthy' : 'wanted';
  }

  #put(id: string, slot: number, standing: Standing): void {
    const before = this.#tasks.get(id);
    if (before !== undefined) this.#add(before.slot, before.standing, -1);
    this.#add(slot, standing, 1);
    if (standing === 'nothing' && this.isRead) this.#tasks.delete(id);
    else this.#tasks.set(id, { slot, standing });
  }

  #add(number: number, standing: Standing, count: 1 | -1): void {
    if (standing === 'nothing') return;
    const slot = this.#slots.get(number) ?? { healthy: 0, wanted: 0, final: 0 };
    this.#sum(slot, -1);
    if (standing === 'final') slot.final += count;
    else slot.wanted += count;
    if (standing === 'healthy') slot.healthy += count;
    this.#sum(slot, 1);
    if (slot.wanted + slot.final > 0) this.#slots.set(number, slot);
    else this.#slots.delete(number);
  }

  #sum({ healthy, wanted, final }: Slot, count: 1 | -1): void {
    if (healthy > 0) this.#healthy += count;
    // Where something is wanted again there is something to wait for.
    if (final > 0 && wanted === 0) this.#final += count;
  }
}
