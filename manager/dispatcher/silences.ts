/**
 * For how long the nodes that are lost have been silent: as long as is surely known. What hangs on it is in the store
 * when its time has come, and not before, so that a node that stays away costs a few writes.
 *
 * The next leader goes on from what is written: the time between, it leaves out.
 */
import { type Node, NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { fenceMs, isLost, replacedAfterMs, ViewedLoss } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';

interface Silence {
  /** When this leader began to count, on its monotonic clock. */
  fromMs: number;
  /** What was known then. */
  readonly knownMs: number;
}

export interface DueSilence {
  readonly nodeId: string;
  readonly silentMs: number;
}

export class Silences {
  readonly #nodes = new Map<string, Silence>();

  /** As the store has it. */
  set(node: Node, nowMs: number): void {
    if (!isLost(node)) this.#nodes.delete(node.id);
    else if (!this.#nodes.has(node.id))
      this.#nodes.set(node.id, { fromMs: nowMs, knownMs: node.status?.silentMs ?? 0 });
  }

  forget(nodeId: string): void {
    this.#nodes.delete(nodeId);
  }

  clear(): void {
    this.#nodes.clear();
  }

  /** The manager itself was held up: nothing is proven by what it did not hear. */
  excuse(heldUpMs: number): void {
    for (const silence of this.#nodes.values()) silence.fromMs += heldUpMs;
  }

  silentMs(nodeId: string, nowMs: number): number {
    const silence = this.#nodes.get(nodeId);
    return silence === undefined ? 0 : Math.floor(silence.knownMs + nowMs - silence.fromMs);
  }

  /** Nodes whose silence has reached what one of their tasks is waited for, which the store does not say. */
  due(view: StoreView, nowMs: number): readonly DueSilence[] {
    if (this.#nodes.size === 0) return [];
    const loss = new ViewedLoss(view);
    const due: DueSilence[] = [];
    for (const nodeId of this.#nodes.keys()) {
      const node = view.get('node', nodeId);
      if (node === undefined) continue;
      const silentMs = this.silentMs(nodeId, nowMs);
      if (reaches(node, silentMs, view, loss)) due.push({ nodeId, silentMs });
    }
    return due;
  }
}

function reaches({ id, status }: Node, silentMs: number, view: StoreView, loss: ViewedLoss): boolean {
  const storedMs = status?.silentMs ?? 0;
  for (const task of view.tasksOfNode(id)) {
    if ((task.status?.state ?? TaskState.NEW) > TaskState.RUNNING) continue;
    const spec = loss.specOf(task);
    const replacedMs = replacedAfterMs(spec, status?.state ?? NodeState.DOWN, loss.replaceAfterMs);
    for (const limitMs of [replacedMs, fenceMs(spec)]) if (storedMs < limitMs && limitMs <= silentMs) return true;
  }
  return false;
}
