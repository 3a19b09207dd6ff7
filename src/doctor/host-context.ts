import { CLUSTER_DEFAULTS } from '#manager/ca/index.ts';
import type { DoctorContext } from './check.ts';
import { systemHost } from './system-host.ts';

/** What checks of this host are about where the caller knows nothing else: a host in no swarm, and Starling's own names. */
export function hostContext(
  known: Pick<DoctorContext, 'stateDirectory' | 'listen'> & Partial<DoctorContext>,
): DoctorContext {
  return {
    purpose: 'doctor',
    host: systemHost,
    nowMs: Date.now(),
    identity: undefined,
    dataPathPort: CLUSTER_DEFAULTS.dataPathPort,
    ownNetworksLeft: async () => Promise.resolve(false),
    serving: false,
    manager: undefined,
    managers: [],
    clockSkewMs: undefined,
    addressPools: undefined,
    runtime: undefined,
    ownLinkPrefix: 'sl-',
    ownTablePrefix: 'starling_',
    dockerSocket: '/var/run/docker.sock',
    ...known,
  };
}
