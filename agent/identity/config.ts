import type { BackoffOptions } from '#common/backoff.ts';

export interface IdentityConfig {
  /** For a manager to answer one request. */
  readonly requestTimeoutMs: number;
  /** For the whole of a join; Swarm's. */
  readonly joinTimeoutMs: number;
  /** For the whole of a renewal, over all managers. */
  readonly renewTimeoutMs: number;
  /** How often all managers are tried when none could be reached or had time. */
  readonly joinAttempts: number;
  /** Between two attempts when no manager could be reached or had time. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
  /** A difference of clocks beyond which it is named as the likely cause of a refused certificate. */
  readonly clockSkewNotedMs: number;
}

export const IDENTITY_CONFIG: IdentityConfig = {
  requestTimeoutMs: 5_000,
  joinTimeoutMs: 20_000,
  // Nothing else of membership goes on meanwhile, and another attempt follows.
  renewTimeoutMs: 15_000,
  // Five attempts take three seconds: longer than an election, short enough for somebody who mistyped an address.
  joinAttempts: 5,
  // A manager that is electing a leader is back within two seconds; a user is watching.
  retryBaseMs: 200,
  retryMaxMs: 2_000,
  clockSkewNotedMs: 30_000,
};

export interface RenewalConfig {
  /** Shares of a certificate's lifetime between which it is renewed. */
  readonly earliest: number;
  readonly latest: number;
  /** Between attempts that fail. */
  readonly retry: BackoffOptions;
  /** A retry never waits for more than this share of the time that is left, nor less than `retryMinMs`. */
  readonly retryShareOfRest: number;
  readonly retryMinMs: number;
  /** The wall clock is looked at this often. */
  readonly lookEveryMs: number;
  /** Certificates that hold too long are renewed within this time, but within this share of the new lifetime. */
  readonly shortenedSpreadMs: number;
  readonly shortenedShare: number;
  /** By how much a certificate may seem to hold too long, because the clocks of issuer and node differ. */
  readonly clockSlackMs: number;
  /** Shares of what is left of the old certificate between which its session moves to a connection of the new one. */
  readonly moveEarliest: number;
  readonly moveLatest: number;
  /** The session moves within so much, at a random time, when the new certificate is of another root. */
  readonly moveSoonMs: number;
  /** A session that is due and that no manager has welcomed yet is looked at again after so long. */
  readonly moveAgainMs: number;
}

export const RENEWAL_CONFIG: RenewalConfig = {
  // Swarm's. A fifth of 90 days is left for whatever may be in the way.
  earliest: 0.5,
  latest: 0.8,
  // An election is over in a second; a cluster that is down for a day is asked 300 times by each node.
  retry: { baseMs: 1_000, maxMs: 300_000, factor: 2, jitter: 0.5 },
  retryShareOfRest: 0.1,
  retryMinMs: 1_000,
  // A look costs nothing; the shortest certificate holds for an hour.
  lookEveryMs: 60_000,
  // Ten thousand nodes are 33 a second then, of the 500 that managers issue.
  shortenedSpreadMs: 300_000,
  shortenedShare: 0.05,
  // Clocks that differ by more are told of when a node joins.
  clockSlackMs: 120_000,
  moveEarliest: 0.3,
  moveLatest: 0.8,
  // Nodes renew 30 at a time when a root is replaced, and a manager makes so many handshakes in a tenth of a second. The
  // rotation waits for the move, so a long time would make it slow.
  moveSoonMs: 2_000,
  moveAgainMs: 1_000,
};

/** Most manager addresses that one join tries, and that a node keeps. */
export const MANAGERS_MAX = 32;

export const CLUSTER_PORT = 2377;
