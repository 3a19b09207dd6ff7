/**
 * Acknowledged withdrawal: a running task that is to stop is first taken out of every node's tables, and only when the
 * nodes have confirmed that is its own node told to stop it. See docs/discovery.md.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { NetworkTables } from '#manager/discovery/index.ts';
import type { CommitEvents, StoreView } from '#manager/store/index.ts';
import type { DispatcherConfig } from './config.ts';
import { type Withdrawal, Withdrawals } from './withdrawals.ts';

export interface TaskWithdrawalOptions {
  readonly networks: NetworkTables;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: DispatcherConfig;
  /** These tasks' nodes may know now that they are to stop. */
  readonly release: (taskIds: readonly string[]) => void;
}

export class TaskWithdrawal {
  readonly #options: TaskWithdrawalOptions;
  readonly #withdrawals = new Withdrawals();
  #timer: CancelTimer | undefined;
  #deadlineMs: number;

  constructor(options: TaskWithdrawalOptions) {
    this.#options = options;
    this.#deadlineMs = options.config.withdrawDeadlineMs;
  }

  /** Leadership gained: what an earlier leader held back, nobody knows; so all that are to stop are held once more. */
  start(view: StoreView): void {
    this.stop();
    this.#adoptConfig(view);
    for (const task of view.all('task')) if (isStopping(task)) this.#hold(task, view.version, view);
    this.#arm();
  }

  stop(): void {
    this.#timer?.();
    this.#timer = undefined;
    this.#withdrawals.clear();
  }

  isHeld(taskId: string): boolean {
    return this.#withdrawals.isHeld(taskId);
  }

  /** Takes note of a commit; `view` and the tables include it. */
  observe(commit: CommitEvents, view: StoreView): void {
    for (const event of commit.events) {
      if (event.table === 'cluster') this.#adoptConfig(view);
      else if (event.table === 'task') {
        if (event.kind === 'remove' || !isStopping(event.object)) this.#ended(event.object);
        else if (event.kind === 'update' && !isStopping(event.old)) this.#hold(event.object, commit.version, view);
      } else if (event.table === 'node' && (event.kind === 'remove' || !isAwaited(event.object, this.#options.config)))
        this.#release(this.#withdrawals.gone(event.object.id));
    }
    this.#arm();
  }

  /** A node has applied the tables of a commit. */
  confirmed(nodeId: string, version: number): void {
    this.#release(this.#withdrawals.confirmed(nodeId, version));
  }

  #hold(task: Task, version: number, view: StoreView): void {
    const { networks, config, clock } = this.#options;
    const peers = new Set(networks.networksOfTask(task.id).flatMap((id) => networks.peersOf(id)));
    const awaited = [...peers].filter((nodeId) => {
      const node = view.get('node', nodeId);
      return node !== undefined && isAwaited(node, config);
    });
    const withdrawal = { taskId: task.id, nodeId: task.nodeId };
    this.#withdrawals.hold(withdrawal, version, awaited, clock.monotonic() + this.#deadlineMs);
  }

  /** It ended by itself, or nobody wants it to stop any more. */
  #ended(task: Task): void {
    if (!this.#withdrawals.isHeld(task.id)) return;
    this.#withdrawals.forget(task.id);
    this.#options.release([task.id]);
  }

  #release(released: readonly Withdrawal[]): void {
    if (released.length > 0) this.#options.release(released.map(({ taskId }) => taskId));
  }

  #adoptConfig(view: StoreView): void {
    this.#deadlineMs = view.cluster()?.spec?.network?.withdrawDeadlineMs ?? this.#options.config.withdrawDeadlineMs;
  }

  #arm(): void {
    const deadlineMs = this.#withdrawals.nextDeadlineMs;
    if (deadlineMs === undefined || this.#timer !== undefined) return;
    const { clock, logger } = this.#options;
    this.#timer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonic()), () => {
      this.#timer = undefined;
      const expired = this.#withdrawals.expire(clock.monotonic());
      const silent = [...new Set(expired.flatMap(({ nodes }) => nodes))];
      if (silent.length > 0)
        logger.warn('nodes did not confirm in time that stopping tasks get no new connections', {
          nodes: silent.slice(0, 20).join(' '),
          tasks: expired.length,
        });
      this.#release(expired.map(({ withdrawal }) => withdrawal));
      this.#arm();
    });
  }
}

/** Runs, and is to stop. A task that does not run yet has no connections that anybody could lose. */
function isStopping(task: Task): boolean {
  return task.nodeId !== '' && task.status?.state === TaskState.RUNNING && task.desiredState > TaskState.COMPLETE;
}

/** Can be expected to confirm: it may send connections, and understands what it is told. */
function isAwaited(node: Node, config: DispatcherConfig): boolean {
  const state = node.status?.state;
  if (state === NodeState.DOWN || state === NodeState.DISCONNECTED) return false;
  return (node.description?.featureLevel ?? 0) >= config.networksFeatureLevel;
}
