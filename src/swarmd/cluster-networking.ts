/** The cluster's networks on this host, opened with what the command line and the host give. */
import { join } from 'node:path';
import { DEFAULT_RESOLVER_PROCESS_CONFIG, ResolverProcess } from '#agent/dns/index.ts';
import {
  ClusterNetworking,
  DEFAULT_OVERLAY_CONFIG,
  DEFAULT_WIREGUARD_CONFIG,
  instanceNames,
  NetlinkKernel,
  Tunnel,
} from '#agent/network/index.ts';
import { findProgram } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { resolverProgram } from '../resolver/program.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';

export async function openClusterNetworking(
  options: Pick<DaemonOptions, 'stateDir'>,
  paths: Paths,
  logger: Logger,
  onKeys: () => void,
): Promise<ClusterNetworking> {
  const part = logger.with({ part: 'network' });
  const program = await resolverProgram();
  return new ClusterNetworking({
    instance: options.stateDir,
    directory: join(paths.networkRun, 'overlay'),
    kernel: new NetlinkKernel(),
    tunnel: await openTunnel(options.stateDir, paths, part, onKeys),
    tunnelConfig: DEFAULT_WIREGUARD_CONFIG,
    overlayConfig: DEFAULT_OVERLAY_CONFIG,
    makeResolver: () =>
      new ResolverProcess({
        directory: paths.resolverRun,
        program,
        config: DEFAULT_RESOLVER_PROCESS_CONFIG,
        clock: systemClock,
        random: systemRandom,
        logger: logger.with({ part: 'names' }),
      }),
    clock: systemClock,
    logger: part,
  });
}

/** A host that cannot encrypt runs tasks of all other networks: it says why in its description. */
async function openTunnel(
  stateDir: string,
  paths: Paths,
  logger: Logger,
  onKeys: () => void,
): Promise<Tunnel | undefined> {
  try {
    return await Tunnel.open({
      names: instanceNames(stateDir),
      keyFile: paths.tunnelKeys,
      settingsFile: paths.tunnelSettings,
      programs: { wg: await findProgram('wg'), wireguardGo: await findProgram('wireguard-go') },
      config: DEFAULT_WIREGUARD_CONFIG,
      clock: systemClock,
      logger,
      onKeys,
    });
  } catch (thrown) {
    logger.warn('encryption between nodes cannot be set up', { error: SwarmError.from(thrown).message });
    return undefined;
  }
}
