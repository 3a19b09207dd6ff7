/**
 * What becomes of the tasks of a node that is lost: how long it has to have been silent before others take their place.
 *
 * Silence is `silent_ms` of the node's status, which leaders measure by clocks that nobody sets. A node that has no
 * manager counts from before its managers do: from when it sent the last thing that one of them has answered. So a task
 * that is to stop without managers has stopped when its node has been silent for `fenceMs`, whatever wall clocks say.
 */
import { type Node, NodeState, type Task } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import { leavesAtOnce } from './drain/drain-rules.ts';
import { stopMs } from './service-settings.ts';
import { hasEnded, isAssigned, isLost } from './task-facts.ts';

/**
 * Beyond its limit and its time to stop, a task on a node without managers has this long to be gone: for its daemon to
 * notice, to be started anew if it was just then killed, and to kill what ignores its signal.
 */
const FENCE_LATE_MS = 15_000;

/** Clocks of two hosts go apart by no more than this: one 5 % slow, the other 5 % fast. Real ones keep to 0.05 %. */
const FENCE_CLOCK_RATIO = 1.05 / 0.95;

export interface LossRules {
  nodeOf(id: string): Node | undefined;
  /** The spec at the task's revision. */
  specOf(task: Task): ServiceSpec | undefined;
  /** Every task of the node is to leave it now; otherwise those that are told to. */
  leavesAtOnce(node: Node): boolean;
  /** Of the swarm; 0: at once. */
  readonly replaceAfterMs: number;
}

/** A node that was silent for so long has surely stopped the task; 0 for one that goes on without managers. */
export function fenceMs(spec: ServiceSpec | undefined): number {
  const limitMs = spec?.task?.stopAfterDisconnectMs;
  if (limitMs === undefined) return 0;
  return Math.ceil((limitMs + stopMs(spec) + FENCE_LATE_MS) * FENCE_CLOCK_RATIO);
}

/** A node in this state that was silent for so long is not waited for any longer with the task. */
export function replacedAfterMs(spec: ServiceSpec | undefined, state: NodeState, replaceAfterMs: number): number {
  const fence = fenceMs(spec);
  // What stops by itself is not there any more when the node comes back: to wait for longer would gain nothing.
  if (fence > 0) return fence;
  // A node that took its leave stops its tasks.
  return state === NodeState.DISCONNECTED ? 0 : replaceAfterMs;
}

/** The task's node is lost, and nobody waits for its return any longer. */
export function isGivenUp(task: Task, rules: LossRules): boolean {
  const node = rules.nodeOf(task.nodeId);
  if (node === undefined) return true;
  const { state, silentMs } = node.status ?? { state: NodeState.UNSPECIFIED, silentMs: 0 };
  return isLost(node) && silentMs >= replacedAfterMs(rules.specOf(task), state, rules.replaceAfterMs);
}

/** May still hold a container: not known to have ended, on a node that can be waited for, or that may not have stopped it yet. */
export function mayStillRun(task: Task, rules: LossRules): boolean {
  if (!isAssigned(task) || hasEnded(task)) return false;
  const node = rules.nodeOf(task.nodeId);
  if (node === undefined) return false;
  return !isLost(node) || (node.status?.silentMs ?? 0) < fenceMs(rules.specOf(task));
}

/** A task that a lost node may run still, though it has no managers. */
export interface Overhang {
  readonly task: Task;
  /** The node has surely stopped it when it was silent for this long. */
  readonly fenceMs: number;
}

/**
 * The task that a lost node stops last, of those that it may run still and that never run twice: as long as there is one
 * the node's entry must not go, since nobody would wait for it any longer. Undefined when there is none.
 */
export function overhang(node: Node, view: StoreView): Overhang | undefined {
  const loss = new ViewedLoss(view);
  let last: Overhang | undefined;
  for (const task of view.tasksOfNode(node.id)) {
    const afterMs = fenceMs(loss.specOf(task));
    if (afterMs > (last?.fenceMs ?? 0) && mayStillRun(task, loss)) last = { task, fenceMs: afterMs };
  }
  return last;
}

/** The nodes that are lost are to be looked at again when somebody changes for how long nodes are waited for. */
export class LostNodes {
  #affected = false;

  observe(event: Extract<StoreEvent, { readonly table: 'cluster' }>): void {
    if (event.kind !== 'update') return;
    const [before, after] = [event.old.spec?.dispatcher, event.object.spec?.dispatcher];
    this.#affected ||= before?.replaceAfterMs !== after?.replaceAfterMs;
  }

  takeAffected(view: StoreView): readonly string[] {
    if (!this.#affected) return [];
    this.#affected = false;
    return [...view.all('node')].filter(isLost).map(({ id }) => id);
  }

  clear(): void {
    this.#affected = false;
  }
}

/** The rules as a view has them. */
export class ViewedLoss implements LossRules {
  readonly view: StoreView;
  readonly replaceAfterMs: number;

  constructor(view: StoreView) {
    this.view = view;
    this.replaceAfterMs = view.cluster()?.spec?.dispatcher?.replaceAfterMs ?? 0;
  }

  nodeOf(id: string): Node | undefined {
    return id === '' ? undefined : this.view.get('node', id);
  }

  leavesAtOnce(node: Node): boolean {
    return leavesAtOnce(node, this.view.cluster());
  }

  specOf(task: Task): ServiceSpec | undefined {
    return this.view.revision(task.serviceId, task.revision)?.spec;
  }
}
