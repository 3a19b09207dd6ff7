/** What the commands ask of the daemon: these services of the client and no others. */
import type { SwarmClient } from '../client/swarm-client.ts';

export type SwarmApi = SwarmServices & {
  /** Of managers elsewhere: after a command that went well, renews what is old in the context. Never fails. */
  readonly settle?: () => Promise<void>;
  /** Of managers elsewhere, while the root is being replaced: a certificate of the new one, so that calls go on. Never fails. */
  readonly followRoot?: () => Promise<void>;
};

type SwarmServices = Pick<
  SwarmClient,
  | 'audit'
  | 'clients'
  | 'control'
  | 'events'
  | 'jobs'
  | 'rebalance'
  | 'rollouts'
  | 'rootCa'
  | 'secrets'
  | 'stacks'
  | 'unlockKey'
  | 'volumes'
  | 'containers'
  | 'doctor'
  | 'node'
  | 'logs'
  | 'images'
  | 'snapshots'
  | 'target'
  | 'close'
>;
