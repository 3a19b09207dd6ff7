import type { Describe } from '#agent/describe/index.ts';
import type { NetworkApplier } from '#agent/discovery/index.ts';
import type { Executor } from '#agent/executor/index.ts';
import type { NetworkDoctor } from '#agent/network/index.ts';
import type { NodeVolumes } from '#agent/volumes/index.ts';
import type { Clock } from '#common/clock.ts';
import type { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ImagePinner } from '#manager/control/index.ts';
import type { KeptAddresses } from './addresses.ts';
import type { EngineNetworks } from './engine.ts';
import type { Paths } from './paths.ts';

/** What a daemon has whether or not its host is in a swarm. */
export interface DaemonParts {
  readonly paths: Paths;
  readonly hostname: string;
  /** Addresses that the daemon was started with; empty ones were not given. */
  readonly addresses: KeptAddresses;
  readonly executor: Executor;
  readonly networkAppliers: readonly NetworkApplier[];
  /** Undefined where containers are simulated. */
  readonly networkDoctor: NetworkDoctor | undefined;
  /** Undefined where containers are simulated. */
  readonly volumes: NodeVolumes | undefined;
  /** Networks of the swarm on this host. */
  readonly networks: EngineNetworks;
  /** Where other nodes send packets of networks, from the command line; undefined: the advertised address. */
  readonly dataPathAddress: string | undefined;
  readonly describe: Describe;
  readonly pinner: ImagePinner;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A part that must not go on has failed: the daemon ends, containers stay. */
  readonly onFailure: (error: SwarmError) => void;
  readonly notAManager: (inSwarm: boolean) => SwarmError;
}
