/** What runs containers on this host, with its images and its network: there whether or not the host is in a swarm. */
import type { Describe } from '#agent/describe/index.ts';
import type { NetworkApplier } from '#agent/discovery/index.ts';
import type { Executor } from '#agent/executor/index.ts';
import type { ClusterMember, NetworkDoctor } from '#agent/network/index.ts';
import type { NodeVolumes } from '#agent/volumes/index.ts';
import type { ImageService } from '#gen/swarm/v1/images.ts';
import type { ImagePinner } from '#manager/control/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

/** The swarm's networks on this host. */
export interface EngineNetworks {
  /** The host is in a swarm, as this member; said before its agent starts. */
  join(member: ClusterMember): Promise<void>;
  /** It is in none any more, and its tasks are gone: nothing of the networks stays. */
  leave(): Promise<void>;
}

export interface Engine {
  readonly executor: Executor;
  readonly describe: Describe;
  /** What follows the tables of networks. */
  readonly networkAppliers: readonly NetworkApplier[];
  /** Looks at the networks of this host; undefined where there are none. */
  readonly networkDoctor: NetworkDoctor | undefined;
  readonly networks: EngineNetworks;
  /** The named volumes of this host; undefined where there are none. */
  readonly volumes: NodeVolumes | undefined;
  readonly pinner: ImagePinner;
  readonly imageHandlers: Handlers<typeof ImageService> | undefined;
  counts(): Promise<{ readonly total: number; readonly images: number }>;
  /** Calls back when a condition of the node (disk pressure) comes or goes. */
  onConditions(changed: () => void): void;
  close(): Promise<void>;
}
