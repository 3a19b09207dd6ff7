/** Who calls a method, as far as the transport has proved it. */

export type NodeRoleName = 'manager' | 'worker';
export type ClientRoleName = 'admin' | 'operator' | 'viewer';

/** What a node's verified certificate says. */
export interface PeerIdentity {
  readonly nodeId: string;
  readonly role: NodeRoleName;
  readonly clusterId: string;
  /** Of the certificate, hexadecimal. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Subject key identifier of the root that signed the certificate, hexadecimal. */
  readonly issuerKeyId: string;
}

/** What the verified certificate of a client from outside of the swarm says. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly role: ClientRoleName;
  readonly clusterId: string;
  /** Of the certificate, hexadecimal. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Subject key identifier of the root that signed the certificate, hexadecimal. */
  readonly issuerKeyId: string;
}

export type Caller =
  /** Through the local socket, which only root can open. */
  | { readonly kind: 'local' }
  /** A node of this cluster. */
  | ({ readonly kind: 'node' } & PeerIdentity)
  /** A program or a person outside of the swarm. */
  | ({ readonly kind: 'client' } & ClientIdentity)
  /** Over TLS without a certificate that the cluster's root has signed. */
  | { readonly kind: 'anonymous' };

/** Whoever showed a certificate that the cluster's root has signed. */
export type CertifiedCaller = Extract<Caller, { readonly kind: 'node' | 'client' }>;

/** The kinds of callers that the authorization table speaks of. */
export type CallerClass = 'local' | 'anonymous' | NodeRoleName | ClientRoleName;

export function callerClass(caller: Caller): CallerClass {
  return caller.kind === 'node' || caller.kind === 'client' ? caller.role : caller.kind;
}

/** For logs and messages: `manager 0abc...`, `the local socket`. */
export function describeCaller(caller: Caller): string {
  if (caller.kind === 'node') return `${caller.role} ${caller.nodeId}`;
  if (caller.kind === 'client') return `client ${caller.clientId} of role ${caller.role}`;
  return caller.kind === 'local' ? 'the local socket' : 'a caller without a certificate';
}
