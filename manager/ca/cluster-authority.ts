import { type Authority, loadAuthority } from '#certs/authority.ts';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { decodeKeyFile } from '#certs/key-file.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';

/** The root of the cluster as something that signs; parsed once for each root, since it is asked for every signature. */
export class ClusterAuthority {
  #source: RootCa | undefined;
  #authority: Authority | undefined;

  /** Throws `unavailable` when this manager has no root key. */
  of(cluster: Cluster): Authority {
    const { rootCa } = cluster;
    if (rootCa === undefined || rootCa.keyPem.length === 0)
      throw new SwarmError({
        code: 'unavailable',
        reason: 'no-certificate',
        message: 'this manager holds no root key and cannot issue certificates',
      });
    if (this.#authority === undefined || this.#source !== rootCa) {
      const { privateKey } = decodeKeyFile(rootCa.keyPem, 'root key');
      this.#authority = loadAuthority(rootCertificate(rootCa), privateKey);
      this.#source = rootCa;
    }
    return this.#authority;
  }
}

function rootCertificate(rootCa: RootCa): Certificate {
  const [certificate] = parseCertificates(rootCa.certificatePem, 'root certificate');
  if (certificate === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: 'the cluster has no root certificate',
    });
  return certificate;
}
