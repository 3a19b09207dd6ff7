import type { CertificateFacts } from './certificate.ts';

/** What a certificate says beside its names: from when to when it holds, which one it is, and who signed it. */
export interface Validity {
  /** As ms of the epoch, as is the end. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hexadecimal. */
  readonly serial: string;
  /** Subject key identifier of the root that signed it, hexadecimal: tells roots apart during a rotation. */
  readonly issuerKeyId: string;
}

export function validityOf({ notBeforeMs, notAfterMs, serial, authorityKeyId }: CertificateFacts): Validity {
  return { notBeforeMs, notAfterMs, serial, issuerKeyId: authorityKeyId ?? '' };
}
