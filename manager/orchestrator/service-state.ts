import { Heap, type HeapItem } from '#common/heap.ts';
import type { Service, Task } from '#gen/swarm/v1/objects.ts';
import { EMPTY_SUMMARY, type SlotSummary } from './slot-summary.ts';
import { type UpdateContext, updateContext } from './update/update-context.ts';

/** A slot of a service: a number, or for global services a node. */
export type SlotKey = number | string;

/** When a slot, or a service as a whole, is to be looked at though nothing happens. */
export interface LookTimer extends HeapItem {
  readonly subject: SlotState | ServiceState;
  atMs: number;
}

/** A slot among those that an update has brought and that are healthy. */
class HealthyItem implements HeapItem {
  heapIndex = -1;
  readonly slot: SlotState;

  constructor(slot: SlotState) {
    this.slot = slot;
  }
}

export class SlotState implements HeapItem {
  /** Place among the outdated slots of the service. */
  heapIndex = -1;
  readonly service: ServiceState;
  readonly key: SlotKey;
  /** In no order. */
  tasks: readonly Task[] = [];
  summary: SlotSummary = EMPTY_SUMMARY;
  timer: LookTimer | undefined;
  /** Only while it is among them: most slots are in no update. */
  healthyItem: HealthyItem | undefined;
  /** Changes of this slot are under way: what else is decided waits for them. */
  changing = false;

  constructor(service: ServiceState, key: SlotKey) {
    this.service = service;
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

/** How many slots are what. */
export interface SlotCounts {
  occupied: number;
  busy: number;
  moved: number;
  watched: number;
  proven: number;
  failed: number;
  steady: number;
}

/**
 * A service with its slots and their counts.
 *
 * Invariant: every count is the sum over the summaries of `slots` that are not suspended; `outdated`, `waiting` and the
 * healthy ones hold the slots whose summary says so.
 */
export class ServiceState {
  service: Service;
  update: UpdateContext;
  readonly slots = new Map<SlotKey, SlotState>();
  timer: LookTimer | undefined;
  readonly counts: SlotCounts = { occupied: 0, busy: 0, moved: 0, watched: 0, proven: 0, failed: 0, steady: 0 };
  /** Those that do not run come first: moving them costs nothing. */
  readonly outdated = new Heap<SlotState>(compareOutdated);
  /** Slots that the update has moved and that are not healthy. */
  readonly waiting = new Set<SlotState>();
  /** Those that are, the one that became so last first. */
  readonly #healthy = new Heap<HealthyItem>((a, b) => b.slot.summary.healthySinceMs - a.slot.summary.healthySinceMs);
  /** Occupied slots by where they run, and those that run nowhere. Invariant: no entry is empty. */
  readonly #running = new Map<string, Set<SlotState>>();
  readonly #idle = new Set<SlotState>();
  /** Every number from 1 to this one, excluded, is occupied. */
  #numberFrom = 1;

  constructor(service: Service) {
    this.service = service;
    this.update = updateContext(service);
  }

  get id(): string {
    return this.service.id;
  }

  /** When a task of the present update last became healthy, of those that still are; 0 for never. */
  get lastHealthyAtMs(): number {
    return this.#healthy.peek()?.slot.summary.healthySinceMs ?? 0;
  }

  setService(service: Service): void {
    this.service = service;
    this.update = updateContext(service);
  }

  slot(key: SlotKey): SlotState {
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = new SlotState(this, key);
      this.slots.set(key, slot);
    }
    return slot;
  }

  setSummary(slot: SlotState, summary: SlotSummary): void {
    this.#count(slot.summary, -1);
    this.#count(summary, 1);
    this.#unplace(slot);
    slot.summary = summary;
    this.#place(slot);
    if (!summary.occupied && slot.number > 0) this.#numberFrom = Math.min(this.#numberFrom, slot.number);
    const outdated = summary.outdated && !summary.suspended;
    if (!outdated) this.outdated.remove(slot);
    else if (slot.heapIndex >= 0) this.outdated.update(slot);
    else this.outdated.push(slot);
    this.#follow(slot, summary);
  }

  /** Keeps what the progress of the update is told by. */
  #follow(slot: SlotState, summary: SlotSummary): void {
    if (summary.waitsSinceMs > 0 && !summary.suspended) this.waiting.add(slot);
    else this.waiting.delete(slot);
    const { healthyItem } = slot;
    if (summary.healthySinceMs > 0 && !summary.suspended) {
      slot.healthyItem = healthyItem ?? new HealthyItem(slot);
      if (healthyItem === undefined) this.#healthy.push(slot.healthyItem);
      else this.#healthy.update(healthyItem);
    } else if (healthyItem !== undefined) {
      this.#healthy.remove(healthyItem);
      slot.healthyItem = undefined;
    }
  }

  /** Forgets a slot that has no task. */
  dropSlot(slot: SlotState): void {
    this.setSummary(slot, EMPTY_SUMMARY);
    this.slots.delete(slot.key);
  }

  /** The lowest numbers that are not occupied, beside those being filled already; at most `count` of them. */
  freeNumbers(count: number): readonly number[] {
    const free: number[] = [];
    let everyBefore = true;
    for (let number = this.#numberFrom; free.length < count; number++) {
      const slot = this.slots.get(number);
      if (slot?.summary.occupied === true) {
        if (everyBefore) this.#numberFrom = number + 1;
        continue;
      }
      everyBefore = false;
      if (slot?.changing !== true) free.push(number);
    }
    return free;
  }

  /** Which slots to give up, `count` at most: first those that do not run, then from the nodes with the most of them. */
  surplus(count: number): readonly SlotState[] {
    const chosen: SlotState[] = latest(this.#idle).slice(0, count);
    if (chosen.length >= count) return chosen;
    const nodes = new Heap<NodeSlots>((a, b) => b.slots.length - a.slots.length || (a.nodeId < b.nodeId ? -1 : 1));
    for (const [nodeId, slots] of this.#running) nodes.push({ heapIndex: -1, nodeId, slots: latest(slots).reverse() });
    while (chosen.length < count) {
      const fullest = nodes.peek();
      const slot = fullest?.slots.pop();
      if (fullest === undefined || slot === undefined) break;
      chosen.push(slot);
      nodes.update(fullest);
    }
    return chosen;
  }

  #place(slot: SlotState): void {
    const { occupied, running, nodeId } = slot.summary;
    if (!occupied) return;
    if (!running) {
      this.#idle.add(slot);
      return;
    }
    const slots = this.#running.get(nodeId);
    if (slots === undefined) this.#running.set(nodeId, new Set([slot]));
    else slots.add(slot);
  }

  #unplace(slot: SlotState): void {
    const { occupied, running, nodeId } = slot.summary;
    if (!occupied) return;
    this.#idle.delete(slot);
    if (!running) return;
    const slots = this.#running.get(nodeId);
    if (slots?.delete(slot) === true && slots.size === 0) this.#running.delete(nodeId);
  }

  #count(summary: SlotSummary, sign: 1 | -1): void {
    if (summary.suspended) return;
    if (summary.occupied) this.counts.occupied += sign;
    if (summary.busy) this.counts.busy += sign;
    if (summary.moved) this.counts.moved += sign;
    if (summary.watched) this.counts.watched += sign;
    if (summary.proven) this.counts.proven += sign;
    if (summary.failedTask !== '') this.counts.failed += sign;
    if (summary.steady) this.counts.steady += sign;
  }
}

interface NodeSlots extends HeapItem {
  readonly nodeId: string;
  readonly slots: SlotState[];
}

/** The highest numbers first. */
function latest(slots: Iterable<SlotState>): SlotState[] {
  return [...slots].sort((a, b) => compareKeys(b.key, a.key));
}

function compareOutdated(a: SlotState, b: SlotState): number {
  if (a.summary.running !== b.summary.running) return a.summary.running ? 1 : -1;
  return compareKeys(a.key, b.key);
}

/** Numbers as numbers, nodes as text. */
export function compareKeys(a: SlotKey, b: SlotKey): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return a < b ? -1 : a > b ? 1 : 0;
}
