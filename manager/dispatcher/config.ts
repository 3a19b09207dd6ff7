export interface DispatcherConfig {
  /** Heartbeat period unless the cluster says otherwise (design, section 5). */
  readonly heartbeatPeriodMs: number;
  /** A manager sees at most this many heartbeats a second: with more nodes the period grows. */
  readonly heartbeatsPerSecondMax: number;
  /** A node is down after this many periods without a sign of life. */
  readonly downAfterPeriods: number;
  /** How often in a period it is looked at who is silent: one is found so much later at most. */
  readonly looksPerPeriod: number;
  /** After a change of leader nodes get this many periods to find the new one. */
  readonly unknownAfterPeriods: number;
  /** So long a leader of before may still be answering nodes after another one leads. */
  readonly staleLeaderMs: number;
  /**
   * A node that took its leave is down after this: until then its tasks keep the connections that they have. As long as
   * a host that goes down gives its tasks to end.
   */
  readonly leavingMs: number;
  /** Changes wait this long for company, so that a burst of commits becomes one message. Adds to start latency. */
  readonly assignmentDelayMs: number;
  /** A thousand nodes that come at once are told what they have to know in slices of this. */
  readonly beginSliceMs: number;
  /** Changes in one message of assignments: 500 tasks with a revision each stay below the message limit. */
  readonly assignmentChangesMax: number;
  /** Encoded size at which a message of assignments is cut. */
  readonly assignmentBytesMax: number;
  /** Statuses waiting to be committed; a session that would go beyond has to wait for its acknowledgement. */
  readonly statusQueueMax: number;
  /** Agents below this feature level do not understand network tables: they get none, and nobody waits for them. */
  readonly networksFeatureLevel: number;
  /** From this level on managers keep for how long a node was silent. */
  readonly silenceFeatureLevel: number;
  /** How often it is looked at which tasks of silent nodes have been waited for long enough. */
  readonly silenceLookMs: number;
  /** From this level on the swarm keeps volumes of nodes. */
  readonly volumesFeatureLevel: number;
  /**
   * A task that is to stop waits this long for nodes to confirm that they send it no new connections, unless the cluster
   * says otherwise. A node that is well confirms in milliseconds; one that is not is down after 5 s.
   */
  readonly withdrawDeadlineMs: number;
}

export const DISPATCHER_DEFAULTS: DispatcherConfig = {
  heartbeatPeriodMs: 1_000,
  heartbeatsPerSecondMax: 2_000,
  downAfterPeriods: 5,
  looksPerPeriod: 10,
  unknownAfterPeriods: 15,
  // Two election timeouts of the log: after one without its followers a leader looks, after the next it steps down.
  staleLeaderMs: 2_000,
  leavingMs: 60_000,
  assignmentDelayMs: 2,
  // As the slices of the leader's loops: heartbeats of the log come through in between.
  beginSliceMs: 10,
  assignmentChangesMax: 500,
  assignmentBytesMax: 2 * 1024 * 1024,
  statusQueueMax: 100_000,
  networksFeatureLevel: 3,
  silenceFeatureLevel: 5,
  // Half a second more of waiting for half a minute; a look at a hundred lost nodes with ten tasks each takes under 1 ms.
  silenceLookMs: 500,
  volumesFeatureLevel: 4,
  withdrawDeadlineMs: 3_000,
};
