/** The seam between the executor and the node's images. */
import type { ImageDefaults } from '#agent/runtime/index.ts';
import type { ImageHealthcheck } from '#agent/tasks/index.ts';

/** An image that is on this node and stays there while a task holds it. */
export interface HeldImage {
  readonly id: string;
  /** Directories, topmost first. */
  readonly layers: readonly string[];
  readonly config: ImageDefaults & {
    /** Paths that get an anonymous volume. */
    readonly volumes: readonly string[];
    /** "80/tcp". */
    readonly exposedPorts: readonly string[];
    readonly healthcheck?: ImageHealthcheck | undefined;
    /** What the image's shell lines are run with; Docker's where it names none. */
    readonly shell?: readonly string[];
  };
  /** "amd64", "arm64", "386", ...; empty when the image does not say. */
  readonly architecture: string;
}

export interface TaskImages {
  /**
   * Gets the image here if it is not, and holds it for the task: nothing may remove it or its layers until `release`.
   * Called again for a task that holds it already, it gives the same. Throws `image-not-found`, `image-auth`,
   * `registry-unreachable` and the like. A failure holds nothing.
   */
  hold(request: {
    readonly taskId: string;
    readonly reference: string;
    /** As in the service's spec; empty when there is none. */
    readonly registryAuth: string;
    readonly progress: (message: string) => void;
    readonly signal: AbortSignal;
  }): Promise<HeldImage>;
  /** The task's container is gone. Holding nothing is no error. */
  release(taskId: string): void;
  /** After a restart: which task's container uses which image id. Replaces all that was held. */
  restore(held: ReadonlyMap<string, string>): void;
}
