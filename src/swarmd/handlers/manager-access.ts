import { writeAuthor } from '#common/author.ts';
import { SwarmError } from '#common/errors.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { CertificateAuthority } from '#manager/ca/index.ts';
import type { ControlApi } from '#manager/control/index.ts';
import type { Dispatcher } from '#manager/dispatcher/index.ts';
import type { LogBroker } from '#manager/logbroker/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { WatchSource } from '#manager/watch/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { refuseRevoked } from '../admit-client.ts';
import type { LeaderCalls } from '../leader-calls.ts';
import type { ManagerRole } from '../manager-role.ts';

/** The manager of this node, which comes and goes with its role while the servers stay. */
export type ManagerAccess = () => ManagerRole;

/** What the API needs of a manager. */
export interface ServingManager {
  readonly nodeId: string;
  readonly store: Pick<ReplicatedStore, 'view' | 'readBarrier' | 'viewAndWatch'>;
  readonly control: ControlApi;
  readonly authority: CertificateAuthority;
  /** Works on the leader only. */
  readonly dispatcher: Dispatcher;
  /** Works on the leader only, where the sessions of the agents are. */
  readonly logBroker: LogBroker;
  readonly watchSource: WatchSource;
  /** Brings calls to the leader. */
  readonly leaderCalls: LeaderCalls;
  /** Where agents may turn to. */
  managers(): readonly ManagerPeer[];
}

export type ServingAccess = () => ServingManager;

/** For the quorum to say how far it is: longer than an election takes. */
const BARRIER_TIMEOUT_MS = 5_000;

/**
 * From here on what is read at this manager includes everything that any manager had acknowledged before the call.
 * @throws SwarmError `no-quorum` when nobody leads; `client-revoked` for a client that this manager had not heard of
 */
export async function caughtUp(manager: ServingManager, context: CallContext): Promise<void> {
  await manager.store.readBarrier({ timeoutMs: Math.min(BARRIER_TIMEOUT_MS, patience(context, BARRIER_TIMEOUT_MS)) });
  refuseRevoked(manager.store.view(), context);
}

/** How long the caller goes on waiting. */
export function patience(context: CallContext, defaultMs: number): number {
  return context.deadlineMs === undefined ? defaultMs : Math.max(0, context.deadlineMs - Date.now());
}

export function notAManager(inSwarm: boolean): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-a-manager',
    message: inSwarm
      ? "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
      : 'This node is not a swarm manager. Use "swarm init" or "swarm join" to connect this node to swarm and try again.',
  });
}

export type AuthoredCall = Pick<CallContext, 'caller' | 'forwardedBy' | 'peer'>;

/** Knows the names of nodes and clients, and whose socket this manager's is. */
export interface AuthorSource {
  readonly nodeId: string;
  readonly store: Pick<ReplicatedStore, 'view'>;
}

/**
 * Who asks, for revisions, events and the log: one text (`common/author.ts`). A call that came through the socket of another
 * manager is by root of that one.
 */
export function authorOf({ caller, forwardedBy, peer }: AuthoredCall, manager: AuthorSource): string {
  const view = manager.store.view();
  const hostname = (nodeId: string): string => view.get('node', nodeId)?.description?.hostname ?? '';
  switch (caller.kind) {
    case 'local': {
      const id = forwardedBy?.nodeId ?? manager.nodeId;
      return writeAuthor({ kind: 'local', id, name: hostname(id), peer: '' });
    }
    case 'node':
      return writeAuthor({ kind: 'node', id: caller.nodeId, name: hostname(caller.nodeId), peer });
    case 'client':
      return writeAuthor({
        kind: 'client',
        id: caller.clientId,
        name: view.get('client', caller.clientId)?.name ?? '',
        peer,
      });
    case 'anonymous':
      return writeAuthor({ kind: 'token', id: '', name: '', peer });
  }
}
