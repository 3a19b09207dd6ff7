import { type Authority, loadAuthority } from '#certs/authority.ts';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { decodeKeyFile } from '#certs/key-file.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';
import { issuingRoot } from './trusted-roots.ts';

/**
 * The root of the cluster as something that signs; parsed once for each root, since it is asked for every signature.
 * During a rotation it is the new root, whose certificates come with the one that the present root has signed for it.
 */
export class ClusterAuthority {
  #source: RootCa | undefined;
  #authority: Authority | undefined;

  /** Throws `unavailable` when this manager has no root key. */
  of(cluster: Cluster): Authority {
    const { rootCa } = cluster;
    if (rootCa === undefined || issuingRoot(rootCa).keyPem.length === 0)
      throw new SwarmError({
        code: 'unavailable',
        reason: 'no-certificate',
        message: 'this manager holds no root key and cannot issue certificates',
        hint: 'the authority that has it signs for nodes only',
      });
    if (this.#authority === undefined || this.#source !== rootCa) {
      const root = issuingRoot(rootCa);
      const { privateKey } = decodeKeyFile(root.keyPem, 'root key');
      this.#authority = {
        ...loadAuthority(rootCertificate(root.certificatePem), privateKey),
        intermediates: certificatesOf(root.crossSignedPem),
      };
      this.#source = rootCa;
    }
    return this.#authority;
  }
}

/** The present root as something that signs, whatever rotation is under way. @throws SwarmError where its key is missing */
export function presentAuthority({ certificatePem, keyPem }: RootCa): Authority {
  const { privateKey } = decodeKeyFile(keyPem, 'root key');
  return loadAuthority(rootCertificate(certificatePem), privateKey);
}

/** What goes along with certificates of this root. */
export function certificatesOf(pem: Uint8Array): readonly Certificate[] {
  return pem.length === 0 ? [] : parseCertificates(pem, 'cross-signed root certificate');
}

/** @throws SwarmError `corrupt-state` where the store has none */
export function rootCertificate(certificatePem: Uint8Array): Certificate {
  const [certificate] = parseCertificates(certificatePem, 'root certificate');
  if (certificate === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: 'the cluster has no root certificate',
    });
  return certificate;
}
