/** Since when nodes are away and managers cannot be reached, as this leader has seen it: another one begins anew. */
import type { Node } from '#gen/swarm/v1/objects.ts';
import type { RoleMember } from '#manager/roles/index.ts';
import { isAway, type Seen } from './decide-cleanup.ts';

export class Presence {
  readonly #awaySinceMs = new Map<string, number>();
  readonly #unreachableSinceMs = new Map<string, number>();
  #managers = '';
  #steadySinceMs: number;

  constructor(nowMs: number) {
    this.#steadySinceMs = nowMs;
  }

  /** Takes note of what is now. `nowMs`: monotonic. */
  look(nodes: Iterable<Node>, members: readonly RoleMember[], nowMs: number): void {
    const away = new Set<string>();
    for (const node of nodes) if (isAway(node)) away.add(node.id);
    note(this.#awaySinceMs, away, nowMs);
    note(this.#unreachableSinceMs, new Set(unreachable(members)), nowMs);
    const managers = members
      .map(({ raftId, voter, reachable }) => `${raftId} ${voter} ${reachable}`)
      .sort()
      .join();
    if (managers === this.#managers) return;
    this.#managers = managers;
    this.#steadySinceMs = nowMs;
  }

  seen(nowMs: number): Seen {
    return {
      awaySinceMs: this.#awaySinceMs,
      unreachableSinceMs: this.#unreachableSinceMs,
      steadySinceMs: this.#steadySinceMs,
      nowMs,
    };
  }
}

function unreachable(members: readonly RoleMember[]): readonly string[] {
  return members.filter(({ reachable, self }) => !reachable && !self).map(({ nodeId }) => nodeId);
}

/** Those that are there keep their time, others are forgotten. */
function note(times: Map<string, number>, ids: ReadonlySet<string>, nowMs: number): void {
  for (const id of times.keys()) if (!ids.has(id)) times.delete(id);
  for (const id of ids) if (!times.has(id)) times.set(id, nowMs);
}
