/** Which roots a node trusts, when a manager says that others are to be trusted. */
import { certificateDigest } from '#certs/authority.ts';
import { type Certificate, certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';

/**
 * The set as it is kept, PEM. A node that trusted it would still know its own certificate: one of another set would be
 * refused by everybody who trusts that one, and it would refuse them.
 * @throws SwarmError `bad-certificate` or `wrong-cluster` why the set is not taken
 */
export function acceptRoots(
  offered: Uint8Array | string,
  ownChain: readonly Certificate[],
  nowMs: number,
): { readonly pem: string; readonly roots: readonly Certificate[] } {
  const roots = parseCertificates(offered, 'trusted roots');
  const leaf = roots.find((root) => !root.isAuthority);
  if (roots.length === 0 || leaf !== undefined)
    throw new SwarmError({
      code: 'conflict',
      reason: 'bad-certificate',
      message: `the manager named ${roots.length === 0 ? 'no root' : 'a certificate that is no authority'} as trusted; the roots stay as they are`,
    });
  const problem = verifyChain(ownChain, roots, nowMs);
  if (problem !== undefined)
    throw new SwarmError({
      code: 'conflict',
      reason: problem.reason,
      message: `the roots that the manager named do not vouch for this node's own certificate; the roots stay as they are: ${problem.message}`,
      cause: problem,
    });
  return { pem: certificatesPem(roots), roots };
}

/** Whether both name the same roots, in whatever order. */
export function sameRoots(one: readonly Certificate[], other: readonly Certificate[]): boolean {
  const digests = (roots: readonly Certificate[]): string => [...new Set(roots.map(certificateDigest))].sort().join();
  return digests(one) === digests(other);
}
