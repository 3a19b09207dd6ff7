/**
 * A host that joins and was a node of this cluster before. It shows that by the key that it had, and is that node again,
 * or, where it says so, another one in whose favour the former entry goes. What it had before does not count any more:
 * certificates that begin before its new one are refused.
 */
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { formerProofHolds } from '#certs/former-proof.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';
import type { IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { type Cluster, type Node, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { certificateTimes, orphanChanges } from '#manager/membership/index.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import type { Change } from '#manager/store/index.ts';
import type { CaView } from './ca-store.ts';

/** Who the joining host was. */
export interface Former {
  readonly nodeId: string;
  /** Start of the newest certificate that is known of it. */
  readonly notBeforeMs: number;
  /** It wants to be another node. */
  readonly replace: boolean;
}

/**
 * Undefined for a host that says nothing of the kind, that comes from another cluster or from under a root that is not
 * trusted any more, and as long as a manager might not know that older certificates do not count.
 * @throws SwarmError `bad-certificate` for a proof that does not hold
 */
export function provenFormer(request: IssueNodeCertificateRequest, cluster: Cluster, view: CaView): Former | undefined {
  const { former } = request;
  if (former === undefined || cluster.featureLevel < IDENTITY_LEVEL) return undefined;
  const chain = parseCertificates(former.certificatePem, 'certificate of the former node');
  const [leaf] = chain;
  if (leaf === undefined) return undefined;
  const identity = certifiedIdentity(leaf);
  if (identity.clusterId !== cluster.id) return undefined;
  const node = view.get('node', identity.nodeId);
  if (!isKnown(leaf, node) && !isSigned(chain, leaf, cluster)) return undefined;
  if (!formerProofHolds(request.csrPem, former.signature, leaf.publicKey))
    throw new SwarmError({
      code: 'denied',
      reason: 'bad-certificate',
      message: `this host has the certificate of node ${identity.nodeId}, but not its key`,
      hint: 'remove the directory `former` from the state directory of the joining host: it will be a new node',
    });
  return { nodeId: identity.nodeId, notBeforeMs: newestStart(identity, node), replace: former.replace };
}

/** The entry's own certificate, whichever root has signed it. */
function isKnown(leaf: Certificate, node: Node | undefined): boolean {
  if (node?.certificate === undefined) return false;
  try {
    const [own] = parseCertificates(node.certificate.certificatePem);
    return own?.publicKeyDer.equals(leaf.publicKeyDer) === true;
  } catch {
    return false;
  }
}

/** That it has run out is no matter: it need not hold any more, it must have held once. */
function isSigned(chain: readonly Certificate[], leaf: Certificate, cluster: Cluster): boolean {
  const roots = parseCertificates(cluster.rootCa?.certificatePem ?? '', 'root certificate');
  return verifyChain(chain, roots, leaf.notBeforeMs) === undefined;
}

function newestStart(identity: CertifiedIdentity, node: Node | undefined): number {
  const entryMs = node === undefined ? undefined : certificateTimes(node)?.notBeforeMs;
  return Math.max(identity.notBeforeMs, entryMs ?? identity.notBeforeMs);
}

/**
 * Why the former node cannot be taken over, or removed, now; undefined when it can.
 * `isMember`: whether the log has a member of the node.
 */
export function formerRefusal(
  former: Former,
  node: Node | undefined,
  isMember: (nodeId: string) => boolean,
): SwarmError | undefined {
  const { nodeId } = former;
  if (isMember(nodeId))
    return new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `this host was manager ${nodeId}, which still counts for the quorum`,
      hint: `run \`swarm node demote ${nodeId}\` on a manager, then join again`,
    });
  if (node === undefined || !isUp(node)) return undefined;
  return new SwarmError({
    code: 'unavailable',
    reason: 'in-use',
    message: `this host was node ${nodeId}, and that node is up`,
    hint: `wait until \`swarm node ls\` shows it as down, or run \`swarm leave\` where it runs; on a copy of that host, remove the directory \`former\` from the state directory`,
  });
}

/** It may be heard of any moment: its session is there, or the leader is new. */
function isUp({ status, description }: Node): boolean {
  if (status?.state === NodeState.UNKNOWN) return description?.engine !== undefined;
  return status?.state === NodeState.READY;
}

/** The entry as it is from now on; labels stay, and the availability where the host asks for none. */
export function readmitted(node: Node, fresh: Node, availability: NodeAvailability): Node {
  const desiredRole = fresh.role;
  const spec = node.spec ?? NodeSpec.create({ availability: NodeAvailability.ACTIVE });
  return {
    ...node,
    spec: { ...spec, desiredRole, availability: availability || spec.availability },
    role: fresh.role,
    status: NodeStatus.create({ ...fresh.status, address: node.status?.address ?? '' }),
    // What it was is not what it is: a session tells. Until then it is known by its name alone.
    description: fresh.description,
    certificate: fresh.certificate,
    certificatesFromMs: fresh.certificatesFromMs,
    certificatesUntilMs: Math.max(node.certificatesUntilMs, fresh.certificatesUntilMs),
    cleanedUp: false,
  };
}

/** Makes the host the node that it was, with its entry or without one. */
export function readmissionChanges(
  view: CaView,
  cluster: Cluster,
  node: Node | undefined,
  fresh: Node,
  request: IssueNodeCertificateRequest,
  nowMs: number,
): readonly Change[] {
  const changes: Change[] = [
    node === undefined
      ? { kind: 'create', table: 'node', object: fresh }
      : { kind: 'update', table: 'node', object: readmitted(node, fresh, request.availability) },
  ];
  const removedNodes = cluster.removedNodes.filter(({ nodeId }) => nodeId !== fresh.id);
  if (removedNodes.length < cluster.removedNodes.length)
    changes.push({ kind: 'update', table: 'cluster', object: { ...cluster, removedNodes } });
  // The host has ended what it ran when it left.
  const orphans = orphanChanges(view, fresh.id, 'node joined again', 'its node has left', nowMs, changes.length);
  return [...changes, ...orphans];
}

/** What the operator should know of other entries of that name. */
export function namesakeWarnings(view: CaView, nodeId: string, hostname: string): readonly string[] {
  if (hostname === '') return [];
  const warnings: string[] = [];
  for (const { id, status, description, role } of view.all('node')) {
    const isAway = status?.state === NodeState.DOWN || status?.state === NodeState.DISCONNECTED;
    if (id === nodeId || !isAway || description?.hostname !== hostname) continue;
    const removal = `run \`swarm node rm ${id}\``;
    // It still counts for the quorum, and a manager is not removed.
    const wayOut = role === NodeRole.MANAGER ? `run \`swarm node demote ${id}\`, then ${removal}` : removal;
    warnings.push(`node ${id}, which is down, has this host's name, too: if it was this host, ${wayOut}`);
    if (warnings.length === NAMESAKES_TOLD) break;
  }
  return warnings;
}

const NAMESAKES_TOLD = 3;
