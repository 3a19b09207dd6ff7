import { SwarmError } from '#common/errors.ts';

/** How many of that many voters must agree. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

export interface QuorumView {
  readonly voters: number;
  /** This member included, if it is a voter. */
  readonly reachable: number;
  /** Addresses of the voters that cannot be reached. */
  readonly missing: readonly string[];
}

/** What the user of a swarm without a leader has to know: how many managers are missing, which, and what to do. */
export function quorumProblem({ voters, reachable, missing }: QuorumView): SwarmError {
  const needed = quorumOf(voters) - reachable;
  if (needed <= 0)
    return problem(
      `The swarm does not have a leader at the moment: ${reachable} of ${voters} managers can be reached from here and elect one`,
      'try again in a few seconds; when this lasts, the others may not reach this one (`swarm node ls` on them): if its ' +
        'address has changed, start swarmd with --advertise-addr; else look at the logs of swarmd on the managers',
    );
  return problem(
    `The swarm does not have a leader: ${missing.length} of ${voters} managers cannot be reached from here (${missing.join(', ')}), and ${needed} more ${needed === 1 ? 'is' : 'are'} needed`,
    `bring back at least ${needed} of these managers or their network; as a last resort, when they are lost for good, run ` +
      '`swarm init --force-new-cluster` on one manager that is left',
  );
}

/** What a change of members would do to the quorum. */
export function wouldBreakQuorum(address: string, staying: number, reachable: number): SwarmError {
  return problem(
    `removing the manager ${address} would break the quorum: of the ${staying} managers that stay only ${reachable} can be reached, and ${quorumOf(staying)} are needed`,
    'bring the other managers back first, or remove those that are lost first',
  );
}

function problem(message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'unavailable', reason: 'no-quorum', message, hint });
}
