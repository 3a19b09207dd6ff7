/** What becomes of a saved state when one host takes it over. */
import { SwarmError } from '#common/errors.ts';
import { type Node, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { Editor, type StoreState } from '#manager/store/index.ts';

export interface RestoreInit {
  /** The host that restores: the only manager from now on. */
  readonly node: Node;
  readonly nowMs: number;
  /** Drawn at random: what an old manager proposes is built upon something else. */
  readonly transactionId: number;
}

export interface RestoredState {
  readonly state: StoreState;
  /** Nodes that were managers and are workers now. */
  readonly formerManagers: readonly Node[];
}

/**
 * Versions go on this far behind those of the saved state: what was written after it was saved had versions too, and
 * nobody who remembers one of them may take what is new for what they know.
 */
const VERSIONS_SKIPPED = 1_000_000_000;

/**
 * The state that the swarm begins again with. Cluster, root, tokens, services and tasks are as they were; former
 * managers are workers, and down until they are heard of; other nodes are unknown until they are heard of.
 */
export function restoredState(saved: StoreState, init: RestoreInit): RestoredState {
  const version = saved.version + VERSIONS_SKIPPED;
  const { nowMs } = init;
  if (saved.get('node', init.node.id) !== undefined)
    throw new SwarmError({ code: 'internal', reason: 'internal', message: 'the new node has the id of an old one' });
  const editor = new Editor(saved);
  const formerManagers: Node[] = [];
  for (const node of saved.all('node')) {
    const wasManager = node.role === NodeRole.MANAGER || node.spec?.desiredRole === NodeRole.MANAGER;
    if (wasManager) formerManagers.push(node);
    editor.put('node', { ...(wasManager ? demoted(node, nowMs) : unheard(node, nowMs)), version, updatedAtMs: nowMs });
  }
  editor.put('node', { ...init.node, version, createdAtMs: nowMs, updatedAtMs: nowMs });
  return { state: editor.finish(version, init.transactionId), formerManagers };
}

function demoted(node: Node, nowMs: number): Node {
  return {
    ...node,
    role: NodeRole.WORKER,
    spec: { ...(node.spec ?? NodeSpec.create({})), desiredRole: NodeRole.WORKER },
    managerStatus: undefined,
    status: {
      ...(node.status ?? NodeStatus.create({})),
      state: NodeState.DOWN,
      message: 'was a manager before the swarm was restored from a snapshot',
      sinceMs: nowMs,
    },
  };
}

function unheard(node: Node, nowMs: number): Node {
  // A node that was down stays down: nobody waits for it.
  if (node.status?.state === NodeState.DOWN) return node;
  return {
    ...node,
    status: {
      ...(node.status ?? NodeStatus.create({})),
      state: NodeState.UNKNOWN,
      message: 'not heard of since the swarm was restored from a snapshot',
      sinceMs: nowMs,
    },
  };
}
