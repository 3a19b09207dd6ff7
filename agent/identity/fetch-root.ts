import { certificateDigest } from '#certs/authority.ts';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import type { JoinToken } from '#certs/join-token.ts';
import { secretsEqual } from '#certs/join-token.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { DialCa } from './ca-connection.ts';

export interface FetchedRoot {
  /** The root certificate whose digest is in the token. */
  readonly certificate: Certificate;
  /** How far this host's clock is ahead of the manager's; negative when it is behind. Right to the round trip. */
  readonly clockSkewMs: number;
  readonly featureLevel: number;
}

/**
 * Asks whoever is at the address for its root certificate and compares it with the token. Nobody is trusted before:
 * that this answer is right is exactly what the digest shows. Throws `wrong-cluster` when it is not.
 */
export async function fetchRoot(
  address: string,
  token: JoinToken,
  seams: { readonly dial: DialCa; readonly clock: Clock },
  timeoutMs: number,
): Promise<FetchedRoot> {
  const connection = seams.dial(address, { kind: 'unverified' });
  try {
    const askedMs = seams.clock.now();
    const answer = await connection.getRootCertificate(timeoutMs);
    const answeredMs = seams.clock.now();
    const roots = parseCertificates(answer.certificatePem, `the root certificate of ${address}`);
    const certificate = roots.find((root) => secretsEqual(certificateDigest(root), token.rootDigest));
    if (certificate === undefined) throw wrongCluster(address);
    return {
      certificate,
      clockSkewMs: answer.timeMs === 0 ? 0 : (askedMs + answeredMs) / 2 - answer.timeMs,
      featureLevel: answer.featureLevel,
    };
  } finally {
    connection.close();
  }
}

function wrongCluster(address: string): SwarmError {
  return new SwarmError({
    code: 'unauthenticated',
    reason: 'wrong-cluster',
    field: '--token',
    message: `the root certificate of the manager at ${address} is not the one that the join token names; nothing was sent to it`,
    hint: 'the token is of another cluster, or somebody stands between: compare address and token with `swarm join-token` on the manager',
  });
}
