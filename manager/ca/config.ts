export interface CaConfig {
  /** New certificates a second, over all nodes, and how many may come at once. */
  readonly issuesPerSecond: number;
  readonly issuesBurst: number;
  /** Refusals that are logged, a second and from one address, and how many at once. All are answered. */
  readonly refusalsLoggedPerSecond: number;
  readonly refusalsLoggedBurst: number;
  /** Addresses whose refusals are counted; the one longest quiet makes room. */
  readonly addressesTracked: number;
  /** Requests that are being committed at once. */
  readonly issuesInFlight: number;
  /** How often a write is tried again that another write of the same node got before. */
  readonly conflictRetries: number;
  /** Longest wait for the outcome of an issuance; the caller asks again. */
  readonly statusWaitMs: number;
  /** Callers that wait for an outcome at once. */
  readonly statusWaiters: number;
}

export const CA_CONFIG: CaConfig = {
  // One core signs 3,000 a second; a sixth of that leaves the event loop to heartbeats. The burst is a cluster of a
  // thousand nodes that all come at once.
  issuesPerSecond: 500,
  issuesBurst: 1000,
  // Guessing a secret of 128 bits is hopeless, and reading a wrong token takes 20 us where the handshake took 3 ms: so
  // nobody is locked out for what others do behind the same address, only the log is protected.
  refusalsLoggedPerSecond: 0.2,
  refusalsLoggedBurst: 10,
  addressesTracked: 4096,
  issuesInFlight: 256,
  conflictRetries: 10,
  // Below the 20 s that a join takes at most, so that the joiner hears something in time.
  statusWaitMs: 10_000,
  statusWaiters: 1024,
};
