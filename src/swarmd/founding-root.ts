/** The root that a new swarm begins with: a new one, one that was brought along, or one whose key is elsewhere. */
import { certificateDigest } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { ROOT_FLAGS, readOwnAuthority, readOwnRoot } from '#certs/own-root.ts';
import type { Clock } from '#common/clock.ts';
import { invalidField } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import { ClusterSpec } from '#gen/swarm/v1/specs.ts';
import {
  type BootstrapOptions,
  bootstrapCluster,
  bootstrapWithExternal,
  type ClusterBootstrap,
  ClusterSigner,
  checkSignsFor,
  completeExternalCas,
  EXTERNAL_CONFIG,
  ExternalAuthority,
} from '#manager/ca/index.ts';

interface FoundingParts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Asks authorities outside of the swarm as long as this host has no certificate to show them. */
function strangersAuthority({ clock, logger }: FoundingParts): ExternalAuthority {
  return new ExternalAuthority({ identity: () => undefined, clock, logger, config: EXTERNAL_CONFIG });
}

/** Signs for a host that is to become the first manager. */
export function strangersSigner(parts: FoundingParts): ClusterSigner {
  return new ClusterSigner(strangersAuthority(parts));
}

/** @throws SwarmError that names the flag and the rule; or that no authority outside signed for the first manager */
export async function bootstrapFor(
  request: Pick<InitSwarmRequest, 'caCertPem' | 'caKeyPem'>,
  options: BootstrapOptions,
  parts: FoundingParts,
): Promise<ClusterBootstrap> {
  const { caCertPem, caKeyPem } = request;
  const { nowMs } = options;
  if (caCertPem.length === 0) {
    refuseHalves(request, options);
    return bootstrapCluster(options);
  }
  if (caKeyPem.length > 0) {
    const root = readOwnAuthority(caCertPem, caKeyPem, nowMs);
    return bootstrapCluster({ ...withAuthorities(options, caCertPem, certificateDigest(root.certificate)), root });
  }
  const root = readOwnRoot(caCertPem, nowMs);
  const complete = withAuthorities(options, caCertPem, certificateDigest(root));
  const authorities = complete.spec?.ca?.externalCas ?? [];
  if (authorities.length === 0)
    throw invalidField(
      ROOT_FLAGS.key,
      `${ROOT_FLAGS.key}: without it, or an external authority, nobody could sign for nodes`,
      'give --ca-key, or --external-ca for the authority that has the key',
    );
  const external = strangersAuthority(parts);
  return bootstrapWithExternal(complete, root, (order) => external.sign(authorities, root, order));
}

function refuseHalves({ caKeyPem }: Pick<InitSwarmRequest, 'caKeyPem'>, { spec }: BootstrapOptions): void {
  if (caKeyPem.length > 0)
    throw invalidField(
      ROOT_FLAGS.key,
      `${ROOT_FLAGS.key}: is a key without its certificate`,
      `give ${ROOT_FLAGS.certificate}, too`,
    );
  if ((spec?.ca?.externalCas.length ?? 0) > 0)
    throw invalidField(
      'external-ca',
      'external-ca: an authority outside cannot sign for a root that the swarm makes by itself',
      `give its root certificate: ${ROOT_FLAGS.certificate}`,
    );
}

function withAuthorities(options: BootstrapOptions, caCertPem: Uint8Array, digest: string): BootstrapOptions {
  const { nowMs } = options;
  const spec = options.spec ?? ClusterSpec.create();
  const rootPem = Buffer.from(certificatesPem([readOwnRoot(caCertPem, nowMs)]));
  const externalCas = [...completeExternalCas(spec.ca?.externalCas ?? [], rootPem, nowMs)];
  checkSignsFor(externalCas, digest, nowMs);
  return { ...options, spec: { ...spec, ca: { nodeCertExpiryMs: undefined, ...spec.ca, externalCas } } };
}
