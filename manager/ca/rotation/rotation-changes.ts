/** The transactions of a rotation of the root. Pure: each is decided on the newest state. */
import {
  type Cluster,
  IssuanceState,
  JoinTokens,
  type Node,
  NodeCertificate,
  NodeState,
  type RootCa,
  type RootRotation,
} from '#gen/swarm/v1/objects.ts';
import type { ClusterSpec } from '#gen/swarm/v1/specs.ts';
import type { Change } from '#manager/store/index.ts';
import { externalsFor } from '../signer.ts';
import { rootKeyId } from '../trusted-roots.ts';
import { progressOf, type TargetRoot, targetOf } from './node-phase.ts';

/** Replaced roots that are remembered: a connection does not outlive so many rotations. */
const RETIRED_MAX = 32;

/** A new root that is ready to take the place of the present one. */
export interface NewRoot {
  readonly certificatePem: Uint8Array;
  readonly keyPem: Uint8Array;
  readonly crossSignedPem: Uint8Array;
  readonly digest: string;
}

/** The cluster with the rotation under way. One that is under way is replaced; what it has led to still counts. */
export function withRotation(
  cluster: Cluster,
  rootCa: RootCa,
  root: NewRoot,
  { nowMs, leftBehind }: { readonly nowMs: number; readonly leftBehind: readonly string[] },
): Cluster {
  const before = rootCa.rotation;
  const keyId = rootKeyId(root.certificatePem);
  const superseded = supersededBy(rootCa, root).filter((id) => id !== keyId);
  const rotation: RootRotation = {
    ...root,
    startedAtMs: nowMs,
    leftBehind: [...leftBehind],
    number: (before?.number ?? 0) + 1,
    problem: '',
    supersededKeyIds: superseded,
  };
  // Whoever wants a root back that was replaced once trusts again what it has signed.
  const retiredKeyIds = rootCa.retiredKeyIds.filter((id) => id !== keyId);
  return { ...cluster, rootCa: { ...rootCa, rotation, retiredKeyIds } };
}

/** Roots that nodes may have certificates of though they are neither the present one nor the new one. */
export function supersededBy({ rotation, digest }: RootCa, root: Pick<NewRoot, 'digest'>): readonly string[] {
  if (rotation === undefined) return [];
  const led = rotation.digest === digest || rotation.digest === root.digest ? [] : [rootKeyId(rotation.certificatePem)];
  return [...new Set([...rotation.supersededKeyIds, ...led])];
}

/** Asks the nodes for other certificates. Those that have them by now are left out. */
export function askChanges(nodes: readonly (Node | undefined)[]): readonly Change[] {
  return nodes.flatMap((node): Change[] => {
    if (node === undefined || node.certificate?.state === IssuanceState.ROTATE) return [];
    const certificate = node.certificate ?? NodeCertificate.create({ role: node.role });
    const object = { ...node, certificate: { ...certificate, state: IssuanceState.ROTATE, error: '' } };
    return [{ kind: 'update', table: 'node', object }];
  });
}

/**
 * The new root is the root: it alone is trusted, tokens are new, what the former one has signed is refused. Nodes that
 * were left behind are marked.
 */
export function finishChanges(
  cluster: Cluster,
  rootCa: RootCa,
  rotation: RootRotation,
  nodes: Iterable<Node>,
  makeToken: (rootDigest: string) => string,
): readonly Change[] {
  const { certificatePem, keyPem, digest } = rotation;
  const target = targetOf(rotation);
  const retired = [...rootCa.retiredKeyIds, ...rotation.supersededKeyIds, rootKeyId(rootCa.certificatePem)];
  const finished: RootCa = {
    ...rootCa,
    certificatePem,
    keyPem,
    digest,
    joinTokens: JoinTokens.create({ worker: makeToken(digest), manager: makeToken(digest) }),
    rotation: undefined,
    retiredKeyIds: [...new Set(retired)].filter((id) => id !== target.keyId).slice(-RETIRED_MAX),
  };
  const spec = withoutOtherAuthorities(cluster.spec, rootCa, target);
  return [
    { kind: 'update', table: 'cluster', object: { ...cluster, spec, rootCa: finished } },
    ...leftBehindChanges(nodes, target, new Set(rotation.leftBehind)),
  ];
}

/** Authorities that sign for a root which is gone are no use to anybody. */
function withoutOtherAuthorities(
  spec: ClusterSpec | undefined,
  rootCa: RootCa,
  target: TargetRoot,
): ClusterSpec | undefined {
  if (spec?.ca === undefined || spec.ca.externalCas.length === 0) return spec;
  return { ...spec, ca: { ...spec.ca, externalCas: [...externalsFor(spec.ca.externalCas, target, rootCa)] } };
}

export const LEFT_BEHIND =
  'was left behind when the root of the swarm was replaced: run `swarm leave --force` on it, then `swarm join` with a new token';

function leftBehindChanges(
  nodes: Iterable<Node>,
  target: TargetRoot,
  leftBehind: ReadonlySet<string>,
): readonly Change[] {
  const changes: Change[] = [];
  for (const node of leftBehind.size === 0 ? [] : nodes) {
    if (progressOf(node, target, leftBehind).phase !== 'left-behind') continue;
    const certificate = node.certificate ?? NodeCertificate.create({ role: node.role });
    const { status } = node;
    const isAway = status !== undefined && status.state !== NodeState.READY;
    const object = {
      ...node,
      certificate: { ...certificate, state: IssuanceState.FAILED, error: LEFT_BEHIND },
      status: isAway ? { ...status, message: LEFT_BEHIND } : status,
    };
    changes.push({ kind: 'update', table: 'node', object });
  }
  return changes;
}
