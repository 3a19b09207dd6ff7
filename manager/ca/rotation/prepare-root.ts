/** Everything that a new root needs before a rotation can begin with it. */
import { authorityKeyId, certificateDigest, createRootAuthority, crossSign } from '#certs/authority.ts';
import { type Certificate, certificatesPem } from '#certs/certificate.ts';
import { createRequestNamed } from '#certs/certificate-request.ts';
import { keyPairOf } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { ROOT_FLAGS, readOwnAuthority, readOwnRoot } from '#certs/own-root.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';
import type { ExternalCa } from '#gen/swarm/v1/specs.ts';
import { presentAuthority, rootCertificate } from '../cluster-authority.ts';
import { checkSignsFor, completeExternalCas } from '../external/check-external.ts';
import type { ExternalAuthority } from '../external/external-authority.ts';
import { externalsFor } from '../signer.ts';
import type { NewRoot } from './rotation-changes.ts';

/** What somebody wants the new root to be. */
export interface WantedRoot {
  readonly caCertPem: Uint8Array;
  readonly caKeyPem: Uint8Array;
  readonly externalCas: readonly ExternalCa[];
}

export interface PreparedRoot extends NewRoot {
  /** Authorities outside that sign for it, complete. */
  readonly externalCas: readonly ExternalCa[];
  /** Digest of the present root, which has signed it: it is of no use to a cluster with another one. */
  readonly presentDigest: string;
}

type Issuing = Pick<ExternalAuthority, 'crossSign'>;

/**
 * Makes or checks the new root, and has the present root sign it. May ask an authority outside of the swarm.
 * @throws SwarmError that names the flag and the rule, or `no-certificate` when nobody can sign for the present root
 */
export async function prepareRoot(
  wanted: WantedRoot,
  cluster: Cluster,
  external: Issuing,
  nowMs: number,
): Promise<PreparedRoot> {
  const { rootCa } = cluster;
  if (rootCa === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: 'the cluster has no root certificate',
    });
  const root = readWanted(wanted, nowMs);
  const digest = certificateDigest(root.certificate);
  const externalCas = completeExternalCas(wanted.externalCas, root.certificatePem, nowMs);
  checkSignsFor(externalCas, digest, nowMs);
  const base = {
    certificatePem: root.certificatePem,
    keyPem: root.keyPem,
    digest,
    externalCas,
    presentDigest: rootCa.digest,
  };
  if (digest === rootCa.digest) return { ...base, keyPem: keyToKeep(root, rootCa), crossSignedPem: new Uint8Array() };
  if (authorityKeyId(root.certificate) === authorityKeyId(rootCertificate(rootCa.certificatePem)))
    throw invalidField(
      ROOT_FLAGS.certificate,
      `${ROOT_FLAGS.certificate}: has the key of the present root, which a rotation is to replace`,
      'make the new root with a key of its own',
    );
  const crossSigned = await crossSigning(root, cluster, rootCa, external, nowMs);
  return { ...base, crossSignedPem: Buffer.from(certificatesPem([crossSigned])) };
}

interface ReadRoot {
  readonly certificate: Certificate;
  readonly certificatePem: Uint8Array;
  /** Empty where an authority outside has it. */
  readonly keyPem: Uint8Array;
}

function readWanted({ caCertPem, caKeyPem, externalCas }: WantedRoot, nowMs: number): ReadRoot {
  if (caCertPem.length === 0) {
    if (caKeyPem.length > 0)
      throw invalidField(ROOT_FLAGS.key, `${ROOT_FLAGS.key}: is a key without its certificate`, 'give --ca-cert, too');
    if (externalCas.length > 0)
      throw invalidField(
        'external-ca',
        'external-ca: rotating to an external authority needs its root certificate (--ca-cert)',
        'to have the present root signed for elsewhere, use `swarm update --external-ca`',
      );
    const made = createRootAuthority(nowMs);
    return readOf(made.certificate, Buffer.from(privateKeyPem(made.privateKey)));
  }
  if (caKeyPem.length > 0) {
    const { certificate, privateKey } = readOwnAuthority(caCertPem, caKeyPem, nowMs);
    return readOf(certificate, Buffer.from(privateKeyPem(privateKey)));
  }
  if (externalCas.length === 0)
    throw invalidField(
      ROOT_FLAGS.key,
      `${ROOT_FLAGS.key}: without it, or an external authority, nobody could sign for the new root`,
      'give --ca-key, or --external-ca for the authority that has the key',
    );
  return readOf(readOwnRoot(caCertPem, nowMs), new Uint8Array());
}

/** As it is kept: nothing but the certificate itself. */
function readOf(certificate: Certificate, keyPem: Uint8Array): ReadRoot {
  return { certificate, certificatePem: Buffer.from(certificatesPem([certificate])), keyPem };
}

/** A rotation back to the present root keeps the key that managers have of it. */
function keyToKeep({ keyPem }: ReadRoot, rootCa: RootCa): Uint8Array {
  return keyPem.length > 0 ? keyPem : rootCa.keyPem;
}

async function crossSigning(
  root: ReadRoot,
  cluster: Cluster,
  rootCa: RootCa,
  external: Issuing,
  nowMs: number,
): Promise<Certificate> {
  const present = rootCertificate(rootCa.certificatePem);
  if (rootCa.keyPem.length > 0) return crossSign(presentAuthority(rootCa), root.certificate, nowMs);
  const authorities = externalsFor(cluster.spec?.ca?.externalCas ?? [], rootCa, rootCa);
  if (root.keyPem.length === 0 || authorities.length === 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'no-certificate',
      field: ROOT_FLAGS.key,
      message:
        authorities.length === 0
          ? 'nobody can sign for the present root: managers have no key of it, and no external authority is named'
          : 'the root cannot go from one external authority to another one: the first has to sign for the key of the second',
      hint:
        authorities.length === 0
          ? 'name the authority that has the key: `swarm update --external-ca`, with the present root (`swarm ca`) as cacert'
          : 'rotate to a root of the swarm first (`swarm ca --rotate`), or give --ca-key as well',
    });
  const { privateKey } = readOwnAuthority(root.certificatePem, root.keyPem, nowMs);
  const csrPem = createRequestNamed(keyPairOf(privateKey), root.certificate.subjectDer);
  const pem = await external.crossSign(authorities, present, csrPem, (signed) => {
    checkCrossSigned(signed, root.certificate, present, nowMs);
  });
  return rootCertificate(Buffer.from(pem));
}

/** @throws SwarmError for what would not lead from a certificate of the new root to the present one */
function checkCrossSigned(signed: Certificate, root: Certificate, present: Certificate, nowMs: number): void {
  const problem = crossProblem(signed, root, present, nowMs);
  if (problem === undefined) return;
  throw new SwarmError({
    code: 'unavailable',
    reason: 'bad-certificate',
    message: `its certificate for the new root will not do: ${problem}`,
  });
}

function crossProblem(signed: Certificate, root: Certificate, present: Certificate, nowMs: number): string | undefined {
  if (!signed.publicKeyDer.equals(root.publicKeyDer)) return 'it is for another key';
  if (!signed.subjectDer.equals(root.subjectDer)) return "it has another name than the root's, byte by byte";
  if (!signed.isAuthority || signed.keyUsage?.certificateSign === false)
    return 'it is not one of an authority (is there a profile "CA"?)';
  if (signed.subjectKeyId !== authorityKeyId(root)) return 'it has another subject key identifier';
  if (signed.authorityKeyId !== authorityKeyId(present)) return 'it does not name the present root as its issuer';
  return verifyChain([signed], [present], nowMs)?.message;
}
