/** What a node's entry tells of its certificates. */
import { parseCertificates } from '#certs/certificate.ts';
import type { CertificateRequest } from '#certs/certificate-request.ts';
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import { certificateTimes } from '#manager/membership/index.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';

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

/** Whether the node's certificate is for the key of the request. */
export function isCertified(node: Node, csr: CertificateRequest): boolean {
  try {
    const [certificate] = parseCertificates(node.certificate?.certificatePem ?? '');
    return certificate?.publicKeyDer.equals(csr.publicKeyDer) === true;
  } catch {
    return false;
  }
}
