/**
 * `swarm init --force-new-cluster`: one manager goes on alone after the others are lost. Marked on disk from the
 * beginning to the end, so that a daemon that dies in between finishes it at its next start.
 *
 *   mark -> the log gets this member as its only one -> it leads -> the other managers become workers -> unmark
 */
import { rm, stat } from 'node:fs/promises';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
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

/** The other managers are gone: who comes back becomes a worker, and can be removed or promoted. */
export async function demoteOthers(store: Pick<ReplicatedStore, 'update'>, self: string): Promise<void> {
  await store.update((transaction) => {
    for (const node of transaction.view.all('node')) {
      if (node.spec === undefined) continue;
      const role = node.id === self ? NodeRole.MANAGER : NodeRole.WORKER;
      const isManager = node.role === NodeRole.MANAGER || node.spec.desiredRole === NodeRole.MANAGER;
      if (node.role === role && node.spec.desiredRole === role) continue;
      if (node.id === self || isManager)
        transaction.update('node', { ...node, role, spec: { ...node.spec, desiredRole: role } });
    }
  });
}
