/** Which roots count at a time: one, or two while the one takes the place of the other. */
import { authorityKeyId } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { SwarmError } from '#common/errors.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';

/** A root that signs now, as the store has it. */
export interface IssuingRoot {
  readonly certificatePem: Uint8Array;
  /** Empty where an authority outside of the swarm has it. */
  readonly keyPem: Uint8Array;
  /** Goes along with what it signs; empty where nobody needs it. */
  readonly crossSignedPem: Uint8Array;
  /** sha256 of its DER, hexadecimal. */
  readonly digest: string;
}

const NOTHING = new Uint8Array();

/** From the beginning of a rotation on, the new root signs. */
export function issuingRoot(rootCa: RootCa): IssuingRoot {
  const { rotation } = rootCa;
  return rotation ?? { ...rootCa, crossSignedPem: NOTHING };
}

/**
 * What nodes, and clients from outside, are to trust; PEM. The present root is the first: join tokens name it. Roots that
 * a rotation led to which was replaced are not among them: what they signed leads to the present root.
 */
export function trustedRootsPem({ certificatePem, digest, rotation }: RootCa): string {
  const present = textOf(certificatePem);
  return rotation === undefined || rotation.digest === digest ? present : present + textOf(rotation.certificatePem);
}

/** Whether the root with this subject key identifier was replaced: what it has signed counts no more, nowhere. */
export function isRetiredIssuer(cluster: Cluster | undefined, issuerKeyId: string): boolean {
  return cluster?.rootCa?.retiredKeyIds.includes(issuerKeyId) === true;
}

const WAYS_OUT = {
  node: 'a node that was left behind has to leave and join again (`swarm leave --force` on it, then `swarm join` with a new token)',
  client:
    'a client needs a new certificate: `swarm client renew NAME --output -` on a manager, then `swarm context import --force CONTEXT -` here',
} as const;

/** The answer to whoever shows a certificate of a root that was replaced. */
export function retiredIssuerError(kind: keyof typeof WAYS_OUT, who: string): SwarmError {
  return new SwarmError({
    code: 'unauthenticated',
    reason: 'wrong-cluster',
    message: `the certificate of ${who} was signed by a root of this swarm that has been replaced since`,
    hint: WAYS_OUT[kind],
  });
}

const keyIds = new WeakMap<Uint8Array, string>();

/** Subject key identifier of the root in this PEM text, hexadecimal. Asked often, for few texts. */
export function rootKeyId(certificatePem: Uint8Array): string {
  const known = keyIds.get(certificatePem);
  if (known !== undefined) return known;
  const [root] = parseCertificates(certificatePem, 'root certificate');
  if (root === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: 'the cluster has no root certificate',
    });
  const keyId = authorityKeyId(root);
  keyIds.set(certificatePem, keyId);
  return keyId;
}

function textOf(pem: Uint8Array): string {
  const text = Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength).toString('latin1');
  return text.endsWith('\n') ? text : `${text}\n`;
}
