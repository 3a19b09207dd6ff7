/** Who signs the certificates of nodes: the managers by themselves, or authorities outside of the swarm. */
import { certificateDigest, issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';
import type { ExternalCa } from '#gen/swarm/v1/specs.ts';
import { ClusterAuthority, certificatesOf, rootCertificate } from './cluster-authority.ts';
import type { ExternalAuthority } from './external/external-authority.ts';
import type { NodeSigner, SigningOrder } from './node-signer.ts';
import { type IssuingRoot, issuingRoot } from './trusted-roots.ts';

export class ClusterSigner implements NodeSigner {
  readonly #authority = new ClusterAuthority();
  readonly #external: ExternalAuthority;

  constructor(external: ExternalAuthority) {
    this.#external = external;
  }

  async sign(cluster: Cluster, order: SigningOrder): Promise<string> {
    const outside = externalsOf(cluster);
    const root = cluster.rootCa === undefined ? undefined : issuingRoot(cluster.rootCa);
    if (root === undefined || outside.length === 0) return issueNodeCertificate(this.#authority.of(cluster), order);
    const leafPem = await this.#external.sign(outside, rootCertificate(root.certificatePem), order);
    return leafPem + certificatesPem(certificatesOf(root.crossSignedPem));
  }
}

/** The authorities outside that sign for the root which signs now. Empty: the managers sign. */
export function externalsOf({ spec, rootCa }: Pick<Cluster, 'spec' | 'rootCa'>): readonly ExternalCa[] {
  const authorities = spec?.ca?.externalCas ?? [];
  if (rootCa === undefined || authorities.length === 0) return [];
  return externalsFor(authorities, issuingRoot(rootCa), rootCa);
}

/** Those of `authorities` that sign for `root`. One that names no root signs for the present one. */
export function externalsFor(
  authorities: readonly ExternalCa[],
  root: Pick<IssuingRoot, 'digest'>,
  rootCa: RootCa,
): readonly ExternalCa[] {
  return authorities.filter(({ caCertPem }) =>
    caCertPem.length === 0 ? root.digest === rootCa.digest : digestOf(caCertPem) === root.digest,
  );
}

const digests = new WeakMap<Uint8Array, string>();

function digestOf(pem: Uint8Array): string {
  const known = digests.get(pem);
  if (known !== undefined) return known;
  const [root] = parseCertificates(pem, 'root certificate');
  const digest = root === undefined ? '' : certificateDigest(root);
  digests.set(pem, digest);
  return digest;
}
