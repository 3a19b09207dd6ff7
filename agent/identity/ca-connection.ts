/** The joiner's side of the CA service. */
import { type ClientTrust, NodeChannelCredentials } from '#certs/tls.ts';
import {
  CertificateAuthorityService,
  type GetNodeCertificateStatusResponse,
  type GetRootCertificateResponse,
  type IssueNodeCertificateRequest,
  type IssueNodeCertificateResponse,
} from '#gen/swarm/v1/ca.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';

/** One connection to one manager. Every method rejects with a SwarmError: the manager's own, or the connection's. */
export interface CaConnection {
  getRootCertificate(timeoutMs: number): Promise<GetRootCertificateResponse>;
  issueNodeCertificate(request: IssueNodeCertificateRequest, timeoutMs: number): Promise<IssueNodeCertificateResponse>;
  getNodeCertificateStatus(nodeId: string, timeoutMs: number): Promise<GetNodeCertificateStatusResponse>;
  close(): void;
}

/** Connects on first use. `address` is host:port; the signal, where there is one, ends calls that are under way. */
export type DialCa = (address: string, trust: ClientTrust, signal?: AbortSignal) => CaConnection;

export const dialCa: DialCa = (address, trust, signal) => {
  const credentials = new NodeChannelCredentials(trust);
  const transport = new GrpcTransport({ target: { kind: 'address', name: address }, credentials });
  const client = createClient(CertificateAuthorityService, transport);
  return {
    getRootCertificate: (timeoutMs) => client.getRootCertificate({}, { timeoutMs, signal }),
    issueNodeCertificate: (request, timeoutMs) => client.issueNodeCertificate(request, { timeoutMs, signal }),
    getNodeCertificateStatus: (nodeId, timeoutMs) => client.getNodeCertificateStatus({ nodeId }, { timeoutMs, signal }),
    close: () => transport.close(),
  };
};
