/** What the task machine and the executors say to each other. */
import type { ContainerStatus, NetworkAttachment, Task } from '#gen/swarm/v1/objects.ts';
import type { PortConfig, ServiceSpec } from '#gen/swarm/v1/specs.ts';

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
  /** What it wrote last; read only of one that has failed. */
  readonly lastLog?: readonly string[];
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
