/**
 * `swarm init --force-new-cluster`: one manager goes on alone after the others are lost. Marked on disk from the
 * beginning to the end, so that a daemon that dies in between finishes it at its next start.
 *
 *   mark -> the log gets this member as its only one -> it leads -> the other managers become workers -> unmark
 */
import { rm, stat } from 'node:fs/promises';
import { writeAuthor } from '#common/author.ts';
import { SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import type { ReplicatedStore, Transaction } from '#manager/replicated-store/index.ts';
import type { Paths } from './paths.ts';

export async function markForced(paths: Paths): Promise<void> {
  await writeFileAtomic(paths.forced, 'format: 1\n', 0o600);
}

export async function isForced(paths: Paths): Promise<boolean> {
  return stat(paths.forced).then(
    () => true,
    () => false,
  );
}

export async function unmarkForced(paths: Paths): Promise<void> {
  await rm(paths.forced, { force: true });
}

/**
 * The other managers are gone: who comes back becomes a worker, and can be removed or promoted. Only root of this node can
 * have asked for it.
 */
export async function demoteOthers(store: Pick<ReplicatedStore, 'update' | 'view'>, self: string): Promise<void> {
  const name = store.view().get('node', self)?.description?.hostname ?? '';
  const author = writeAuthor({ kind: 'local', id: self, name, peer: '' });
  const demote = (transaction: Transaction): void => {
    for (const node of transaction.view.all('node')) {
      if (node.spec === undefined) continue;
      const role = node.id === self ? NodeRole.MANAGER : NodeRole.WORKER;
      const isManager = node.role === NodeRole.MANAGER || node.spec.desiredRole === NodeRole.MANAGER;
      if (node.role === role && node.spec.desiredRole === role) continue;
      if (node.id === self || isManager)
        transaction.update('node', { ...node, role, spec: { ...node.spec, desiredRole: role } });
    }
  };
  await store.update(demote, { author });
}

/** Longer than a leader needs to notice that it has lost the others. */
const QUORUM_TIMEOUT_MS = 5_000;

/**
 * Beside managers that go on, one that is made alone would be a second swarm with the same nodes: both would give them
 * tasks. A read that is answered proves that there is a quorum.
 * @throws SwarmError `in-use`
 */
export async function refuseWithQuorum(log: Pick<RaftLog, 'members' | 'readBarrier'> | undefined): Promise<void> {
  const others = log?.members().filter(({ voter, self }) => voter && !self) ?? [];
  if (log === undefined || others.length === 0) return;
  const answered = log.readBarrier({ timeoutMs: QUORUM_TIMEOUT_MS }).then(
    () => true,
    () => false,
  );
  if (!(await answered)) return;
  const addresses = others.map(({ address }) => address).sort();
  throw new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `The swarm has a leader and a quorum: going on alone beside the other managers (${addresses.join(', ')}) would make two swarms of it`,
    hint: 'demote the managers that are not wanted: `swarm node demote NODE`',
  });
}
