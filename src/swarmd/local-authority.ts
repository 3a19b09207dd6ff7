/** The way from this node to its own manager's CA service: what a manager that is alone renews its certificate by. */
import type { CaConnection } from '#agent/identity/index.ts';
import type { CertifiedIdentity } from '#certs/identity.ts';
import type { Clock } from '#common/clock.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { caHandlers } from './handlers/ca-handlers.ts';
import type { ServingAccess } from './handlers/manager-access.ts';

/** As if the node had come over TLS with its certificate. Every method rejects when the manager does not serve. */
export function localAuthority(
  manager: ServingAccess,
  identity: CertifiedIdentity,
  clock: Clock,
  signal: AbortSignal | undefined,
): CaConnection {
  const handlers = caHandlers(manager);
  const context = (method: string, timeoutMs: number): CallContext => ({
    caller: { kind: 'node', ...identity },
    forwardedBy: undefined,
    path: `/swarm.v1.CertificateAuthorityService/${method}`,
    peer: '',
    deadlineMs: clock.now() + timeoutMs,
    signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]),
  });
  return {
    getRootCertificate: async (timeoutMs) => handlers.getRootCertificate({}, context('GetRootCertificate', timeoutMs)),
    issueNodeCertificate: async (request, timeoutMs) =>
      handlers.issueNodeCertificate(request, context('IssueNodeCertificate', timeoutMs)),
    getNodeCertificateStatus: async (nodeId, timeoutMs) =>
      handlers.getNodeCertificateStatus({ nodeId }, context('GetNodeCertificateStatus', timeoutMs)),
    close: () => {},
  };
}
