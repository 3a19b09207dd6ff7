export interface IdentityConfig {
  /** For a manager to answer one request. */
  readonly requestTimeoutMs: number;
  /** For the whole of a join; Swarm's. */
  readonly joinTimeoutMs: number;
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
  // Five attempts take three seconds: longer than an election, short enough for somebody who mistyped an address.
  joinAttempts: 5,
  // A manager that is electing a leader is back within two seconds; a user is watching.
  retryBaseMs: 200,
  retryMaxMs: 2_000,
  clockSkewNotedMs: 30_000,
};

/** Most manager addresses that one join tries, and that a node keeps. */
export const MANAGERS_MAX = 32;

export const CLUSTER_PORT = 2377;
