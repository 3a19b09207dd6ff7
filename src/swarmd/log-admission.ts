/** The leader's side of joining and leaving the log. */
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort, type HostPort, parseHostPort } from '#common/host-port.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import { type JoinLogRequest, JoinLogResponse, type LeaveLogResponse, RaftMember } from '#gen/swarm/v1/raft.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { checkRoleChange } from '#manager/control/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { CLUSTER_PORT } from './addresses.ts';
import type { ManagerRole } from './manager-role.ts';

/** For a manager that joins to answer the leader's question whether it is there. Swarm's. */
const DIAL_BACK_TIMEOUT_MS = 5_000;
/** One change of members, with a change of leader in between; see RolesConfig.stepTimeoutMs. */
const CHANGE_TIMEOUT_MS = 5_000;

/**
 * Makes the calling manager a learner of the log. `peer` is the host:port that its request comes from.
 * @throws SwarmError `wrong-role`, `feature-level`, `bad-field` for the address, `connection-failed` when nobody answers
 *   there, `wiped-member`, and what the log rejects with
 */
export async function admitToLog(
  role: ManagerRole,
  nodeId: string,
  request: JoinLogRequest,
  peer: string,
): Promise<JoinLogResponse> {
  checkRole(role, nodeId);
  checkFeatureLevel(role, request.featureLevel);
  const address = formatHostPort(reachableAddress(request.address, peer));
  await dialBack(role, nodeId, address);
  // The dial took a while.
  checkRole(role, nodeId);
  const { featureLevel } = request;
  const member = await role.admit({ nodeId, address, featureLevel }, { timeoutMs: CHANGE_TIMEOUT_MS });
  return JoinLogResponse.create({ raftId: member.raftId, members: membersWith(role, member) });
}

/**
 * Demotes the calling manager, which is about to leave the swarm; resolves when it is a worker and no member any more.
 * @param author who that is, for the record (`common/author.ts`)
 * @throws SwarmError `no-quorum` when those that stay would be none, `in-use` when nobody is to stay, `not-leader` when it is this manager
 */
export async function releaseFromLog(role: ManagerRole, nodeId: string, author: string): Promise<LeaveLogResponse> {
  const members = role.log.members();
  const leaving = members.find((member) => member.nodeId === nodeId);
  if (leaving?.self === true) {
    await role.handOver();
    throw new SwarmError({
      code: 'unavailable',
      reason: 'not-leader',
      message: 'this manager leads itself, and hands over first',
      hint: 'ask another manager',
    });
  }
  const released = whenWorker(role, nodeId);
  try {
    await role.store.update(
      (transaction) => {
        const node = transaction.view.get('node', nodeId);
        if (node?.spec === undefined || node.spec.desiredRole === NodeRole.WORKER) return;
        // As for any demotion: others that are on their way out are not counted on.
        checkRoleChange(transaction.view, node, NodeRole.WORKER, role.log.members());
        transaction.update('node', { ...node, spec: { ...node.spec, desiredRole: NodeRole.WORKER } });
      },
      { author },
    );
    await withDeadline(released.promise, CHANGE_TIMEOUT_MS, `manager ${nodeId} to be taken out of the log`);
  } finally {
    released.stop();
  }
  return {};
}

/** Resolves when the node is a worker, or none; that comes last in a demotion. */
function whenWorker(role: ManagerRole, nodeId: string): { readonly promise: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    const node = role.store.view().get('node', nodeId);
    if (node === undefined || node.role === NodeRole.WORKER) resolve();
  };
  const stop = role.store.onCommit((commit) => {
    if (commit.events.some((event) => event.table === 'node' && event.object.id === nodeId)) look();
  });
  look();
  return { promise, stop };
}

function checkRole(role: ManagerRole, nodeId: string): void {
  const node = role.store.view().get('node', nodeId);
  const isManager = node?.role === NodeRole.MANAGER && node.spec?.desiredRole === NodeRole.MANAGER;
  if (isManager) return;
  throw new SwarmError({
    code: 'denied',
    reason: node === undefined ? 'node-removed' : 'wrong-role',
    message:
      node === undefined
        ? `node ${nodeId} is not part of the swarm any more`
        : `node ${nodeId} is a worker, or is to become one, and cannot join the log`,
    hint: node === undefined ? 'let it leave and join again with a token' : 'promote it first: `swarm node promote`',
  });
}

function checkFeatureLevel(role: ManagerRole, featureLevel: number): void {
  const needed = role.store.view().cluster()?.featureLevel ?? 0;
  if (featureLevel >= needed) return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the swarm is at feature level ${needed}, and the release of the joining manager understands ${featureLevel}`,
    hint: 'install the release of the other managers on it (`swarm node ls` shows theirs), or join as a worker',
  });
}

/** The address as others reach it: a host that means "all of mine" is the one that the request comes from. */
export function reachableAddress(address: string, peer: string): HostPort {
  const given = parseHostPort(address.startsWith(':') ? `0.0.0.0${address}` : address, CLUSTER_PORT);
  if (given === undefined)
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'address',
      message: `${JSON.stringify(address.slice(0, 260))} is not an address that others could reach`,
      hint: 'join with --advertise-addr HOST:PORT',
    });
  if (given.host !== '0.0.0.0' && given.host !== '::') return given;
  const seen = parseHostPort(peer, CLUSTER_PORT);
  if (seen === undefined)
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'address',
      message: `the joining manager listens on all its addresses, and which of them others reach is not known`,
      hint: 'join with --advertise-addr HOST:PORT',
    });
  return { host: seen.host.replace(/^::ffff:/, ''), port: given.port };
}

/** A member that nobody reaches would only cost the others their quorum. */
async function dialBack(role: ManagerRole, nodeId: string, address: string): Promise<void> {
  const { identity } = role;
  const transport = new GrpcTransport({
    target: { kind: 'address', name: address },
    credentials: new NodeChannelCredentials({
      kind: 'member',
      identity: identity.tls,
      expect: { role: 'manager', clusterId: identity.clusterId, nodeId },
    }),
  });
  try {
    const { state, message } = await createClient(HealthService, transport).check(
      { service: '' },
      { timeoutMs: DIAL_BACK_TIMEOUT_MS },
    );
    if (state !== ServingState.SERVING) throw new Error(message);
  } catch (thrown) {
    const cause = SwarmError.from(thrown);
    throw new SwarmError({
      code: 'precondition',
      reason: 'connection-failed',
      message: `the leader cannot reach the joining manager at ${address}: ${cause.message}`,
      hint: 'open that port there, or name another address of it with --advertise-addr HOST:PORT',
      cause,
    });
  } finally {
    transport.close();
  }
}

function membersWith(role: ManagerRole, added: RaftMember): readonly RaftMember[] {
  const others = role.log.members().filter(({ raftId }) => raftId !== added.raftId);
  return [...others, added].map(({ raftId, nodeId, address, featureLevel }) =>
    RaftMember.create({ raftId, nodeId, address, featureLevel }),
  );
}
