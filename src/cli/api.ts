/** What the commands ask of the daemon: these services of the client and no others. */
import type { SwarmClient } from '../client/swarm-client.ts';

export type SwarmApi = Pick<
  SwarmClient,
  | 'control'
  | 'jobs'
  | 'rebalance'
  | 'rollouts'
  | 'secrets'
  | 'stacks'
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
