import type { NodeCertificateOrder } from '#certs/node-certificate.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';

export interface SigningOrder extends NodeCertificateOrder {
  /** What the public key is from. */
  readonly csrPem: Uint8Array;
}

/** Whoever signs the certificates of nodes. */
export interface NodeSigner {
  /**
   * A node's certificate by the root that signs now, then what goes along with it; PEM.
   * @throws SwarmError `no-certificate` when nobody signs
   */
  sign(cluster: Cluster, order: SigningOrder): Promise<string>;
}
