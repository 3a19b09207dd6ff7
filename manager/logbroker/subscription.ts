/** One reader's wish for the output of some tasks, and what has come in for it. */
import { AsyncQueue } from '#common/system/async-queue.ts';
import { type LogMessage, type LogOptions, type LogSelector, SubscribeLogsResponse } from '#gen/swarm/v1/logs.ts';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { LogProgress } from './log-progress.ts';

/** Pages that wait for a slow reader before its publishers have to wait too. */
const PAGES_QUEUED_MAX = 64;

export class Subscription {
  readonly id: string;
  readonly selector: LogSelector;
  readonly options: LogOptions;
  readonly output = new AsyncQueue<SubscribeLogsResponse>(PAGES_QUEUED_MAX);
  /** Tasks asked for, by node. */
  readonly tasks = new Map<string, Set<string>>();
  readonly progress: LogProgress;
  /** When the reader began, which may have been at another manager. */
  readonly beganUs: number;
  /** Whether it goes on with what was begun elsewhere. */
  readonly isResumed: boolean;
  /** Nodes that the reader was told are missing, and that have not come back since. */
  readonly missing = new Set<string>();
  /** Nodes that were asked, with how often they were since they had lost their stream. */
  readonly #asked = new Map<string, number>();
  /** Nodes that still have something to send. Invariant: a subset of the keys of `tasks`. */
  readonly pending = new Set<string>();
  readonly #services: ReadonlySet<string>;
  readonly #taskIds: ReadonlySet<string>;
  readonly #nodes: ReadonlySet<string>;

  constructor(id: string, selector: LogSelector, options: LogOptions, nowUs: number) {
    this.id = id;
    this.selector = selector;
    this.options = options;
    this.progress = new LogProgress(options.resume);
    for (const { taskId } of options.resume?.tasks ?? []) this.progress.expectRepeats(taskId);
    this.isResumed = options.resume !== undefined;
    this.beganUs = options.resume?.beganUs ?? nowUs;
    this.#services = new Set(selector.serviceIds);
    this.#taskIds = new Set(selector.taskIds);
    this.#nodes = new Set(selector.nodeIds);
  }

  matches(task: Task): boolean {
    if (task.nodeId === '' || (task.status?.state ?? TaskState.NEW) < TaskState.ASSIGNED) return false;
    return this.#services.has(task.serviceId) || this.#taskIds.has(task.id) || this.#nodes.has(task.nodeId);
  }

  /** Takes in the tasks that exist now. */
  collect(view: StoreView): void {
    for (const serviceId of this.#services) for (const task of view.tasksOfService(serviceId)) this.add(task);
    for (const taskId of this.#taskIds) {
      const task = view.get('task', taskId);
      if (task !== undefined) this.add(task);
    }
    for (const nodeId of this.#nodes) for (const task of view.tasksOfNode(nodeId)) this.add(task);
  }

  /** True when the task is new to the subscription. */
  add(task: Task): boolean {
    if (!this.matches(task)) return false;
    let tasks = this.tasks.get(task.nodeId);
    if (tasks === undefined) this.tasks.set(task.nodeId, (tasks = new Set()));
    if (tasks.has(task.id)) return false;
    tasks.add(task.id);
    this.pending.add(task.nodeId);
    return true;
  }

  /**
   * What the node is asked: from where the reader is, if the reader or the node has come back. What the node says to what
   * it was asked before it came back is not heard any more; see `deliver`.
   */
  ask(nodeId: string, isBack: boolean): LogOptions {
    const round = this.#asked.get(nodeId);
    const repeats = isBack && round !== undefined;
    this.#asked.set(nodeId, (round ?? 0) + (repeats ? 1 : 0));
    if (!repeats && !this.isResumed) return this.options;
    const own = this.tasks.get(nodeId) ?? [];
    if (repeats) for (const taskId of own) this.progress.expectRepeats(taskId);
    return { ...this.options, resume: this.progress.resumption(this.beganUs, own) };
  }

  /** The round of questions that the node answers now. */
  round(nodeId: string): number {
    return this.#asked.get(nodeId) ?? 0;
  }

  /** What the node may say about its own tasks; the rest is dropped. Waits while the reader is slow. */
  async deliver(nodeId: string, messages: readonly LogMessage[]): Promise<void> {
    const own = this.tasks.get(nodeId);
    const accepted = messages.filter((message) => own?.has(message.taskId) === true && this.progress.take(message));
    if (accepted.length > 0) await this.output.push({ messages: accepted, warnings: [] });
  }

  warn(...warnings: string[]): void {
    this.output.offer(SubscribeLogsResponse.create({ warnings }));
  }

  /** The node has sent all it had. */
  nodeDone(nodeId: string): void {
    this.pending.delete(nodeId);
    if (this.pending.size === 0 && !this.options.follow) this.output.end();
  }
}
