/** Real containers: images, runtime, network and volumes put together for one host. */
import { nodeDescriber } from '#agent/describe/index.ts';
import { OciExecutor } from '#agent/executor/index.ts';
import {
  IMAGE_STORE_DEFAULTS,
  IMAGE_TUNING,
  ImageStore,
  imageHandlers,
  inheritedEnvironment,
  type NodeUsage,
} from '#agent/images/index.ts';
import { DEFAULT_LOG_CONFIG } from '#agent/logs/index.ts';
import {
  type ClusterNetworking,
  DEFAULT_NETWORK_CONFIG,
  DEFAULT_NETWORK_DOCTOR_CONFIG,
  DEFAULT_RULESET_GUARD,
  NetworkDoctor,
  NodeNetwork,
  RepairLog,
  RulesetGuard,
} from '#agent/network/index.ts';
import {
  type ContainerRuntime,
  DEFAULT_RUNTIME_CONFIG,
  diskUsage,
  machineCapabilities,
  openRuntime,
  requireProgram,
} from '#agent/runtime/index.ts';
import { PayloadStore, TaskPayloads } from '#agent/secrets/index.ts';
import type { TaskVolumes, VolumeStore } from '#agent/volumes/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { Platform } from '#gen/swarm/v1/specs.ts';
import type { ImagePinner } from '#manager/control/index.ts';
import { openClusterNetworking } from './cluster-networking.ts';
import type { Engine } from './engine.ts';
import { openVolumes } from './open-volumes.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { FEATURE_LEVEL, VERSION } from './version.ts';

/** How often the kernel is compared with what should be there. */
const RECONCILE_INTERVAL_MS = 10_000;

export async function openContainerEngine(options: DaemonOptions, paths: Paths, logger: Logger): Promise<Engine> {
  const runtime = await openContainers(options, paths, logger);
  const images = await openImages(options, paths, logger);
  // Nothing may take the layers of a living container, not even before its task is known again.
  images.restore(new Map(runtime.list().map(({ record }) => [record.id, record.imageId])));
  const changed = new Set<() => void>();
  const { network, networking } = await openNetwork(options, paths, logger, () => {
    for (const tell of changed) tell();
  });
  const { store: volumes, taskVolumes, nodeVolumes } = openVolumes(paths, logger);
  const executor = new OciExecutor({
    runtime,
    network,
    volumes: taskVolumes,
    ...openPayloads(paths, logger),
    images,
    logConfig: DEFAULT_LOG_CONFIG,
    clock: systemClock,
    log: logger.with({ part: 'executor' }),
  });
  const repairs = new RepairLog(systemClock);
  const stopReconciling = reconcileForEver({ network, networking, repairs, logger });
  const { cgroups, runtimes } = runtime.context;
  return {
    executor,
    describe: await nodeDescriber({
      version: VERSION,
      featureLevel: FEATURE_LEVEL,
      labels: options.engineLabels,
      generic: options.genericResources,
      hostname: options.hostname,
      cgroupVersion: cgroups.layout.mode,
      capabilities: ['overlay', 'seccomp', ...machineCapabilities(runtime.context.machine)],
      runtimes: Object.fromEntries([...runtimes].map(([name, { path }]) => [name, path])),
      conditions: () => (images.diskPressure === undefined ? [] : [images.diskPressure]),
      dataPath: () => networking.dataPath(),
    }),
    networkAppliers: [networking],
    networkDoctor: new NetworkDoctor({
      networks: networking.examined,
      repairs: () => repairs.list(),
      config: DEFAULT_NETWORK_DOCTOR_CONFIG,
      clock: systemClock,
      random: systemRandom,
    }),
    networks: networking,
    volumes: nodeVolumes,
    pinner: registryPinner(images),
    imageHandlers: imageHandlers(images, nodeUsage(runtime, volumes, taskVolumes)),
    counts: async () => ({ total: runtime.list().length, images: (await images.list()).length }),
    onConditions: (tell) => {
      changed.add(tell);
      images.onDiskPressure(tell);
    },
    close: async () => {
      await stopReconciling();
      await executor.close();
      await networking.close();
      await images.close();
    },
  };
}

async function openContainers(options: DaemonOptions, paths: Paths, logger: Logger): Promise<ContainerRuntime> {
  const { runtime, report } = await openRuntime({
    stateDirectory: paths.runtimeState,
    runDirectory: paths.runtimeRun,
    cgroupParent: options.cgroupParent,
    runtime: options.runtime,
    runtimes: options.addedRuntimes,
    seccompProfile: undefined,
    config: DEFAULT_RUNTIME_CONFIG,
    clock: systemClock,
    log: logger.with({ part: 'runtime' }),
  });
  logger.info('containers', { adopted: report.adopted.length, ended: report.ended.length, swept: report.swept.length });
  return runtime;
}

/** Secrets and configs, and their files. */
function openPayloads(
  paths: Paths,
  logger: Logger,
): { readonly payloads: PayloadStore; readonly taskPayloads: TaskPayloads } {
  const payloads = new PayloadStore();
  const log = logger.with({ part: 'secrets' });
  return { payloads, taskPayloads: new TaskPayloads({ store: payloads, directory: paths.secretsRun, log }) };
}

async function openImages(options: DaemonOptions, paths: Paths, logger: Logger): Promise<ImageStore> {
  const collector = {
    ...IMAGE_TUNING.collector,
    highPercent: options.imageHighPercent,
    lowPercent: options.imageLowPercent,
  };
  return ImageStore.open(
    {
      ...IMAGE_STORE_DEFAULTS,
      stateDirectory: paths.images,
      runDirectory: paths.imagesRun,
      buildah: await requireProgram('buildah', 'buildah'),
      insecureRegistries: options.insecureRegistries,
      environment: inheritedEnvironment(process.env),
      tuning: { ...IMAGE_TUNING, collector },
    },
    logger.with({ part: 'images' }),
  );
}

async function openNetwork(
  options: DaemonOptions,
  paths: Paths,
  logger: Logger,
  onKeys: () => void,
): Promise<{ readonly network: NodeNetwork; readonly networking: ClusterNetworking }> {
  const gatewayPools = options.gatewayPools.length > 0 ? options.gatewayPools : DEFAULT_NETWORK_CONFIG.gatewayPools;
  const networking = await openClusterNetworking(options, paths, logger, onKeys);
  const network = new NodeNetwork({
    instance: options.stateDir,
    directory: paths.networkRun,
    config: { ...DEFAULT_NETWORK_CONFIG, gatewayPools },
    clock: systemClock,
    logger: logger.with({ part: 'network' }),
    cluster: networking,
  });
  networking.connect(network);
  return { network, networking };
}

interface Reconciled {
  readonly network: NodeNetwork;
  readonly networking: ClusterNetworking;
  readonly repairs: RepairLog;
  readonly logger: Logger;
}

/** What was repaired is said. A foreign `nft flush ruleset` is heard of, and does not wait for the next round. */
function reconcileForEver({ network, networking, repairs, logger }: Reconciled): () => Promise<void> {
  let cancel = (): void => {};
  let stopped = false;
  const compare = async (): Promise<readonly string[]> => {
    const tables = network.isRestored ? await network.repairTables() : [];
    // Who changed that table may have changed the others of this node.
    const repaired = tables.length === 0 ? [] : [...tables, ...(await networking.reconcile())];
    repairs.note(repaired);
    return repaired;
  };
  const guard = new RulesetGuard({ ...DEFAULT_RULESET_GUARD, compare, clock: systemClock, logger });
  // One that cannot be looked at is no reason to leave out the other.
  const parts = [async () => (await network.reconcile()).repaired, () => networking.reconcile()];
  const round = async (): Promise<void> => {
    for (const reconcile of network.isRestored ? parts : [])
      try {
        const repaired = await reconcile();
        repairs.note(repaired);
        if (repaired.length > 0) logger.warn('the network was repaired', { repaired });
      } catch (thrown) {
        logger.warn('the network could not be looked at', { error: SwarmError.from(thrown).message });
      }
    if (!stopped) cancel = systemClock.setTimer(RECONCILE_INTERVAL_MS, () => void round());
  };
  cancel = systemClock.setTimer(RECONCILE_INTERVAL_MS, () => void round());
  return async () => {
    stopped = true;
    cancel();
    await guard.close();
  };
}

function registryPinner(images: ImageStore): ImagePinner {
  return {
    resolve: async (image, registryAuth) => {
      const answer = await images.resolveDigest(image, registryAuth);
      if (answer === undefined) return undefined;
      const platforms = answer.platforms.map(({ os, architecture }) => Platform.create({ os, architecture }));
      return { digest: answer.digest, platforms };
    },
  };
}

/** What containers and volumes have on the disk, for `swarm system df`. */
function nodeUsage(runtime: ContainerRuntime, store: VolumeStore, volumes: TaskVolumes): NodeUsage {
  return {
    containers: async () => {
      let sizeBytes = 0;
      let reclaimableBytes = 0;
      let active = 0;
      const all = runtime.list();
      for (const { record } of all) {
        const bytes = await runtime.layerBytes(record.id).catch(() => 0);
        sizeBytes += bytes;
        if (record.state.phase === 'exited') reclaimableBytes += bytes;
        else active++;
      }
      return { total: all.length, active, sizeBytes, reclaimableBytes };
    },
    volumes: async () => {
      let sizeBytes = 0;
      let reclaimableBytes = 0;
      const all = await volumes.list();
      const isUsed = (name: string): boolean => volumes.usersOf(name).length > 0;
      for (const record of all) {
        // What is mounted from elsewhere takes nothing of this disk.
        if (!volumes.driverOf(record).ownsData(record)) continue;
        const bytes = await diskUsage(store.dataDirectory(record.name));
        sizeBytes += bytes;
        if (!isUsed(record.name)) reclaimableBytes += bytes;
      }
      const active = all.filter(({ name }) => isUsed(name)).length;
      return { total: all.length, active, sizeBytes, reclaimableBytes };
    },
  };
}
