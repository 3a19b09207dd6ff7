/** The spec that `service create` asks for. */
import type { NetworkAttachmentSpec } from '#gen/swarm/v1/specs.ts';
import {
  ContainerSpec,
  DnsConfig,
  EndpointMode,
  EndpointSpec,
  GlobalMode,
  LogDriver,
  Placement,
  ReplicatedMode,
  ResourceRequirements,
  Resources,
  RestartPolicy,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { FlagValues } from '../../flags.ts';
import { toRecord, withoutOverridden } from '../../values/key-values.ts';
import * as create from './create-flags.ts';
import { healthOf } from './health-flags.ts';
import { isolationOf } from './isolation-flags.ts';
import { createdJobMode, jobOf, MAX_CONCURRENT } from './job-flags.ts';
import { payloadsOf } from './payload-flags.ts';
import { createdRules, genericOf } from './placement-flags.ts';
import { rollbackConfigOf, updateConfigOf } from './rollout-flags.ts';
import * as common from './service-flags.ts';
import { oomKillDisableOf, sharesOf } from './share-flags.ts';

export interface CreateInput {
  readonly flags: FlagValues;
  /** Image with a tag or digest. */
  readonly image: string;
  readonly args: readonly string[];
  /** Entries of all environment files, then those of --env, with the caller's values filled in. */
  readonly env: readonly string[];
  readonly name: string;
  /** With the ids of the networks. */
  readonly networks: readonly NetworkAttachmentSpec[];
  /** Base64 of Docker's auth JSON, or empty. */
  readonly registryAuth: string;
}

/** Throws a CliError where flags contradict each other; the daemon checks the rest. */
export function createSpec(input: CreateInput): ServiceSpec {
  const { flags } = input;
  const mode = modeOf(flags);
  return ServiceSpec.create({
    name: input.name,
    labels: toRecord(flags.list(create.LABEL)),
    mode,
    job: jobOf(flags, mode, undefined),
    task: TaskSpec.create({
      container: containerOf(input),
      resources: resourcesOf(flags, undefined),
      restart: restartOf(flags, undefined),
      placement: placementOf(flags),
      logDriver: logDriverOf(flags),
      networks: input.networks,
      stopAfterDisconnectMs: common.stopAfterDisconnectOf(flags, undefined),
    }),
    update: updateConfigOf(flags, undefined),
    rollback: rollbackConfigOf(flags, undefined),
    endpoint: EndpointSpec.create({
      ports: flags.list(create.PUBLISH).flat(),
      mode: flags.value(common.ENDPOINT_MODE) ?? EndpointMode.UNSPECIFIED,
      drainMs: flags.value(common.DRAIN),
    }),
  });
}

const EMPTY = ContainerSpec.create();

function modeOf(flags: FlagValues): ServiceSpec['mode'] {
  const mode = flags.value(create.MODE) ?? 'replicated';
  if (mode !== 'replicated-job' && flags.given(MAX_CONCURRENT))
    throw new CliError('max-concurrent can only be used with replicated-job mode');
  switch (mode) {
    case 'replicated':
      return { kind: 'replicated', value: ReplicatedMode.create({ replicas: flags.value(common.REPLICAS) ?? 1 }) };
    case 'global':
      if (flags.given(common.REPLICAS))
        throw new CliError('replicas can only be used with replicated or replicated-job mode');
      if (flags.given(common.REPLICAS_MAX_PER_NODE))
        throw new CliError('replicas-max-per-node can only be used with replicated or replicated-job mode');
      return { kind: 'global', value: GlobalMode.create() };
    case 'replicated-job':
    case 'global-job':
      return createdJobMode(mode, flags);
    default:
      throw new CliError(`Unknown mode: ${mode}, only replicated and global supported`);
  }
}

function containerOf({ flags, image, args, env, registryAuth }: CreateInput): ContainerSpec {
  return ContainerSpec.create({
    image,
    registryAuth,
    labels: toRecord(flags.list(create.CONTAINER_LABEL)),
    command: flags.value(common.ENTRYPOINT) ?? [],
    args,
    hostname: flags.value(common.HOSTNAME) ?? '',
    env: withoutOverridden(env),
    dir: flags.value(common.WORKDIR) ?? '',
    user: flags.value(common.USER) ?? '',
    groups: flags.list(create.GROUP),
    tty: flags.isSet(common.TTY),
    readOnly: flags.isSet(common.READ_ONLY),
    stopSignal: flags.value(common.STOP_SIGNAL) ?? '',
    stopGracePeriodMs: flags.value(common.STOP_GRACE_PERIOD),
    mounts: flags.list(create.MOUNT),
    hosts: flags.list(create.HOST),
    dns: DnsConfig.create({
      nameservers: flags.list(create.DNS),
      search: flags.list(create.DNS_SEARCH),
      options: flags.list(create.DNS_OPTION),
    }),
    init: flags.isSet(common.INIT),
    sysctls: toRecord(flags.list(create.SYSCTL)),
    ulimits: flags.list(create.ULIMIT).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ...tidyCapabilities(flags.list(common.CAP_ADD), flags.list(common.CAP_DROP)),
    oomScoreAdj: flags.value(common.OOM_SCORE_ADJ) ?? 0,
    ...isolationOf(flags, EMPTY),
    ...oomKillDisableOf(flags, EMPTY),
    ...healthOf(flags, undefined),
    ...payloadsOf(flags),
  });
}

/** What is both added and dropped is added; a list with `ALL` needs nothing else. */
export function tidyCapabilities(
  add: readonly string[],
  drop: readonly string[],
): Pick<ContainerSpec, 'capabilityAdd' | 'capabilityDrop'> {
  const added = tidy(add);
  const dropped = tidy(drop).filter((name) => !added.includes(name));
  return { capabilityAdd: added, capabilityDrop: dropped };
}

function tidy(names: readonly string[]): readonly string[] {
  const known = [...new Set(names)].filter((name) => name !== 'RESET').toSorted();
  return known.includes('ALL') ? ['ALL'] : known;
}

/** The resources, changed where flags say so. */
export function resourcesOf(flags: FlagValues, before: ResourceRequirements | undefined): ResourceRequirements {
  const limits = before?.limits ?? Resources.create();
  const reservations = before?.reservations ?? Resources.create();
  return sharesOf(flags, {
    ...(before ?? ResourceRequirements.create()),
    limits: {
      ...limits,
      cpuNanos: flags.value(common.LIMIT_CPU) ?? limits.cpuNanos,
      memoryBytes: flags.value(common.LIMIT_MEMORY) ?? limits.memoryBytes,
      pids: flags.value(common.LIMIT_PIDS) ?? limits.pids,
    },
    reservations: {
      ...reservations,
      cpuNanos: flags.value(common.RESERVE_CPU) ?? reservations.cpuNanos,
      memoryBytes: flags.value(common.RESERVE_MEMORY) ?? reservations.memoryBytes,
      generic: genericOf(flags, reservations.generic),
    },
    memorySwapBytes: flags.value(common.MEMORY_SWAP) ?? before?.memorySwapBytes,
  });
}

/** The restart policy, changed where flags say so; undefined when there was none and none is asked for. */
export function restartOf(flags: FlagValues, before: RestartPolicy | undefined): RestartPolicy | undefined {
  const { RESTART_CONDITION, RESTART_DELAY, RESTART_MAX_ATTEMPTS, RESTART_WINDOW } = common;
  if (!flags.anyGiven(RESTART_CONDITION, RESTART_DELAY, RESTART_MAX_ATTEMPTS, RESTART_WINDOW)) return before;
  const policy = before ?? RestartPolicy.create();
  return {
    ...policy,
    condition: flags.value(RESTART_CONDITION) ?? policy.condition,
    delayMs: flags.value(RESTART_DELAY) ?? policy.delayMs,
    maxAttempts: flags.value(RESTART_MAX_ATTEMPTS) ?? policy.maxAttempts,
    windowMs: flags.value(RESTART_WINDOW) ?? policy.windowMs,
  };
}

function placementOf(flags: FlagValues): Placement {
  return Placement.create({
    constraints: flags.list(create.CONSTRAINT),
    preferences: flags.list(create.PLACEMENT_PREF),
    maxReplicas: flags.value(common.REPLICAS_MAX_PER_NODE) ?? 0,
    ...strategyOf(flags),
    ...createdRules(flags),
  });
}

export function strategyOf(flags: FlagValues): Partial<Pick<Placement, 'strategy'>> {
  const strategy = flags.value(common.PLACEMENT_STRATEGY);
  return strategy === undefined ? {} : { strategy };
}

function logDriverOf(flags: FlagValues): LogDriver | undefined {
  if (!flags.anyGiven(common.LOG_DRIVER, common.LOG_OPT)) return undefined;
  const options = toRecord(flags.list(common.LOG_OPT));
  return LogDriver.create({ name: flags.value(common.LOG_DRIVER) ?? 'json-file', options });
}
