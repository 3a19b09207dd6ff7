import type { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { ManagerAccess } from './manager-access.ts';

/** Left of the caller's patience for the answer to travel. */
const ANSWER_MARGIN_MS = 500;
const DEFAULT_WAIT_MS = 10_000;

export function caHandlers(manager: ManagerAccess): Handlers<typeof CertificateAuthorityService> {
  return {
    getRootCertificate: async () => Promise.resolve(manager().authority.getRootCertificate()),
    issueNodeCertificate: (request, context) =>
      manager().authority.issueNodeCertificate(request, {
        identity: context.caller.kind === 'node' ? context.caller : undefined,
        address: context.peer.replace(/:\d+$/, ''),
      }),
    getNodeCertificateStatus: (request, context) =>
      manager().authority.getNodeCertificateStatus(request, patience(context)),
  };
}

function patience(context: CallContext): number {
  if (context.deadlineMs === undefined) return DEFAULT_WAIT_MS;
  return Math.max(0, context.deadlineMs - Date.now() - ANSWER_MARGIN_MS);
}
