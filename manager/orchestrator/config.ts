/** Tuning of the loops in this folder; nothing here is met by users. */
export interface OrchestratorConfig {
  /** Slots looked at in one slice. */
  readonly slotsPerSlice: number;
  /** Groups of changes handed out in one slice. */
  readonly groupsPerSlice: number;
  /** While so many new tasks are on their way to a node, no more are made; those made longer ago do not count. */
  readonly unplacedMax: number;
  readonly unplacedForMs: number;
  /** Jobs looked at as a whole in one slice. */
  readonly jobsPerSlice: number;
  /** Tasks looked at in one slice by what moves tasks; a node is looked at whole. */
  readonly movesPerSlice: number;
  /** Tasks of a drained node on their way at once, where its operator said nothing. */
  readonly drainParallelism: number;
  readonly restart: RestartConfig;
  /** Beyond its stop grace period, a task that was told to stop is waited for this long before its replacement starts. */
  readonly stopOverdueMs: number;
  /** A task that ends this soon after its node came back ended with the node, not by itself. */
  readonly nodeReturnMs: number;
  /** A node that has refused to remove a volume of a stack is asked again after this time. */
  readonly volumeRetryMs: number;
  readonly reaper: ReaperConfig;
  readonly oneOff: OneOffConfig;
}

/** Containers of `swarm run`. */
export interface OneOffConfig {
  /** Without addresses and room on its node for this long, a container is given up. */
  readonly placeWithinMs: number;
  /** One that goes by itself is kept this long after its end. */
  readonly autoRemoveAfterMs: number;
}

export interface RestartConfig {
  /** A task that ran this long was no quick failure: the streak begins anew. */
  readonly stableAfterMs: number;
  /** Quick failures in a row that are restarted with the plain delay, as Swarm does. */
  readonly plainRestarts: number;
  /** The delay doubles with every further one, up to this. */
  readonly delayMaxMs: number;
  /** What doubles when the restart delay is shorter. */
  readonly delayMinMs: number;
  /** The largest part of a delay that has grown by which chance shortens it. */
  readonly jitter: number;
  /** Failures that a task carries on; more only when a limit within a window counts them. */
  readonly failuresKept: number;
}

export interface ReaperConfig {
  /** Tasks and slots looked at in one slice. */
  readonly looksPerSlice: number;
  /** Tasks of a node that is down for this long are given up for lost. */
  readonly orphanAfterMs: number;
}

export const DEFAULT_ORCHESTRATOR_CONFIG: OrchestratorConfig = {
  // 1 to 3 us each when measured: 3 ms.
  slotsPerSlice: 1000,
  // Up to 10 us each when they make a new task: 4 ms. Two to four full transactions keep the log fed.
  groupsPerSlice: 400,
  // At 2,000 tasks a second one waits for a tenth of a second. Three commits on a busy disk take half of that, so the
  // scheduler has always enough to do.
  unplacedMax: 200,
  // By then the scheduler has said why a task waits; a service that fits nowhere slows nobody down for longer.
  unplacedForMs: 1000,
  // 20 to 50 us each where a time of the clock has come: two searches for the next one. 4 ms.
  jobsPerSlice: 100,
  // 1 to 2 us each: 4 ms.
  movesPerSlice: 2000,
  // Services are safe with any number, each loses no more than its updates would. This one spares the other nodes: four
  // images at once do not slow down what runs there, and 40 tasks that take 15 s each are gone in two and a half minutes.
  drainParallelism: 4,
  restart: {
    // Twelve times the default delay: what runs for a minute does work between its crashes.
    stableAfterMs: 60_000,
    // A service that needs a few attempts until its database is up starts as fast as on Swarm.
    plainRestarts: 5,
    // The figure of Kubernetes: a crash loop costs at most a start in five minutes, a fix is picked up within them.
    delayMaxMs: 5 * 60_000,
    delayMinMs: 1000,
    // Enough to spread replicas that a common cause felled, and each delay is still longer than the one before.
    jitter: 0.2,
    // Twice the scheduler's fault threshold.
    failuresKept: 10,
  },
  // Swarm waits a minute in all; ours begins when the grace period is over.
  stopOverdueMs: 60_000,
  // Three heartbeats of detection plus the time in which an agent looks through what it finds.
  nodeReturnMs: 15_000,
  // Soon for who waits for `stack rm`, and nothing for the log where a container uses the volume for days.
  volumeRetryMs: 5000,
  reaper: {
    // 3 us each when constraints are many.
    looksPerSlice: 1000,
    // Swarm's figure.
    orphanAfterMs: 24 * 60 * 60_000,
  },
  oneOff: {
    // Somebody waits in front of it, and is told for what meanwhile. Longer than a change of leader and an address that
    // a stopping task gives back.
    placeWithinMs: 30_000,
    // Whoever follows it reads the last of its output and takes it away; this is for those who do not.
    autoRemoveAfterMs: 10_000,
  },
};
