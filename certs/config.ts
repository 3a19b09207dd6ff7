/** Tuning of certificates. What a user can set is in the cluster's spec; these are the defaults and the fixed parts. */

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

export const CERTIFICATE_CONFIG = {
  /** 20 years, Swarm's: a root outlives the cluster, or is rotated on purpose. */
  rootLifetimeMs: 20 * 365 * DAY_MS,
  /** 90 days, Swarm's: long enough that a month of an unreachable CA does no harm. */
  nodeLifetimeMs: 90 * DAY_MS,
  /** Certificates begin to hold an hour ago, so that hosts whose clocks are a little slow accept them. */
  backdateMs: HOUR_MS,
  /** Deepest nesting of an accepted DER value. A certificate needs 9 levels. */
  derMaxDepth: 16,
  /** A node certificate of ours is under 1 KiB; a user's own root with long names still fits. */
  certificateMaxBytes: 16 * 1024,
  /** Root, cross-signed root and intermediates of a rotation: never more in one bundle. */
  bundleMaxCertificates: 8,
  /** Leaf, two intermediates, root. */
  chainMaxLength: 4,
} as const;

export const OWN_ROOT = {
  /** Swarm's: a root that ends within a year would have to be rotated before anybody remembers how. */
  leastLifetimeMs: 365 * DAY_MS,
} as const;

/**
 * TLS 1.2 and later, forward secrecy and authenticated encryption only. AES-128 first: TLS 1.3's default order puts
 * AES-256 first, which is slower and adds nothing next to a P-256 key.
 */
export const TLS_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');

export const TLS_CURVES = 'X25519:P-256';

export const TLS_CONFIG = {
  /** A handshake takes milliseconds; a peer that has not finished in 10 s only holds a socket. */
  handshakeTimeoutMs: 10_000,
  /** Peers whose parsed certificates are kept. More connections than this only parse again (0.1 ms). */
  peerCacheEntries: 4096,
} as const;
