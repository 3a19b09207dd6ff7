/** When a certificate is to be renewed. */
import { createHash } from 'node:crypto';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import type { CertifiedIdentity } from '#certs/identity.ts';
import type { RenewalConfig } from './config.ts';

export type Lifetime = Pick<CertifiedIdentity, 'notBeforeMs' | 'notAfterMs' | 'serial'>;

/**
 * A point between `earliest` and `latest` of the time from issue to end. It is drawn from the certificate's serial, which
 * is random: nodes that joined together renew apart from each other, and a daemon that starts again finds the same
 * point, so that a thousand restarted nodes do not all draw anew and find that they are late.
 *
 * A certificate says when it begins, which is an hour before it was issued; one that was issued elsewhere may have begun
 * when it was issued. `seenMs`, when this node first saw it, is never earlier than its issue.
 */
export function renewalTime(certificate: Lifetime, seenMs: number, config: RenewalConfig): number {
  const { notBeforeMs, notAfterMs } = certificate;
  const datedBackMs = notBeforeMs + CERTIFICATE_CONFIG.backdateMs;
  // A clock that was wrong may have seen it after its end, or before its beginning.
  const issuedMs = Math.max(notBeforeMs, Math.min(datedBackMs, seenMs, notAfterMs));
  const share = config.earliest + (config.latest - config.earliest) * drawn(certificate.serial);
  return issuedMs + share * (notAfterMs - issuedMs);
}

/** Uniform in [0, 1), always the same for the serial. */
function drawn(serial: string): number {
  return createHash('sha256').update(serial).digest().readUInt32BE(0) / 2 ** 32;
}
