/** What goes with a node: its entry, the tasks that nobody will report on again, and the right of its certificates. */
import { parseCertificates } from '#certs/certificate.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { LIMITS } from '#common/limits.ts';
import { type Cluster, type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { withRemovedNode } from './removed-nodes.ts';

/** A clock of another manager may be this far behind, and take a certificate for valid that has run out here. */
const CLOCKS_DIFFER_MS = 7 * 24 * 60 * 60 * 1000;

/** The entry goes, and what it takes along. The cluster and the node's tasks are written, nothing else. */
export function removalChanges(
  view: Pick<StoreView, 'cluster' | 'tasksOfNode'>,
  node: Node,
  nowMs: number,
): readonly Change[] {
  const changes: Change[] = [{ kind: 'remove', table: 'node', object: node }];
  const cluster = view.cluster();
  if (cluster !== undefined)
    changes.push({ kind: 'update', table: 'cluster', object: withRemoved(cluster, node, nowMs) });
  return [...changes, ...orphanChanges(view, node.id, 'node removed', 'its node was removed', nowMs, changes.length)];
}

/**
 * The node's tasks are given up for lost; as many as `used` changes leave room for in a transaction. Those that are left
 * are found by the loops: a task whose node is not there runs nowhere.
 */
export function orphanChanges(
  view: Pick<StoreView, 'tasksOfNode'>,
  nodeId: string,
  message: string,
  error: string,
  nowMs: number,
  used: number,
): readonly Change[] {
  const changes: Change[] = [];
  for (const task of view.tasksOfNode(nodeId)) {
    if (changes.length + used >= LIMITS.CHANGES_PER_TRANSACTION) break;
    const orphan = orphaned(task, message, error, nowMs);
    if (orphan !== undefined) changes.push({ kind: 'update', table: 'task', object: orphan });
  }
  return changes;
}

/** The cluster with the node among those whose certificates are refused. */
function withRemoved(cluster: Cluster, node: Node, nowMs: number): Cluster {
  const expiresAtMs = certificatesUntilMs(node, cluster, nowMs) + CLOCKS_DIFFER_MS;
  return withRemovedNode(cluster, { nodeId: node.id, removedAtMs: nowMs, expiresAtMs }, nowMs);
}

/** Until when a certificate of the node may hold: those that it has, and those that were issued in a longer-lived time. */
export function certificatesUntilMs(node: Node, cluster: Cluster, nowMs: number): number {
  const { certificatesUntilMs: knownMs } = node;
  const lastMs = certificateTimes(node)?.notAfterMs ?? 0;
  if (knownMs > 0) return Math.max(knownMs, lastMs, nowMs);
  // An older release kept no account: what certificates of its time may have had.
  const lifetimeMs = cluster.spec?.ca?.nodeCertExpiryMs ?? 0;
  return Math.max(lastMs, nowMs + Math.max(lifetimeMs, CERTIFICATE_CONFIG.nodeLifetimeMs));
}

/** Of the node's newest certificate; undefined where there is none, or none that can be read. */
export function certificateTimes(
  node: Node,
): { readonly notBeforeMs: number; readonly notAfterMs: number } | undefined {
  try {
    return parseCertificates(node.certificate?.certificatePem ?? '')[0];
  } catch {
    return undefined;
  }
}

function orphaned(task: Task, message: string, error: string, nowMs: number): Task | undefined {
  const { status } = task;
  if (status === undefined || status.state >= TaskState.COMPLETE) return undefined;
  return { ...task, status: { ...status, state: TaskState.ORPHANED, timestampMs: nowMs, message, error } };
}
