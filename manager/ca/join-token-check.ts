/** What a join token gives its bearer. */
import type { NodeRoleName } from '#certs/identity.ts';
import { parseJoinToken, secretsEqual } from '#certs/join-token.ts';
import { SwarmError } from '#common/errors.ts';
import type { RootCa } from '#gen/swarm/v1/objects.ts';

/** The role that the token stands for. Throws `bad-token` or `wrong-cluster`. */
export function roleOfToken(rootCa: RootCa, token: string): NodeRoleName {
  const parsed = parseJoinToken(token);
  if (parsed.rootDigest !== rootCa.digest)
    throw new SwarmError({
      code: 'unauthenticated',
      reason: 'wrong-cluster',
      field: '--token',
      message: 'the join token belongs to another cluster',
      hint: 'take the token from `swarm join-token worker` (or `manager`) on a manager of the cluster at this address',
    });
  // Both comparisons are always made: the time tells nothing about which token was near.
  const worker = secretsEqual(token, rootCa.joinTokens?.worker ?? '');
  const manager = secretsEqual(token, rootCa.joinTokens?.manager ?? '');
  if (manager) return 'manager';
  if (worker) return 'worker';
  throw new SwarmError({
    code: 'unauthenticated',
    reason: 'bad-token',
    field: '--token',
    message: 'the join token is not valid: it may have been rotated',
    hint: 'take the current one from `swarm join-token worker` (or `manager`) on a manager',
  });
}
