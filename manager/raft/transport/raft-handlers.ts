import { SwarmError } from '#common/errors.ts';
import type { RaftService } from '#gen/swarm/v1/raft.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { PeerIdentity } from '#proto/grpc/caller.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { GrpcPeerTransport } from './grpc-peer-transport.ts';

/**
 * Serves the streams of other managers. Which member a caller may speak for is decided by the handler of the transport,
 * which also knows whom the log has removed: a server must let in every manager of the cluster to these methods, also
 * one that its own state does not know (yet).
 *
 * `strangerProblem` says why a node may not speak for a member that the log does not name: whoever is removed or demoted
 * keeps a manager's certificate, and must not come back under an id that nobody has heard of.
 */
export function raftHandlers(
  transport: GrpcPeerTransport,
  strangerProblem: (caller: PeerIdentity) => SwarmError | undefined = () => undefined,
): Handlers<typeof RaftService> {
  return {
    exchange(requests, context, responses) {
      const caller = callerNode(context);
      return transport.serveExchange(requests, responses, caller.nodeId, () => strangerProblem(caller));
    },
    sendSnapshot: (requests, context) => transport.serveSnapshot(requests, callerNode(context).nodeId),
  };
}

function callerNode(context: CallContext): PeerIdentity {
  if (context.caller.kind === 'node') return context.caller;
  throw new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message: 'the log is exchanged between managers, which show their certificates',
  });
}
