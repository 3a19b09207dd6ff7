/** What a node shows and trusts, in Docker's shape and beyond. */
import type { StructData } from '#common/template/go-types.ts';
import type { NodeTls } from '#gen/swarm/v1/objects.ts';

/** The root of the cluster. */
export interface TrustRoot {
  /** Certificate; empty where the caller does not have it. */
  readonly pem: string;
  /** DER. */
  readonly subject: Uint8Array;
  readonly publicKey: Uint8Array;
}

export const NO_ROOT: TrustRoot = { pem: '', subject: new Uint8Array(), publicKey: new Uint8Array() };

/** Agents of older releases do not tell: then the root is all that is known. */
export function nodeTlsShape(tls: NodeTls | undefined, root: TrustRoot): StructData {
  return {
    TrustRoot: root.pem,
    CertIssuerSubject: root.subject,
    CertIssuerPublicKey: root.publicKey,
    NotBefore: tls?.notBeforeMs,
    NotAfter: tls?.notAfterMs,
    Serial: tls?.serial,
    IssuerKeyID: tls?.issuerKeyId,
    TrustedRoots: tls?.trustedRoots ?? [],
  };
}
