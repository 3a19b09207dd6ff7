/** What becomes of the authorities outside of the swarm when somebody changes the spec of the cluster. */
import { invalidField } from '#common/errors.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { ClusterSpec, ExternalCa } from '#gen/swarm/v1/specs.ts';
import { externalsFor } from '../signer.ts';
import { issuingRoot } from '../trusted-roots.ts';
import { checkSignsFor, completeExternalCas } from './check-external.ts';

/**
 * The spec with the root filled in for authorities that name none. Those that were there before are not looked at again.
 * During a rotation there may be some for either root: the present one has to sign for the next root, should another
 * rotation take the place of this one.
 * @throws SwarmError for an authority that breaks a rule, and when nobody would sign
 */
export function settleExternalCas({ spec: before, rootCa }: Cluster, spec: ClusterSpec, nowMs: number): ClusterSpec {
  const wanted = spec.ca?.externalCas ?? [];
  const present = before?.ca?.externalCas ?? [];
  if (rootCa === undefined || spec.ca === undefined || sameAuthorities(wanted, present)) return spec;
  const root = issuingRoot(rootCa);
  const externalCas = completeExternalCas(wanted, root.certificatePem, nowMs);
  const ofPresent = rootCa.rotation === undefined ? [] : externalsFor(externalCas, rootCa, rootCa);
  checkSignsFor(
    externalCas.filter((authority) => !ofPresent.includes(authority)),
    root.digest,
    nowMs,
  );
  if (root.keyPem.length === 0 && externalsFor(externalCas, root, rootCa).length === 0)
    throw invalidField(
      'external-ca',
      'external-ca: nobody would sign for nodes: managers have no key of the root',
      'rotate to a root of the swarm instead: `swarm ca --rotate`',
    );
  return { ...spec, ca: { ...spec.ca, externalCas: [...externalCas] } };
}

/**
 * The authorities from the beginning of a rotation to its end: those of the root that it leads to, and, beside them, those
 * of the present one.
 */
export function externalsOfRotation(
  { spec, rootCa }: Pick<Cluster, 'spec' | 'rootCa'>,
  next: { readonly digest: string; readonly externalCas: readonly ExternalCa[] },
): readonly ExternalCa[] {
  if (rootCa === undefined || next.digest === rootCa.digest) return next.externalCas;
  return [...externalsFor(spec?.ca?.externalCas ?? [], rootCa, rootCa), ...next.externalCas];
}

function sameAuthorities(one: readonly ExternalCa[], other: readonly ExternalCa[]): boolean {
  return one.length === other.length && one.every((authority, index) => keyOf(authority) === keyOf(other[index]));
}

function keyOf(authority: ExternalCa | undefined): string {
  if (authority === undefined) return '';
  const { protocol, url, caCertPem, options } = authority;
  const settings = Object.keys(options)
    .toSorted()
    .map((name) => [name, options[name]]);
  return JSON.stringify([protocol, url, Buffer.from(caCertPem).toString('base64'), settings]);
}
