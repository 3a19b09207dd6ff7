/** What an agent hears of its own node's object. */
import { IssuanceState, type Node, NodeCertificate } from '#gen/swarm/v1/objects.ts';

/**
 * The node as its agent may see it: of its certificate it has to know only that another one is wanted, and in the place
 * of which.
 */
export function nodeAsTold(node: Node): Node {
  const { certificate } = node;
  if (certificate?.state !== IssuanceState.ROTATE) return { ...node, certificate: undefined };
  const { state, role, certificatePem } = certificate;
  return { ...node, certificate: NodeCertificate.create({ state, role, certificatePem }) };
}
