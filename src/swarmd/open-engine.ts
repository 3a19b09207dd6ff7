/** The engine that the command line asks for. */
import { nodeDescriber } from '#agent/describe/index.ts';
import { SimulatedExecutor } from '#agent/executor/index.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { openContainerEngine } from './container-engine.ts';
import type { Engine } from './engine.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { FEATURE_LEVEL, VERSION } from './version.ts';

export async function openEngine(options: DaemonOptions, paths: Paths, logger: Logger): Promise<Engine> {
  if (options.executor === 'oci') return openContainerEngine(options, paths, logger);
  const executor = new SimulatedExecutor(systemClock);
  return {
    executor,
    describe: await nodeDescriber({
      version: VERSION,
      featureLevel: FEATURE_LEVEL,
      labels: options.engineLabels,
      generic: options.genericResources,
      hostname: options.hostname,
      cgroupVersion: 'none',
      capabilities: [],
      runtimes: {},
      conditions: () => [],
    }),
    networkAppliers: [],
    networkDoctor: undefined,
    networks: { join: async () => {}, leave: async () => {} },
    volumes: undefined,
    pinner: { resolve: async () => Promise.resolve(undefined) },
    imageHandlers: undefined,
    counts: async () => Promise.resolve({ total: 0, images: 0 }),
    onConditions: () => {},
    close: () => executor.close(),
  };
}
