/** What a node's network needs of its overlay networks to put a task on them: the seam between the two. */

/** A network of one task, as the manager allocated it. */
export interface OverlayMembership {
  readonly networkId: string;
  /** One per family, without prefix length. */
  readonly addresses: readonly string[];
}

export interface OverlayAttachRequest {
  readonly taskId: string;
  /** The task's network namespace, pinned; what is attached here goes with it. */
  readonly netnsPath: string;
  /** In the order of the devices: eth0, eth1, ... */
  readonly networks: readonly OverlayMembership[];
}

/** A device that the task got. */
export interface OverlayLink {
  readonly networkId: string;
  readonly networkName: string;
  /** "eth0", inside the task. */
  readonly deviceName: string;
  readonly linkLayerAddress: string;
  /** With the prefix length of their subnet: "10.0.1.11/24". */
  readonly addresses: readonly string[];
  /** Nothing outside is to be reached by way of this network, or by a task that has no other kind. */
  readonly internal: boolean;
}

export interface OverlayAttacher {
  /**
   * Gives the task a device on each network. For a task that has them already, those. A failure leaves nothing behind.
   * Errors: `unknown-object` (no table of the network has come yet), `not-supported` (driver), `bad-field`,
   * `network-failed`.
   */
  attach(request: OverlayAttachRequest): Promise<readonly OverlayLink[]>;
  /**
   * Takes the task off its networks: nothing reaches it over them any more when this returns. Its devices go with its
   * namespace, which the caller removes after this. A task without any is no error.
   */
  detach(taskId: string): Promise<void>;
}
