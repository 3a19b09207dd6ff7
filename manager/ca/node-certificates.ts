/** What a node's entry tells of its certificates. */
import { parseCertificates } from '#certs/certificate.ts';
import type { CertificateRequest } from '#certs/certificate-request.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { type Cluster, IssuanceState, type Node } from '#gen/swarm/v1/objects.ts';
import { certificateTimes } from '#manager/membership/index.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import { rootCertificate } from './cluster-authority.ts';
import { issuingRoot } from './trusted-roots.ts';

/**
 * The node, which has got a certificate, with how long any of its certificates may hold, and, for one that begins another
 * life, from when on they count. `before`: as it was until now. Nothing is noted that an older manager would lose.
 */
export function withCertificateTimes(
  node: Node,
  before: Node | undefined,
  cluster: Cluster,
  beginsAnew: boolean,
): Node {
  const times = certificateTimes(node);
  if (times === undefined || cluster.featureLevel < IDENTITY_LEVEL) return node;
  const earlierMs = before === undefined ? 0 : (certificateTimes(before)?.notAfterMs ?? 0);
  return {
    ...node,
    certificatesFromMs: beginsAnew ? times.notBeforeMs : node.certificatesFromMs,
    certificatesUntilMs: Math.max(node.certificatesUntilMs, earlierMs, times.notAfterMs),
  };
}

/** Whether the node's certificate is one to be handed out: issued, by the root that signs now, and it holds. */
export function isCurrent({ certificate }: Node, { rootCa }: Cluster, nowMs: number): boolean {
  if (rootCa === undefined || certificate?.state !== IssuanceState.ISSUED) return false;
  try {
    const root = rootCertificate(issuingRoot(rootCa).certificatePem);
    return verifyChain(parseCertificates(certificate.certificatePem), [root], nowMs) === undefined;
  } catch {
    return false;
  }
}

/** Whether the node's certificate is for the key of the request. */
export function isCertified(node: Node, csr: CertificateRequest): boolean {
  try {
    const [certificate] = parseCertificates(node.certificate?.certificatePem ?? '');
    return certificate?.publicKeyDer.equals(csr.publicKeyDer) === true;
  } catch {
    return false;
  }
}
