/**
 * The seam between the task machine and what really runs containers. `oci` runs them; `simulated` pretends, for tests
 * of scale. Every method is idempotent: after a crash of the agent it is called again.
 */
import type { ContainerStatus, NetworkAttachment, PortConfig, Task } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';

/** Everything that an executor needs to know of a task; persisted by the agent. */
export interface TaskAssignment {
  readonly task: Task;
  /** The service's spec at the task's revision. */
  readonly spec: ServiceSpec;
  /** For names, templates and labels inside the container. */
  readonly node: { readonly id: string; readonly hostname: string };
}

/** How a container ended. */
export interface TaskExit {
  readonly container: ContainerStatus;
  /** Unset after a clean end with code 0; else why, for the user: "task: non-zero exit (1)", "out of memory". */
  readonly error: string | undefined;
}

export interface PreparedTask {
  readonly networks: readonly NetworkAttachment[];
  readonly ports: readonly PortConfig[];
}

/** What an executor finds of a task when the agent comes back. */
export type FoundTask =
  | { readonly kind: 'absent' } // nothing there: never prepared, or lost in a reboot
  | { readonly kind: 'prepared' }
  | { readonly kind: 'running'; readonly container: ContainerStatus; readonly ports: readonly PortConfig[] }
  | { readonly kind: 'exited'; readonly exit: TaskExit };

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
}

export interface TaskStatistics {
  readonly cpuNanos: number;
  readonly memoryBytes: number;
  readonly pids: number;
}

/** All failures are SwarmErrors whose message a user can act on. Every method ends soon after its signal aborts. */
export interface Executor {
  /**
   * Gets everything ready up to the created, not started, container: image, volumes, network, root file system.
   * `progress` is called with short texts ("pulling image") for the task's status message.
   */
  prepare(assignment: TaskAssignment, progress: (message: string) => void, signal: AbortSignal): Promise<PreparedTask>;
  /** Starts the prepared container; resolves once its process runs. */
  start(taskId: string, signal: AbortSignal): Promise<ContainerStatus>;
  /** Resolves when the started container has ended. Also for one that was adopted. */
  wait(taskId: string, signal: AbortSignal): Promise<TaskExit>;
  /** Stop signal, grace period of its spec, SIGKILL; resolves when it has ended. Nothing to do is no error. */
  shutdown(assignment: TaskAssignment, signal: AbortSignal): Promise<void>;
  /** Removes everything of the task: container, network, root file system, logs, anonymous volumes. */
  remove(taskId: string, signal: AbortSignal): Promise<void>;
  /**
   * Called once at start with every task that the agent knows of: adopts what lives, says what it found, and removes
   * what belongs to nobody.
   */
  recover(known: readonly TaskAssignment[]): Promise<ReadonlyMap<string, FoundTask>>;
  logs(taskId: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine>;
  statistics(taskId: string): Promise<TaskStatistics | undefined>;
  /** Lets go of everything without stopping a container. */
  close(): Promise<void>;
}
