/** This node's own calls about its place in the log and in the swarm, to any manager that it knows. */
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { type JoinLogResponse, MembershipService } from '#gen/swarm/v1/raft.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { NodeIdentity } from './node-identity.ts';

export interface MembershipCall {
  readonly identity: NodeIdentity;
  /** host:port of managers, tried in this order. */
  readonly managers: readonly string[];
  readonly logger: Logger;
  /** Gives up when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** The leader dials back for 5 s at most and adds the member in one commit; the rest is for finding the leader. */
const JOIN_TIMEOUT_MS = 15_000;
/** Leaving waits for a change of members; who leaves with force does not wait longer than this for each manager. */
const LEAVE_TIMEOUT_MS = 8_000;

/** Refusals that no other manager would take back. */
const FINAL: ReadonlySet<string> = new Set(['wiped-member', 'feature-level', 'node-removed']);

/** Asks to be a member of the log, reachable at the address. @throws SwarmError of the manager that said most */
export function joinLog(call: MembershipCall, address: string, featureLevel: number): Promise<JoinLogResponse> {
  return askManagers(call, 'join the log', (client) =>
    client.joinLog({ address, featureLevel }, { timeoutMs: JOIN_TIMEOUT_MS, signal: call.signal }),
  );
}

/** Asks to be demoted before this node leaves the swarm. */
export async function leaveLog(call: MembershipCall): Promise<void> {
  await askManagers(call, 'leave the log', (client) =>
    client.leaveLog({}, { timeoutMs: LEAVE_TIMEOUT_MS, signal: call.signal }),
  );
}

/**
 * Tells the leader that this node leaves the swarm, having ended its tasks. That it is no part of it (any more) is what it
 * wants to hear.
 */
export async function leaveCluster(call: MembershipCall, reason: string): Promise<void> {
  try {
    await askManagers(call, 'leave the swarm', (client) =>
      client.leaveCluster({ reason }, { timeoutMs: LEAVE_TIMEOUT_MS, signal: call.signal }),
    );
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    if (error.reason !== 'node-removed') throw error;
  }
}

type MembershipClient = ReturnType<typeof membershipClient>;

function membershipClient(transport: GrpcTransport) {
  return createClient(MembershipService, transport);
}

async function askManagers<T>(
  { identity, managers, logger, signal }: MembershipCall,
  what: string,
  ask: (client: MembershipClient) => Promise<T>,
): Promise<T> {
  const failures: SwarmError[] = [];
  for (const address of managers) {
    const transport = new GrpcTransport({
      target: { kind: 'address', name: address },
      credentials: new NodeChannelCredentials({
        kind: 'member',
        identity: identity.tls,
        expect: { role: 'manager', clusterId: identity.clusterId },
      }),
    });
    try {
      return await ask(membershipClient(transport));
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (FINAL.has(error.reason) || signal?.aborted === true) throw error;
      failures.push(error);
      logger.info(`cannot ${what} through this manager`, { manager: address, error: error.message });
    } finally {
      transport.close();
    }
  }
  throw mostTelling(failures, what);
}

/** An answer of a manager says more than that another one could not be reached. */
function mostTelling(failures: readonly SwarmError[], what: string): SwarmError {
  const answer = failures.find((failure) => failure.code !== 'unavailable' && failure.code !== 'deadline');
  return (
    answer ??
    failures[0] ??
    new SwarmError({
      code: 'unavailable',
      reason: 'connection-failed',
      message: `this node knows no other manager to ${what} through`,
      hint: 'when no manager is left: `swarm leave --force`, then init or join again',
    })
  );
}
