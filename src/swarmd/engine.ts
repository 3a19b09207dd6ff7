/** What runs containers on this host, with its images and its network: there whether or not the host is in a swarm. */
import { type Describe, nodeDescriber } from '#agent/describe/index.ts';
import { type Executor, SimulatedExecutor } from '#agent/executor/index.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import type { ImageService } from '#gen/swarm/v1/images.ts';
import type { ImagePinner } from '#manager/control/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { openContainerEngine } from './container-engine.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { FEATURE_LEVEL, VERSION } from './version.ts';

export interface Engine {
  readonly executor: Executor;
  readonly describe: Describe;
  readonly pinner: ImagePinner;
  readonly imageHandlers: Handlers<typeof ImageService> | undefined;
  counts(): Promise<{ readonly total: number; readonly images: number }>;
  /** Calls back when a condition of the node (disk pressure) comes or goes. */
  onConditions(changed: () => void): void;
  close(): Promise<void>;
}

export async function openEngine(options: DaemonOptions, paths: Paths, logger: Logger): Promise<Engine> {
  if (options.executor === 'oci') return openContainerEngine(options, paths, logger);
  const executor = new SimulatedExecutor(systemClock);
  return {
    executor,
    describe: await nodeDescriber({
      version: VERSION,
      featureLevel: FEATURE_LEVEL,
      labels: options.engineLabels,
      hostname: options.hostname,
      cgroupVersion: 'none',
      capabilities: [],
      runtimes: {},
      conditions: () => [],
    }),
    pinner: { resolve: async () => Promise.resolve(undefined) },
    imageHandlers: undefined,
    counts: async () => Promise.resolve({ total: 0, images: 0 }),
    onConditions: () => {},
    close: () => executor.close(),
  };
}
