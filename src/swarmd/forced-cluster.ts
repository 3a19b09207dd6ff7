/**
 * `swarm init --force-new-cluster`: one manager goes on alone after the others are lost. Marked on disk from the
 * beginning to the end, so that a daemon that dies in between finishes it at its next start.
 *
 *   asked -> decided: the log gets this member as its only one -> it leads -> the other managers become workers -> unmark
 *     |         from here on there is no way back: whatever fails is tried again until it is done
 *     +-> unmark, where it could not be decided
 */
import { readFile, rm } from 'node:fs/promises';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { writeAuthor } from '#common/author.ts';
import { SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { ReplicatedStore, Transaction } from '#manager/replicated-store/index.ts';
import type { ActiveNode } from './active-node.ts';
import { notAManager } from './handlers/manager-access.ts';
import type { ManagerRole } from './manager-role.ts';
import type { Paths } from './paths.ts';

/** `decided`: the log may be this member's alone. */
export type ForcedPhase = 'asked' | 'decided';

const DECIDED = 'phase: decided';

/** Undefined where nothing is being forced. @throws the error of the file system */
export async function forcedPhase({ forced }: Pick<Paths, 'forced'>): Promise<ForcedPhase | undefined> {
  try {
    const lines = (await readFile(forced, 'utf8')).split('\n');
    return lines.includes(DECIDED) ? 'decided' : 'asked';
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Nothing happens where it has come to that already: what was decided stays decided. */
export async function markForced(paths: Pick<Paths, 'forced'>, phase: ForcedPhase): Promise<void> {
  const before = await forcedPhase(paths);
  if (before === 'decided' || before === phase) return;
  await writeFileAtomic(paths.forced, phase === 'decided' ? `format: 1\n${DECIDED}\n` : 'format: 1\n', 0o600);
}

export async function unmarkForced(paths: Pick<Paths, 'forced'>): Promise<void> {
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

/** What of an active node is replaced while it goes on alone. */
export type ForcedNode = Pick<ActiveNode, 'stopManager' | 'startManager' | 'manager' | 'nodeIdentity'>;

export interface GoingOnAlone {
  readonly paths: Pick<Paths, 'forced'>;
  /** The identity as it is on the disk now, with the addresses that are wanted. */
  readonly load: () => Promise<LoadedIdentity>;
  /** How long the manager may take to serve; it goes on in the background after that. */
  readonly patienceMs: number;
}

/**
 * Makes the manager of this node the only one. Whatever happens, the node has a manager part afterwards.
 * @throws SwarmError why it does not serve: nothing has changed then, or the message says that it goes on
 */
export async function goOnAlone(active: ForcedNode, { paths, load, patienceMs }: GoingOnAlone): Promise<ManagerRole> {
  await active.stopManager();
  try {
    active.nodeIdentity.replace(await load());
    await markForced(paths, 'asked');
    const problem = await active.startManager().settled(patienceMs);
    if (active.manager === undefined) throw problem ?? notAManager(true);
    return active.manager;
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    throw (await takenBack(active, paths)) ? error : goesOn(error);
  }
}

/** What cannot be done now must not be done by surprise later, unless it is half done. Resolves with whether it is not. */
async function takenBack(active: ForcedNode, paths: Pick<Paths, 'forced'>): Promise<boolean> {
  try {
    if ((await forcedPhase(paths)) === 'decided') return false;
    // It may be decided until the manager part has stopped.
    await active.stopManager();
    if ((await forcedPhase(paths)) === 'decided') return false;
    await unmarkForced(paths);
    return true;
  } finally {
    active.startManager();
  }
}

function goesOn(error: SwarmError): SwarmError {
  return new SwarmError({
    code: error.code,
    reason: error.reason,
    message: `this manager is the only one of its swarm from now on, but does not serve yet: ${error.message}`,
    hint: `${error.hint ?? 'mend that'}; it goes on by itself, also after a restart (see \`swarm info\`)`,
    cause: error,
  });
}
