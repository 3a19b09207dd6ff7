/** What an operator should know of the root and of who signs. */
import { authorityKeyId } from '#certs/authority.ts';
import { OWN_ROOT } from '#certs/config.ts';
import type { RootCa } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { rootCertificate } from './cluster-authority.ts';
import { LEFT_BEHIND } from './rotation/rotation-changes.ts';
import { rotationProgress } from './rotation/rotation-progress.ts';

const NAMES_TOLD = 5;

/** One sentence each, none when all is well. */
export function authorityWarnings(view: StoreView, nowMs: number): readonly string[] {
  const rootCa = view.cluster()?.rootCa;
  if (rootCa === undefined || rootCa.certificatePem.length === 0) return [];
  return [...rotationWarnings(view, rootCa), ...rootWarnings(rootCa, nowMs), ...signingWarnings(view)];
}

function rotationWarnings(view: StoreView, { rotation }: RootCa): readonly string[] {
  const progress = rotationProgress(view);
  if (rotation === undefined || progress === undefined) return [];
  const { done, total } = progress;
  const waits = rotation.problem === '' ? '' : `; it waits for ${rotation.problem}`;
  return [`the root is being replaced: ${done} of ${total} nodes are done${waits} (\`swarm ca --follow\`)`];
}

function rootWarnings({ certificatePem }: RootCa, nowMs: number): readonly string[] {
  const root = rootCertificate(certificatePem);
  if (root.notAfterMs - nowMs > OWN_ROOT.leastLifetimeMs) return [];
  const end = new Date(root.notAfterMs).toISOString().slice(0, 10);
  return [`the root ${authorityKeyId(root).slice(0, 8)} expires on ${end}: replace it (\`swarm ca --rotate\`)`];
}

/** Nodes that asked for a certificate and got none. */
function signingWarnings(view: StoreView): readonly string[] {
  const byError = new Map<string, string[]>();
  for (const node of view.all('node')) {
    const error = node.certificate?.error ?? '';
    if (error === '' || error === LEFT_BEHIND) continue;
    byError.set(error, [...(byError.get(error) ?? []), node.description?.hostname || node.id]);
  }
  return [...byError].slice(0, NAMES_TOLD).map(([error, names]) => {
    const more = names.length - NAMES_TOLD;
    const told = names.slice(0, NAMES_TOLD).join(', ') + (more > 0 ? ` and ${more} more` : '');
    return `no new certificate for ${told}: ${error}`;
  });
}
