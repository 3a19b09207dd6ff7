/** The joiner's side of the CA service. */
import { Client, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { type ClientTrust, NODE_CHANNEL_OPTIONS, NodeChannelCredentials } from '#certs/tls.ts';
import {
  CertificateAuthorityService,
  GetNodeCertificateStatusRequest,
  type GetNodeCertificateStatusResponse,
  GetRootCertificateRequest,
  type GetRootCertificateResponse,
  type IssueNodeCertificateRequest,
  type IssueNodeCertificateResponse,
} from '#gen/swarm/v1/ca.ts';
import type { MessageOf, MethodDefinition } from '#proto/codec.ts';
import { fromGrpcError, GRPC_ERROR_KEY } from '#proto/grpc-error.ts';

/** One connection to one manager. Every method throws the SwarmError that the manager sent, or `connection-failed`. */
export interface CaConnection {
  getRootCertificate(timeoutMs: number): Promise<GetRootCertificateResponse>;
  issueNodeCertificate(request: IssueNodeCertificateRequest, timeoutMs: number): Promise<IssueNodeCertificateResponse>;
  getNodeCertificateStatus(nodeId: string, timeoutMs: number): Promise<GetNodeCertificateStatusResponse>;
  close(): void;
}

/** Connects on first use. `address` is host:port. */
export type DialCa = (address: string, trust: ClientTrust) => CaConnection;

export const dialCa: DialCa = (address, trust) => {
  const client = new Client(address, new NodeChannelCredentials(trust), NODE_CHANNEL_OPTIONS);
  const methods = CertificateAuthorityService;
  return {
    getRootCertificate: (timeoutMs) =>
      call(client, address, methods.getRootCertificate, GetRootCertificateRequest.create(), timeoutMs),
    issueNodeCertificate: (request, timeoutMs) =>
      call(client, address, methods.issueNodeCertificate, request, timeoutMs),
    getNodeCertificateStatus: (nodeId, timeoutMs) => {
      const request = GetNodeCertificateStatusRequest.create({ nodeId });
      return call(client, address, methods.getNodeCertificateStatus, request, timeoutMs);
    },
    close: () => client.close(),
  };
};

function call<M extends MethodDefinition>(
  client: Client,
  address: string,
  method: M,
  request: MessageOf<M['request']>,
  timeoutMs: number,
): Promise<MessageOf<M['response']>> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      (message: MessageOf<M['request']>) => Buffer.from(method.request.encode(message)),
      (bytes: Buffer) => method.response.decode(bytes) as MessageOf<M['response']>,
      request,
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        if (error !== null) reject(callError(error, address));
        else if (response === undefined) reject(new Error(`${method.path}: no answer`));
        else resolve(response);
      },
    );
  });
}

function callError(error: ServiceError, address: string): Error {
  const extra = extraOf(error.metadata);
  const details = extra === undefined ? `${address}: ${error.details}` : error.details;
  return fromGrpcError({ code: error.code, details, extra }, error);
}

function extraOf(metadata: Metadata | undefined): Buffer | undefined {
  const [value] = metadata?.get(GRPC_ERROR_KEY) ?? [];
  return Buffer.isBuffer(value) ? value : undefined;
}
