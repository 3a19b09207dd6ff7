/**
 * The seam between the task machine and what really runs containers. `oci` runs them; `simulated` pretends, for tests
 * of scale. Every method is idempotent: after a crash of the agent it is called again.
 */

import type { PayloadStore } from '#agent/secrets/index.ts';
import type {
  Check,
  CheckOutcome,
  FoundTask,
  HealthPlan,
  PreparedTask,
  TaskAssignment,
  TaskExit,
} from '#agent/tasks/index.ts';
import type { ContainerStatus } from '#gen/swarm/v1/objects.ts';

export interface LogLine {
  readonly timestampNs: number;
  readonly stream: 'stdout' | 'stderr';
  /** One line without its newline. */
  readonly data: Uint8Array;
}

export interface LogQuery {
  readonly follow: boolean;
  /** Last lines; undefined means all. */
  readonly tail: number | undefined;
  readonly sinceNs: number | undefined;
  readonly untilNs: number | undefined;
  /** Lines since then are wanted, though they are more than the last ones that `tail` asks for. */
  readonly reachNs?: number | undefined;
}

export interface TaskStatistics {
  readonly cpuNanos: number;
  readonly memoryBytes: number;
  readonly pids: number;
}

/** All failures are SwarmErrors whose message a user can act on. Every method ends soon after its signal aborts. */
export interface Executor {
  /** Secrets and configs that tasks are prepared with. The worker keeps there what managers say. */
  readonly payloads: PayloadStore;
  /**
   * Gets everything ready up to the created, not started, container: image, volumes, network, root file system.
   * `progress` is called with short texts ("pulling image") for the task's status message. A failed or aborted
   * prepare leaves nothing behind.
   */
  prepare(assignment: TaskAssignment, progress: (message: string) => void, signal: AbortSignal): Promise<PreparedTask>;
  /**
   * Starts the prepared container; resolves once its process runs and listens where others will be led to, or has had
   * long enough for that.
   */
  start(taskId: string, progress: (message: string) => void, signal: AbortSignal): Promise<ContainerStatus>;
  /**
   * Resolves when the started container has ended, also for one that was adopted. By then its network, host ports,
   * cgroup and mounts are released; its logs (and what `recover` needs to find the exit again) stay until `remove`.
   */
  wait(taskId: string, signal: AbortSignal): Promise<TaskExit>;
  /** How the started container is checked; undefined when it is not. */
  healthPlan(assignment: TaskAssignment): HealthPlan | undefined;
  /** Makes one check of the running container. Rejects for the signal alone: all else is an outcome. */
  check(assignment: TaskAssignment, check: Check, timeoutMs: number, signal: AbortSignal): Promise<CheckOutcome>;
  /**
   * Stop signal, grace period of its spec, SIGKILL; resolves when it has ended. Nothing to do is no error. Connections
   * that others have are waited for before, unless the task is `unhealthy`: nobody can tell what becomes of them.
   */
  shutdown(assignment: TaskAssignment, signal: AbortSignal, unhealthy?: boolean): Promise<void>;
  /** Removes everything of the task: container, network, root file system, logs, anonymous volumes. */
  remove(taskId: string, signal: AbortSignal): Promise<void>;
  /**
   * Called once at start with every task that the agent knows of: adopts what lives, says what it found, and removes
   * what belongs to nobody. `onFound` is called once for each before it resolves: in the order given for those that have
   * not ended, and after them for those that have, each of which takes a look. It must not throw.
   */
  recover(known: readonly TaskAssignment[], onFound?: (taskId: string, found: FoundTask) => void): Promise<void>;
  logs(taskId: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine>;
  statistics(taskId: string): Promise<TaskStatistics | undefined>;
  /** Lets go of everything without stopping a container. */
  close(): Promise<void>;
}
