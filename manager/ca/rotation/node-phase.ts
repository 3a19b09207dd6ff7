/** How far a node is on its way from one root to another. */
import { parseCertificates } from '#certs/certificate.ts';
import { IssuanceState, type Node, NodeState, type RootRotation } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import { rootKeyId } from '../trusted-roots.ts';

/** The root that a rotation leads to, as nodes name it. */
export interface TargetRoot {
  /** Subject key identifier, hexadecimal. */
  readonly keyId: string;
  /** sha256 of its DER, hexadecimal. */
  readonly digest: string;
}

export type NodePhase =
  | 'done' // shows a certificate of the new root, and trusts it
  | 'left-behind' // is not waited for
  | 'away' // cannot be asked
  | 'too-old' // would not know what it is asked
  | 'to-ask' // is to be asked for another certificate
  | 'asked' // was asked
  | 'renewed' // was given a certificate that it does not show
  | 'distrusting'; // has its certificate, and does not trust the new root

export interface NodeProgress {
  readonly phase: NodePhase;
  readonly certified: boolean;
  readonly trusting: boolean;
}

export function targetOf(rotation: RootRotation): TargetRoot {
  return { keyId: rootKeyId(rotation.certificatePem), digest: rotation.digest };
}

/** `leftBehind` has the ids of nodes that are not waited for. A manager always is: the log needs it. */
export function progressOf(node: Node, target: TargetRoot, leftBehind: ReadonlySet<string>): NodeProgress {
  const tls = node.description?.tls;
  const certified = tls?.issuerKeyId === target.keyId;
  const trusting = tls?.trustedRoots.includes(target.digest) === true;
  return { phase: phaseOf(node, { certified, trusting }, target, leftBehind), certified, trusting };
}

function phaseOf(
  node: Node,
  { certified, trusting }: Omit<NodeProgress, 'phase'>,
  target: TargetRoot,
  leftBehind: ReadonlySet<string>,
): NodePhase {
  if (certified && trusting) return 'done';
  if (leftBehind.has(node.id) && !isManager(node)) return 'left-behind';
  if (node.status?.state !== NodeState.READY) return 'away';
  if ((node.description?.featureLevel ?? 0) < IDENTITY_LEVEL) return 'too-old';
  if (certified) return 'distrusting';
  if (node.certificate?.state === IssuanceState.ROTATE) return 'asked';
  return issuerOf(node.certificate?.certificatePem) === target.keyId ? 'renewed' : 'to-ask';
}

/** A manager, or one that is to become one or has not ceased to be one. */
export function isManager({ role, spec }: Pick<Node, 'role' | 'spec'>): boolean {
  return role === NodeRole.MANAGER || spec?.desiredRole === NodeRole.MANAGER;
}

const issuers = new WeakMap<Uint8Array, string>();

/** By which root the certificate was signed; empty when that cannot be told. Every look asks for every node. */
function issuerOf(certificatePem: Uint8Array | undefined): string {
  if (certificatePem === undefined || certificatePem.length === 0) return '';
  const known = issuers.get(certificatePem);
  if (known !== undefined) return known;
  let issuer = '';
  try {
    issuer = parseCertificates(certificatePem)[0]?.authorityKeyId ?? '';
  } catch {
    // A certificate that cannot be read is one that is to be replaced.
  }
  issuers.set(certificatePem, issuer);
  return issuer;
}
