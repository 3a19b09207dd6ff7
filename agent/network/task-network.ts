/**
 * The seam between a task and its network: every task joins its node's gateway network (egress and published ports), and
 * the networks of the cluster that managers put it on.
 */

import type { ExpectedPorts } from './task-readiness.ts';

export type NetworkProtocol = 'tcp' | 'udp' | 'sctp';

/** A port of the host. */
export interface PublishedAt {
  readonly protocol: NetworkProtocol;
  /** 1 to 65535; 0 in a request asks for a free one, and the attachment says which. */
  readonly publishedPort: number;
  /** The host's address to publish on; undefined means all of them. */
  readonly hostIp?: string | undefined;
}

/** A port of the host that leads to a port of one task. */
export interface HostPort extends PublishedAt {
  /** 1 to 65535, inside the task. */
  readonly targetPort: number;
}

/**
 * `gateway`: a namespace of its own with egress and published ports. `none`: a namespace with loopback only.
 * `host`: the host's own namespace; nothing is published, the task binds the host's ports itself.
 */
export type NetworkMode = 'gateway' | 'none' | 'host';

/** A network of the cluster that a task is on. */
export interface NetworkMembership {
  readonly networkId: string;
  /** One per family, without prefix length. */
  readonly addresses: readonly string[];
}

export interface DnsSettings {
  /** Replace the host's when not empty. */
  readonly nameservers: readonly string[];
  /** Replace the host's when not empty; the single entry "." means none. */
  readonly search: readonly string[];
  /** Replace the host's when not empty. */
  readonly options: readonly string[];
}

export interface AttachRequest {
  readonly taskId: string;
  readonly mode: NetworkMode;
  /** Networks of the cluster as managers gave them, the ingress network among them; in mode `gateway` only. */
  readonly networks?: readonly NetworkMembership[] | undefined;
  readonly hostname: string;
  /** What follows the host name in the full one. */
  readonly domainName?: string;
  readonly ports: readonly HostPort[];
  /** Extra lines of /etc/hosts: "address name [alias...]"; the address "host-gateway" stands for the host's. */
  readonly hosts?: readonly string[] | undefined;
  readonly dns?: DnsSettings | undefined;
}

/** Contents for the files that a container gets at /etc/hostname, /etc/hosts and /etc/resolv.conf. */
export interface NameFiles {
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
}

/** Where a task is on the network. */
export interface NetworkAddress {
  /** "gateway", or the id of an overlay network. */
  readonly network: string;
  readonly address: string;
}

export interface AttachedNetwork {
  readonly taskId: string;
  readonly mode: NetworkMode;
  /** The namespace for the runtime to join; undefined in mode `host`: give the container no network namespace. */
  readonly netnsPath: string | undefined;
  readonly addresses: readonly NetworkAddress[];
  /** As published: free ports that were asked for are filled in. */
  readonly ports: readonly HostPort[];
}

export interface NetworkAttachment extends AttachedNetwork {
  readonly files: NameFiles;
}

/** A published port that this daemon could not reserve for itself again. Its traffic still reaches the task. */
export interface ContestedPort {
  readonly taskId: string;
  readonly port: HostPort;
  /** Who has it now, as far as can be told. */
  readonly holder: string;
}

export interface RestoreReport {
  /** Attachments of known tasks, found whole or made whole again. */
  readonly adopted: readonly AttachedNetwork[];
  /** Known tasks without a network: never attached, or lost in a reboot. */
  readonly absent: readonly string[];
  /** Attachments of unknown tasks, removed. */
  readonly removed: readonly string[];
  readonly contested: readonly ContestedPort[];
}

export interface ReconcileReport {
  /** What was found missing or changed, and has been put right; empty when all was well. */
  readonly repaired: readonly string[];
  readonly contested: readonly ContestedPort[];
}

export interface TaskNetwork {
  /**
   * Once, before anything else: builds what the node needs, adopts what belongs to the known tasks after a restart of
   * the daemon, and removes every other attachment of this instance.
   */
  restore(knownTaskIds: readonly string[]): Promise<RestoreReport>;
  /**
   * Gives the task its network. For a task that has one already, that one. A failure leaves nothing behind. Errors:
   * `port-conflict` (names the port and its holder), `bad-field`, `address-pool` (no address left), `network-failed`,
   * `unknown-object` (a network that this node has not been told of in time).
   */
  attach(request: AttachRequest, signal?: AbortSignal): Promise<NetworkAttachment>;
  /**
   * Waits until a task that has been started listens on the ports that others expect it on, or has had long enough
   * for that. Returns the published ones that it does not listen on. Without addresses that others could know there is
   * nothing to wait for.
   */
  listening(taskId: string, ports: ExpectedPorts, signal: AbortSignal): Promise<readonly number[]>;
  /**
   * Waits until the task is at work for no TCP connection that others have opened to it, at most `maxMs`: connections
   * that are only kept for a next request are not waited for. For a task that gets no new ones any more.
   */
  drain(taskId: string, maxMs: number, signal: AbortSignal): Promise<void>;
  /** Withdraws the task's ports and removes its network. A task without one is no error. */
  detach(taskId: string): Promise<void>;
  /** Compares the kernel with what should be there and repairs it. Call it every half minute or so. */
  reconcile(): Promise<ReconcileReport>;
  /** Lets go without changing what tasks see: their networks and ports go on working. */
  close(): Promise<void>;
  /** Removes everything of this instance from the kernel and the run directory. Works without `restore` too. */
  destroy(): Promise<void>;
}
