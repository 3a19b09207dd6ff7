/** Certificates of clients from outside, signed by the cluster's root, and what a client needs beside its own. */
import { issueClientCertificate } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { type CertifiedClient, type ClientRoleName, certifiedClient } from '#certs/client-identity.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster, ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { ClusterAuthority } from './cluster-authority.ts';
import { trustedRootsPem } from './trusted-roots.ts';

export interface ClientCertificatesOptions {
  readonly cluster: () => Cluster | undefined;
  readonly managers: () => readonly ManagerPeer[];
  readonly clock: Clock;
}

interface Order {
  readonly identity: { readonly clientId: string; readonly role: ClientRoleName; readonly clusterId: string };
  readonly publicKeyDer: Buffer;
  readonly lifetimeMs: number;
}

type Issued = Pick<CertifiedClient, 'serial' | 'notBeforeMs' | 'notAfterMs' | 'issuerKeyId'> & {
  /** The certificate, then intermediates. */
  readonly certificatePem: string;
};

export class ClientCertificates {
  readonly #options: ClientCertificatesOptions;
  readonly #authority = new ClusterAuthority();

  constructor(options: ClientCertificatesOptions) {
    this.#options = options;
  }

  /** @throws SwarmError `no-certificate` where the cluster's root key is not with its managers */
  async issue(order: Order): Promise<Issued> {
    const certificatePem = issueClientCertificate(this.#authority.of(this.#cluster()), {
      ...order,
      nowMs: this.#options.clock.now(),
    });
    const [leaf] = parseCertificates(certificatePem, 'client certificate');
    if (leaf === undefined) throw noCertificate();
    const { serial, notBeforeMs, notAfterMs, issuerKeyId } = certifiedClient(leaf);
    return Promise.resolve({ certificatePem, serial, notBeforeMs, notAfterMs, issuerKeyId });
  }

  /** The end of the root that signs now. @throws as `issue` does */
  notAfterMs(): number {
    return this.#authority.of(this.#cluster()).certificate.notAfterMs;
  }

  trustedRootsPem(): Uint8Array {
    const { rootCa } = this.#cluster();
    if (rootCa === undefined) throw noCertificate();
    return Buffer.from(trustedRootsPem(rootCa));
  }

  addresses(): readonly string[] {
    return this.#options.managers().map(({ address }) => address);
  }

  #cluster(): Cluster {
    const cluster = this.#options.cluster();
    if (cluster === undefined) throw noCertificate();
    return cluster;
  }
}

function noCertificate(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'no-certificate',
    message: 'this manager cannot issue certificates',
    hint: 'try again in a moment',
  });
}
