import { invalidField } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';

/** @throws SwarmError `invalid`, naming the field. Undefined means that nothing was asked for */
export function checkCertificateLifetime(field: string, lifetimeMs: number | undefined): void {
  if (lifetimeMs === undefined) return;
  if (!Number.isSafeInteger(lifetimeMs) || lifetimeMs < LIMITS.MIN_CERT_EXPIRY_MS)
    throw invalidField(field, `${field}: ${lifetimeMs / 1000}s is too short`, 'use 1h or more');
}

/**
 * No certificate outlives the one that signed it. Who has asked for so long a time is told, rather than given less.
 * @throws SwarmError `invalid`, naming the field and the end of the root
 */
export function checkRootOutlives(field: string, lifetimeMs: number, nowMs: number, rootNotAfterMs: number): void {
  if (nowMs + lifetimeMs <= rootNotAfterMs) return;
  throw invalidField(
    field,
    `${field}: ${lifetimeMs / 1000}s is longer than the root of the swarm holds, which ends at ${new Date(rootNotAfterMs).toISOString()}`,
    'ask for less, or replace the root first: `swarm ca --rotate`',
  );
}
