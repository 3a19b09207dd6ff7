import { SwarmError } from '#common/errors.ts';
import type { RaftService } from '#gen/swarm/v1/raft.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { GrpcPeerTransport } from './grpc-peer-transport.ts';

/**
 * Serves the streams of other managers. Which member a caller may speak for is decided by the handler of the transport,
 * which also knows whom the log has removed: a server must let in every manager of the cluster to these methods, also
 * one that its own state does not know (yet).
 */
export function raftHandlers(transport: GrpcPeerTransport): Handlers<typeof RaftService> {
  return {
    exchange: (requests, context, responses) => transport.serveExchange(requests, responses, callerNode(context)),
    sendSnapshot: (requests, context) => transport.serveSnapshot(requests, callerNode(context)),
  };
}

function callerNode(context: CallContext): string {
  if (context.caller.kind === 'node') return context.caller.nodeId;
  throw new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message: 'the log is exchanged between managers, which show their certificates',
  });
}
