/** Tuning of the resolver. Passed in, so that tests can shrink it. */
import type { BackoffOptions } from '#common/backoff.ts';

export interface DnsServerConfig {
  /** For addresses that stay as long as their service does. */
  readonly stableTtlSeconds: number;
  /** For addresses of tasks. */
  readonly movingTtlSeconds: number;
  readonly negativeTtlSeconds: number;
  /** Largest UDP answer, for those who say that they take it; also what we say that we take. */
  readonly udpPayloadBytes: number;
  /** Larger questions are refused unread. */
  readonly questionBytesMax: number;
  /** Questions a second of one container, and how many may come at once; the others are dropped. */
  readonly questionsPerSecond: number;
  readonly tcpConnectionsMax: number;
  readonly tcpConnectionsPerAsker: number;
  readonly tcpIdleMs: number;
  /** Questions of one connection that wait for an answer; reading pauses there. */
  readonly tcpPipelineMax: number;
  /** Answers that a client has not read; one that lets more pile up is cut off. */
  readonly tcpUnreadBytesMax: number;
  /** Wait before an address that cannot be listened on is tried again. */
  readonly listenRetryMs: number;
}

export interface ForwarderConfig {
  /** Wait for one server before the next is asked. */
  readonly attemptTimeoutMs: number;
  /** For all servers together: clients give up after 5 s. */
  readonly totalTimeoutMs: number;
  /** How long a server that did not answer comes last. */
  readonly avoidServerMs: number;
  /** Questions under way, in all and of one container; more are answered with SERVFAIL at once. */
  readonly inFlightMax: number;
  readonly inFlightPerAsker: number;
  /** Sockets of each family, each with a random port of its own. */
  readonly sockets: number;
  /** A socket is replaced after so many questions, so that its port does not become known. */
  readonly questionsPerSocket: number;
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  readonly ttlSecondsMax: number;
  readonly negativeTtlSecondsMax: number;
  /** Larger answers are not kept. */
  readonly cachedAnswerBytesMax: number;
}

export interface LoopbackConfig {
  readonly connectionsMax: number;
  readonly connectionsPerPort: number;
  readonly connectTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly udpClientsMax: number;
  readonly udpClientsPerPort: number;
  readonly udpIdleMs: number;
  readonly listenRetryMs: number;
}

/** Of the process as a whole. */
export interface ResolverConfig {
  readonly server: DnsServerConfig;
  readonly forwarder: ForwarderConfig;
  readonly loopback: LoopbackConfig;
  /** Changes that come within this time are written to the copy on disk together. */
  readonly saveDelayMs: number;
  /** Entries that are encoded for the copy before questions get their turn again. */
  readonly saveBatch: number;
  /** Between two looks whether the socket that the daemon comes by is still there. */
  readonly orphanCheckMs: number;
  /** How long connections of the loopback proxy may go on after the process was replaced. */
  readonly retireMs: number;
}

export const DEFAULT_RESOLVER_CONFIG: ResolverConfig = {
  server: {
    // Swarm's 600 s are the most hated number of its DNS. Within 5 s nobody notices. The address of a
    // task may be another one the next moment.
    stableTtlSeconds: 5,
    movingTtlSeconds: 1,
    negativeTtlSeconds: 1,
    // Answers go over a cable within the host, which carries fragments; 4096 is what resolvers used to offer.
    udpPayloadBytes: 4096,
    // A name is 255 bytes at most and options are few.
    questionBytesMax: 1024,
    // A third of what a core answers: one container that floods leaves the others the rest.
    questionsPerSecond: 10_000,
    tcpConnectionsMax: 512,
    tcpConnectionsPerAsker: 16,
    // What RFC 7766 calls for: seconds.
    tcpIdleMs: 10_000,
    tcpPipelineMax: 32,
    tcpUnreadBytesMax: 256 * 1024,
    listenRetryMs: 250,
  },
  forwarder: {
    attemptTimeoutMs: 1500,
    totalTimeoutMs: 4500,
    avoidServerMs: 5000,
    // Docker's limit for one container; here for all, as one process serves them.
    inFlightMax: 1024,
    inFlightPerAsker: 128,
    sockets: 4,
    questionsPerSocket: 256,
    // 4,096 answers of 200 bytes: about what a node's containers ask for again.
    cacheEntries: 4096,
    cacheBytes: 4 * 1024 * 1024,
    ttlSecondsMax: 300,
    negativeTtlSecondsMax: 30,
    cachedAnswerBytesMax: 16 * 1024,
  },
  loopback: {
    connectionsMax: 4096,
    connectionsPerPort: 1024,
    connectTimeoutMs: 10_000,
    // Finds clients that went without a word.
    keepAliveMs: 60_000,
    udpClientsMax: 2048,
    udpClientsPerPort: 512,
    // Longer than connection tracking keeps a one-way flow (30 s).
    udpIdleMs: 60_000,
    listenRetryMs: 2000,
  },
  saveDelayMs: 250,
  saveBatch: 500,
  orphanCheckMs: 30_000,
  retireMs: 3_600_000,
};

/** Of the daemon's side. */
export interface ResolverProcessConfig {
  /** From the start of the process until it answers on its socket. */
  readonly startTimeoutMs: number;
  /** Between two tries to reach a process that is starting. */
  readonly connectEveryMs: number;
  /** For the answer to an update. */
  readonly acknowledgeTimeoutMs: number;
  readonly restart: BackoffOptions;
  /** Changes of tables in one message. */
  readonly changesPerMessage: number;
  /** Messages under way that are not acknowledged yet. */
  readonly messagesInFlight: number;
  /** A process that has not answered by then hangs, and is killed. */
  readonly hangTimeoutMs: number;
  /** One that lived as long begins a new series of restarts. */
  readonly stableAfterMs: number;
  readonly retireTimeoutMs: number;
}

export const DEFAULT_RESOLVER_PROCESS_CONFIG: ResolverProcessConfig = {
  // 0.1 s on an idle machine; on one that has just booted and starts everything at once much longer.
  startTimeoutMs: 15_000,
  connectEveryMs: 20,
  // Within the 3 s that a manager waits for a withdrawal.
  acknowledgeTimeoutMs: 2500,
  restart: { baseMs: 50, maxMs: 5000, factor: 2, jitter: 0.2 },
  // 2 ms of work for the process.
  changesPerMessage: 500,
  messagesInFlight: 8,
  // It never works longer than some milliseconds without a pause; a stopped machine may.
  hangTimeoutMs: 10_000,
  stableAfterMs: 30_000,
  retireTimeoutMs: 3000,
};
