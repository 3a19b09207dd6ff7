/** Tuning of the container runtime. Tests shrink the times. */
export interface RuntimeConfig {
  /** Containers made at once. Twice the cores of a small machine: create is half CPU, half waiting for the kernel. */
  readonly createConcurrency: number;
  /** Prepared containers started at once: with most runtimes each is a run of its own, and hundreds may be told to start. */
  readonly startConcurrency: number;
  /** Containers removed at once. Apart from creates, so that a mass removal does not hold up a replacement. */
  readonly removeConcurrency: number;
  /** Commands begun at once in containers: each is a run of the OCI runtime, and none shall hold up a create. */
  readonly execConcurrency: number;
  /** A command that runs for longer than this lets others begin: what hangs in one container is not felt in the next. */
  readonly execHoldMs: number;
  /** Operations that may wait for their turn; what comes then is refused. Ten times what one node can hold. */
  readonly queueLength: number;
  /** The runtime makes a container in 10 ms; a disk in trouble may make it take seconds. */
  readonly createTimeoutMs: number;
  /** For one call of the runtime's delete, which kills and waits itself. */
  readonly deleteTimeoutMs: number;
  /** From SIGKILL to the exit file. 20 ms as a rule; a process in uninterruptible sleep takes for ever. */
  readonly killTimeoutMs: number;
  /** For the processes of a cgroup to stand still. */
  readonly freezeTimeoutMs: number;
  /** How often removing a stuck container is tried again. */
  readonly stuckRetryMs: number;
  /** The directory of exit files is read again this often, should the kernel have dropped an event. */
  readonly exitRescanMs: number;
  /** After a monitor's end its exit file, which it writes before, is looked for this long. */
  readonly monitorGraceMs: number;
}

export const DEFAULT_RUNTIME_CONFIG: RuntimeConfig = {
  createConcurrency: 4,
  startConcurrency: 4,
  removeConcurrency: 2,
  execConcurrency: 4,
  execHoldMs: 500,
  queueLength: 10_000,
  createTimeoutMs: 60_000,
  deleteTimeoutMs: 10_000,
  killTimeoutMs: 10_000,
  freezeTimeoutMs: 2000,
  stuckRetryMs: 60_000,
  exitRescanMs: 10_000,
  monitorGraceMs: 500,
};
