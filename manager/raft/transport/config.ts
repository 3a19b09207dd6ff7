import type { BackoffOptions } from '#common/backoff.ts';

/** Tuning values of the streams between managers. */
export interface PeerTransportConfig {
  /** What may wait for one peer, of entries and of the rest each; beyond, messages are dropped. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** Waiting messages are put into one request up to this size; one message alone may be larger. */
  readonly batchBytes: number;
  /**
   * How long a message without entries, which only tells what is committed, waits for entries that would tell it too.
   * Followers apply that much later what they are not asked for.
   */
  readonly commitNoticeDelayMs: number;
  /** Time between attempts to connect. The first after a loss is made at once. */
  readonly reconnect: BackoffOptions;
  /** A stream that lived this long begins the backoff anew when it is lost. */
  readonly stableMs: number;
  /** Until a peer is asked again that said it does not want this member. */
  readonly refusedRetryMs: number;
  /** For connection, handshake and the answer to the hello. */
  readonly welcomeTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** A ping that is not answered in this time ends the stream. */
  readonly pongTimeoutMs: number;
  /** Pings have a second more for every so many bytes that go before them. */
  readonly slowLinkBytesPerSecond: number;
  /** How long an accepted stream may take to say hello, or to send the header of a snapshot. */
  readonly helloTimeoutMs: number;
  /** Chunks of snapshots are cut into pieces of this size to be sent. */
  readonly snapshotPartBytes: number;
  /** How long one piece may take. */
  readonly snapshotPartTimeoutMs: number;
  /** How long the peer may take to make the whole durable, after its last piece. */
  readonly snapshotAnswerTimeoutMs: number;
  /** The largest chunk that is taken from a peer. */
  readonly snapshotChunkBytes: number;
}

export const DEFAULT_PEER_TRANSPORT_CONFIG: PeerTransportConfig = {
  // Raft has at most a window of messages under way to a peer; more than this means the peer does not read.
  queueMessages: 4096,
  queueBytes: 64 * 1024 * 1024,
  // What goes before an urgent message: 20 ms on a link of 100 Mbit/s. Larger requests save nothing measurable.
  batchBytes: 256 * 1024,
  // A client that writes one thing after the other writes the next within this time: half of all messages are saved,
  // and the answer to the client goes out before the peers are told.
  commitNoticeDelayMs: 5,
  // A manager restarts within a second or two, and is wanted back soon; a refused connection costs next to nothing.
  reconnect: { baseMs: 50, maxMs: 1_000, factor: 2, jitter: 0.5 },
  stableMs: 1_000,
  // It takes an operator, or the leader, to change the answer; a hello from the peer ends the wait.
  refusedRetryMs: 30_000,
  // Three round trips and some computing; longer than an election timeout would help nobody.
  welcomeTimeoutMs: 3_000,
  // A few in an election timeout (1 s): who is silent that long is not counted as reachable.
  pingIntervalMs: 300,
  // One lost packet is repeated within a second; an election (1 to 2 s) should not find the old stream in its place.
  pongTimeoutMs: 3_000,
  // A 2 Mbit/s link may carry the log: large entries must not look like a dead peer.
  slowLinkBytesPerSecond: 256 * 1024,
  helloTimeoutMs: 5_000,
  // On the slowest link that is of use (10 kB/s) a piece takes 6 s.
  snapshotPartBytes: 64 * 1024,
  snapshotPartTimeoutMs: 10_000,
  // The last sync of a large file on a slow disk.
  snapshotAnswerTimeoutMs: 60_000,
  // Chunks are some 64 KiB, or one object, which a transaction could hold (4 MiB).
  snapshotChunkBytes: 16 * 1024 * 1024,
};
