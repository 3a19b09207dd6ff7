/** The rules for authorities outside of the swarm, as somebody names them in the spec. */
import { certificateDigest } from '#certs/authority.ts';
import { readOwnRoot } from '#certs/own-root.ts';
import { invalidField } from '#common/errors.ts';
import { type ExternalCa, ExternalCaProtocol } from '#gen/swarm/v1/specs.ts';

const FIELD = 'external-ca';
const AUTHORITIES_MAX = 8;
const URL_MAX = 2048;
const OPTION_MAX = 256;
const OPTIONS: ReadonlySet<string> = new Set(['profile', 'label']);

/**
 * Checks them, and fills in the root that they sign for where it was left open, with `rootPem`.
 * @throws SwarmError for the first rule that is broken
 */
export function completeExternalCas(
  authorities: readonly ExternalCa[],
  rootPem: Uint8Array,
  nowMs: number,
): readonly ExternalCa[] {
  if (authorities.length > AUTHORITIES_MAX)
    throw invalidField(
      FIELD,
      `${FIELD}: ${authorities.length} are named, ${AUTHORITIES_MAX} at most may be`,
      'name fewer',
    );
  return authorities.map((authority) => {
    checkUrl(authority.url);
    if (authority.protocol !== ExternalCaProtocol.CFSSL)
      throw invalidField(FIELD, `${FIELD}: its protocol is none that is known`, 'use protocol=cfssl');
    for (const [name, value] of Object.entries(authority.options)) checkOption(name, value);
    if (authority.caCertPem.length === 0) return { ...authority, caCertPem: rootPem };
    readOwnRoot(authority.caCertPem, nowMs, { certificate: `${FIELD} cacert`, key: '' });
    return authority;
  });
}

/** @throws SwarmError when one of them signs for a root that is not `digest` */
export function checkSignsFor(authorities: readonly ExternalCa[], digest: string, nowMs: number): void {
  for (const { caCertPem } of authorities) {
    const root = readOwnRoot(caCertPem, nowMs, { certificate: `${FIELD} cacert`, key: '' });
    if (certificateDigest(root) !== digest)
      throw invalidField(
        FIELD,
        `${FIELD}: cacert is another root than the one that this swarm has, or is getting`,
        'bring its root in: `swarm ca --rotate --ca-cert FILE --external-ca ...`',
      );
  }
}

function checkUrl(text: string): void {
  const url = text.length <= URL_MAX && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:')
    throw invalidField(FIELD, `${FIELD}: url must be an https:// address`, 'give url=https://HOST:PORT/PATH');
  if (url.username !== '' || url.password !== '')
    throw invalidField(
      FIELD,
      `${FIELD}: url holds a user name or a password`,
      'leave them out: managers show their certificates',
    );
}

function checkOption(name: string, value: string): void {
  if (!OPTIONS.has(name))
    throw invalidField(FIELD, `${FIELD}: there is no option ${name.slice(0, OPTION_MAX)}`, 'use profile or label');
  if (value.length > OPTION_MAX)
    throw invalidField(FIELD, `${FIELD}: ${name} is longer than ${OPTION_MAX} characters`, 'shorten it');
}
