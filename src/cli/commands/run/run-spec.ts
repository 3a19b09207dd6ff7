/** The spec that `swarm run` asks for. */
import {
  ContainerSpec,
  DnsConfig,
  EndpointSpec,
  LogDriver,
  type Mount,
  MountType,
  type NetworkAttachmentSpec,
  ResourceRequirements,
  Resources,
  ServiceSpec,
  TaskSpec,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { FlagValues } from '../../flags.ts';
import { toRecord, withoutOverridden } from '../../values/key-values.ts';
import { tidyCapabilities } from '../service/create-spec.ts';
import { healthOf } from '../service/health-flags.ts';
import { isolationOf } from '../service/isolation-flags.ts';
import { LOG_DRIVER, LOG_OPT, MEMORY_SWAP, READ_ONLY, STOP_SIGNAL } from '../service/service-flags.ts';
import { oomKillDisableOf, sharesOf } from '../service/share-flags.ts';
import * as run from './run-flags.ts';

export interface RunInput {
  readonly flags: FlagValues;
  /** Image with a tag or digest. */
  readonly image: string;
  readonly args: readonly string[];
  /** Entries of all environment files, then those of --env, with the caller's values filled in. */
  readonly env: readonly string[];
  readonly name: string;
  /** Base64 of Docker's auth JSON, or empty. */
  readonly registryAuth: string;
}

/** Throws a CliError where flags contradict each other; the daemon checks the rest. */
export function runSpec(input: RunInput): ServiceSpec {
  const { flags } = input;
  return ServiceSpec.create({
    name: input.name,
    task: TaskSpec.create({
      container: containerOf(input),
      resources: sharesOf(
        flags,
        ResourceRequirements.create({
          limits: Resources.create({
            cpuNanos: flags.value(run.CPUS) ?? 0,
            memoryBytes: flags.value(run.MEMORY) ?? 0,
            pids: Math.max(0, flags.value(run.PIDS_LIMIT) ?? 0),
          }),
          memorySwapBytes: flags.value(MEMORY_SWAP),
        }),
      ),
      logDriver: flags.anyGiven(LOG_DRIVER, LOG_OPT)
        ? LogDriver.create({ name: flags.value(LOG_DRIVER) ?? 'json-file', options: toRecord(flags.list(LOG_OPT)) })
        : undefined,
      networks: networksOf(flags),
    }),
    endpoint: EndpointSpec.create({ ports: flags.list(run.PUBLISH).flat() }),
  });
}

const EMPTY = ContainerSpec.create();

function containerOf({ flags, image, args, env, registryAuth }: RunInput): ContainerSpec {
  const entrypoint = flags.value(run.ENTRYPOINT);
  const stopTimeout = flags.value(run.STOP_TIMEOUT);
  return ContainerSpec.create({
    image,
    registryAuth,
    labels: toRecord(flags.list(run.LABEL)),
    // An empty one takes that of the image away: what follows is the whole command.
    command: entrypoint === undefined ? [] : entrypoint === '' ? args : [entrypoint],
    args: entrypoint === '' ? [] : args,
    hostname: flags.value(run.HOSTNAME) ?? '',
    env: withoutOverridden(env),
    dir: flags.value(run.WORKDIR) ?? '',
    user: flags.value(run.USER) ?? '',
    groups: flags.list(run.GROUP_ADD),
    readOnly: flags.isSet(READ_ONLY),
    stopSignal: flags.value(STOP_SIGNAL) ?? '',
    stopGracePeriodMs: stopTimeout === undefined ? undefined : stopTimeout * 1000,
    mounts: [...flags.list(run.MOUNT), ...volumes(flags), ...flags.list(run.TMPFS)],
    hosts: flags.list(run.ADD_HOST),
    dns: DnsConfig.create({
      nameservers: flags.list(run.DNS),
      search: flags.list(run.DNS_SEARCH),
      options: flags.list(run.DNS_OPTION),
    }),
    init: flags.isSet(run.INIT),
    sysctls: toRecord(flags.list(run.SYSCTL)),
    ulimits: flags.list(run.ULIMIT).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ...tidyCapabilities(flags.list(run.CAP_ADD), flags.list(run.CAP_DROP)),
    oomScoreAdj: flags.value(run.OOM_SCORE_ADJ) ?? 0,
    ...isolationOf(flags, EMPTY),
    ...oomKillDisableOf(flags, EMPTY),
    ...healthOf(flags, undefined),
  });
}

/** Names and addresses of flags of their own are those on the only network that is named. */
function networksOf(flags: FlagValues): readonly NetworkAttachmentSpec[] {
  const networks = flags.list(run.NETWORK);
  const aliases = flags.list(run.NETWORK_ALIAS);
  const addresses = [flags.value(run.IP), flags.value(run.IP6)].filter((address) => address !== undefined);
  if (aliases.length === 0 && addresses.length === 0) return networks;
  const [only] = networks;
  if (only === undefined || networks.length > 1)
    throw new CliError('--network-alias, --ip and --ip6 are for one network that --network names', {
      hint: 'name them with each network: --network name=back,alias=db,ip=10.0.1.5',
    });
  return [{ ...only, aliases: [...only.aliases, ...aliases], addresses: [...only.addresses, ...addresses] }];
}

/** Those of `--volume` whose driver is not theirs to say. */
function volumes(flags: FlagValues): readonly Mount[] {
  const driver = flags.value(run.VOLUME_DRIVER) ?? '';
  return flags.list(run.VOLUME).map((mount) => {
    if (driver === '' || mount.type !== MountType.VOLUME) return mount;
    return { ...mount, volume: { ...(mount.volume ?? VolumeOptions.create()), driver } };
  });
}
