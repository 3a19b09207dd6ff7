/** How far a rotation of the root is, as users see it. */
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { RotationNode, RotationProgress } from '#gen/swarm/v1/rootca.ts';
import type { StoreView } from '#manager/store/index.ts';
import { reasonOf } from './decide-rotation.ts';
import { progressOf, targetOf } from './node-phase.ts';

const MISSING_TOLD = 100;

/** Undefined while no rotation is under way. */
export function rotationProgress(view: StoreView): RotationProgress | undefined {
  const rotation = view.cluster()?.rootCa?.rotation;
  if (rotation === undefined) return undefined;
  const target = targetOf(rotation);
  const leftBehind = new Set(rotation.leftBehind);
  const missing: RotationNode[] = [];
  const counts = { done: 0, total: 0, certified: 0, trusting: 0, leftBehind: 0 };
  for (const node of view.all('node')) {
    const { phase, certified, trusting } = progressOf(node, target, leftBehind);
    if (phase === 'left-behind') {
      counts.leftBehind++;
      continue;
    }
    counts.total++;
    if (certified) counts.certified++;
    if (trusting) counts.trusting++;
    if (phase === 'done') counts.done++;
    else if (missing.length < MISSING_TOLD)
      missing.push(
        RotationNode.create({
          nodeId: node.id,
          hostname: node.description?.hostname ?? '',
          state: node.status?.state ?? NodeState.UNKNOWN,
          message: reasonOf(phase, node),
        }),
      );
  }
  return RotationProgress.create({ ...counts, missing, clients: [...clientsOfOthers(view, target.keyId)] });
}

/** Clients whose certificates are not of this root: they work until the rotation is done. */
function clientsOfOthers(view: StoreView, keyId: string): readonly string[] {
  return [...view.all('client')].filter((client) => client.issuerKeyId !== keyId).map(({ name }) => name);
}
