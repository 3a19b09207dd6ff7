/** Tasks that are NEW and wanted: each is in one place, by what it waits for. */
import type { Task } from '#gen/swarm/v1/objects.ts';
import type { Want } from './task-plan.ts';
import { Waiters } from './waiters.ts';
import { byAge, WorkQueue } from './work-queue.ts';

export class TaskQueue {
  readonly #tasks = new Map<string, Task>();
  /** To be looked at. */
  readonly #ready = new WorkQueue<Task>();
  /** Not before their time. */
  readonly #held = new WorkQueue<Task>((a, b) => a.startNotBeforeMs - b.startNotBeforeMs || byAge(a, b));
  /** For an address of a network of which none was left. Invariant: no queue is empty. */
  readonly #full = new Map<string, WorkQueue<Task>>();
  /** The network that a task of `full` waits for. */
  readonly #fullNetworkOf = new Map<string, string>();
  /** For anything else. */
  readonly #waiters = new Waiters();
  /** Tasks that are looked at because the network has an address again: if they do not take it, the next one may. */
  readonly #offered = new Map<string, string>();
  /** Networks for whose addresses fewer tasks wait than before; emptied by the reader. */
  readonly relieved = new Set<string>();

  get isEmpty(): boolean {
    return this.#tasks.size === 0;
  }

  /** Nothing is to be looked at now. */
  get isIdle(): boolean {
    return this.#ready.isEmpty;
  }

  clear(): void {
    this.#tasks.clear();
    this.#ready.clear();
    this.#held.clear();
    this.#full.clear();
    this.#fullNetworkOf.clear();
    this.#waiters.clear();
    this.#offered.clear();
    this.relieved.clear();
  }

  set(task: Task): void {
    this.#takeOut(task.id);
    this.#tasks.set(task.id, task);
    this.#ready.add(task);
  }

  delete(id: string): void {
    if (!this.#tasks.delete(id)) return;
    this.#takeOut(id);
    this.#passOn(id);
  }

  /** What the last plan wanted to change is either in the store by now, or was refused; and for some the time has come. */
  begin(nowMs: number): void {
    this.#ready.takeUpAgain();
    for (let task = this.#held.peek(); task !== undefined && task.startNotBeforeMs <= nowMs; task = this.#held.peek()) {
      this.#held.pop();
      this.#ready.add(task);
    }
  }

  /** The next one to look at. It has to be put somewhere: to one of the three below. */
  next(): Task | undefined {
    return this.#ready.pop();
  }

  changing(task: Task): void {
    this.#offered.delete(task.id);
    this.#ready.changing(task);
  }

  hold(task: Task): void {
    this.#held.add(task);
    this.#passOn(task.id);
  }

  wait(task: Task, want: Pick<Want, 'kind' | 'network'>): void {
    if (want.kind === 'full') {
      const queue = this.#full.get(want.network) ?? new WorkQueue<Task>();
      this.#full.set(want.network, queue);
      this.#fullNetworkOf.set(task.id, want.network);
      queue.add(task);
    } else {
      this.#waiters.wait(task.id, [waitKey(want.kind, want.network)]);
    }
    if (want.kind === 'full' && this.#offered.get(task.id) === want.network) this.#offered.delete(task.id);
    else this.#passOn(task.id);
  }

  /** When the first of those that are held is to be looked at. */
  get heldUntilMs(): number | undefined {
    return this.#held.peek()?.startNotBeforeMs;
  }

  /** Whether tasks wait for addresses of the network. */
  isFull(networkId: string): boolean {
    return this.#full.has(networkId);
  }

  /** So many addresses of the network have become free. */
  offer(networkId: string, addresses: number): void {
    for (let count = 0; count < addresses; count++) {
      const queue = this.#full.get(networkId);
      const task = queue?.pop();
      if (queue === undefined || task === undefined) return;
      if (queue.isEmpty) this.#full.delete(networkId);
      this.relieved.add(networkId);
      this.#fullNetworkOf.delete(task.id);
      this.#offered.set(task.id, networkId);
      this.#ready.add(task);
    }
  }

  wake(kind: Exclude<Want['kind'], 'full'> | 'revision', name: string): void {
    for (const id of this.#waiters.take(waitKey(kind, name))) {
      const task = this.#tasks.get(id);
      if (task !== undefined) this.#ready.add(task);
    }
  }

  waitForRevision(task: Task): void {
    this.#waiters.wait(task.id, [waitKey('revision', task.serviceId)]);
    this.#passOn(task.id);
  }

  /** For fixed addresses of any network: where a node is lost, one may move on. */
  wakeFixed(): void {
    for (const key of [...this.#waiters.keys]) if (key.startsWith('fixed ')) this.wake('fixed', key.slice(6));
  }

  #takeOut(id: string): void {
    this.#ready.remove(id);
    this.#held.remove(id);
    this.#waiters.forget(id);
    const networkId = this.#fullNetworkOf.get(id);
    if (networkId === undefined) return;
    this.relieved.add(networkId);
    this.#fullNetworkOf.delete(id);
    const queue = this.#full.get(networkId);
    queue?.remove(id);
    if (queue?.isEmpty === true) this.#full.delete(networkId);
  }

  #passOn(id: string): void {
    const networkId = this.#offered.get(id);
    if (networkId === undefined) return;
    this.#offered.delete(id);
    this.offer(networkId, 1);
  }
}

function waitKey(kind: string, name: string): string {
  return `${kind} ${name}`;
}
