/** The spec that `service update` makes of the present one. What no flag names stays as it is. */
import {
  type ContainerSpec,
  DnsConfig,
  EndpointSpec,
  LogDriver,
  type Mount,
  type NetworkAttachmentSpec,
  Placement,
  type PortConfig,
  PublishMode,
  type ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { PORT_PROTOCOLS, PUBLISH_MODES } from '../../../docker-shape/from-specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { Flag, FlagValues } from '../../flags.ts';
import { type KeyValue, keyValue, toRecord, withCallersValue } from '../../values/key-values.ts';
import { resourcesOf, restartOf, strategyOf } from './create-spec.ts';
import { healthOf } from './health-flags.ts';
import { changedIsolation } from './isolation-flags.ts';
import { jobOf, updatedJobMode } from './job-flags.ts';
import { changedPayloads } from './payload-flags.ts';
import { changedRules } from './placement-flags.ts';
import { rollbackConfigOf, updateConfigOf } from './rollout-flags.ts';
import * as common from './service-flags.ts';
import { oomKillDisableOf } from './share-flags.ts';
import * as update from './update-flags.ts';

export interface UpdateInput {
  readonly flags: FlagValues;
  /** Networks as they are to be, with their ids. */
  readonly networks: readonly NetworkAttachmentSpec[];
  /** The image with a tag, when --image names one. */
  readonly image: string | undefined;
  /** Empty leaves the credentials as they are. */
  readonly registryAuth: string;
  /** The caller's environment, for --env-add NAME. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** Throws a CliError where a flag does not fit the service. */
export function updateSpec(spec: ServiceSpec, input: UpdateInput): ServiceSpec {
  const { flags } = input;
  const task = spec.task ?? TaskSpec.create();
  const container = task.container as ContainerSpec;
  return {
    ...spec,
    labels: changedMap(flags, spec.labels, update.LABEL_ADD, update.LABEL_RM),
    mode: modeOf(flags, spec),
    task: {
      ...task,
      container: containerOf(input, container),
      resources: resourcesOf(flags, task.resources),
      restart: restartOf(flags, task.restart),
      placement: placementOf(flags, task.placement),
      logDriver: logDriverOf(flags, task.logDriver),
      networks: input.networks,
      stopAfterDisconnectMs: common.stopAfterDisconnectOf(flags, task.stopAfterDisconnectMs),
      forceUpdate: task.forceUpdate + (flags.isSet(update.FORCE) ? 1 : 0),
    },
    update: updateConfigOf(flags, spec.update),
    rollback: rollbackConfigOf(flags, spec.rollback),
    endpoint: endpointOf(flags, spec.endpoint),
    job: jobOf(flags, spec.mode, spec.job),
  };
}

function modeOf(flags: FlagValues, spec: ServiceSpec): ServiceSpec['mode'] {
  const jobMode = updatedJobMode(flags, spec);
  if (jobMode !== undefined) return jobMode;
  const replicas = flags.value(common.REPLICAS);
  if (replicas === undefined) return spec.mode;
  if (spec.mode?.kind !== 'replicated')
    throw new CliError('replicas can only be used with replicated or replicated-job mode');
  return { kind: 'replicated', value: { ...spec.mode.value, replicas } };
}

function containerOf(input: UpdateInput, before: ContainerSpec): ContainerSpec {
  const { flags, variables } = input;
  const environment = flags.list(update.ENV_ADD).map((entry) => withCallersValue(entry, variables));
  return {
    ...before,
    image: input.image ?? before.image,
    registryAuth: input.registryAuth === '' ? before.registryAuth : input.registryAuth,
    labels: changedMap(flags, before.labels, update.CONTAINER_LABEL_ADD, update.CONTAINER_LABEL_RM),
    command: flags.value(common.ENTRYPOINT) ?? before.command,
    args: flags.value(update.ARGS) ?? before.args,
    hostname: flags.value(common.HOSTNAME) ?? before.hostname,
    env: changedEnvironment(before.env, environment, flags.list(update.ENV_RM)),
    dir: flags.value(common.WORKDIR) ?? before.dir,
    user: flags.value(common.USER) ?? before.user,
    groups: changedSet(flags, before.groups, update.GROUP_ADD, update.GROUP_RM),
    tty: flags.value(common.TTY) ?? before.tty,
    readOnly: flags.value(common.READ_ONLY) ?? before.readOnly,
    stopSignal: flags.value(common.STOP_SIGNAL) ?? before.stopSignal,
    stopGracePeriodMs: flags.value(common.STOP_GRACE_PERIOD) ?? before.stopGracePeriodMs,
    mounts: changedMounts(flags, before.mounts),
    hosts: changedHosts(flags, before.hosts),
    dns: changedDns(flags, before.dns),
    init: flags.value(common.INIT) ?? before.init,
    sysctls: changedMap(flags, before.sysctls, update.SYSCTL_ADD, update.SYSCTL_RM),
    ulimits: changedUlimits(flags, before.ulimits),
    ...changedCapabilities(flags, before),
    oomScoreAdj: flags.value(common.OOM_SCORE_ADJ) ?? before.oomScoreAdj,
    ...changedIsolation(flags, before),
    ...oomKillDisableOf(flags, before),
    ...healthOf(flags, before),
    ...changedPayloads(flags, before),
  };
}

/** Removes, then adds, as Docker does. */
function changedMap(
  flags: FlagValues,
  before: Readonly<Record<string, string>>,
  add: Flag<KeyValue>,
  remove: Flag<string>,
): Readonly<Record<string, string>> {
  const removed = new Set(flags.list(remove));
  const kept = Object.entries(before).filter(([key]) => !removed.has(key));
  return { ...Object.fromEntries(kept), ...toRecord(flags.list(add)) };
}

/** A list without order or duplicates; untouched when no flag is given. */
function changedSet(
  flags: FlagValues,
  before: readonly string[],
  add: Flag<string>,
  remove: Flag<string>,
): readonly string[] {
  if (!flags.anyGiven(add, remove)) return before;
  const removed = new Set(flags.list(remove));
  return [...new Set([...before.filter((item) => !removed.has(item)), ...flags.list(add)])].toSorted();
}

function changedEnvironment(
  before: readonly string[],
  added: readonly string[],
  removedNames: readonly string[],
): readonly string[] {
  const removed = new Set(removedNames.map((text) => keyValue(text).key));
  const result = before.filter((entry) => !removed.has(keyValue(entry).key));
  for (const entry of added) {
    const at = result.findIndex((other) => keyValue(other).key === keyValue(entry).key);
    if (at >= 0) result[at] = entry;
    else result.push(entry);
  }
  return result;
}

function changedMounts(flags: FlagValues, before: readonly Mount[]): readonly Mount[] {
  if (!flags.anyGiven(update.MOUNT_ADD, update.MOUNT_RM)) return before;
  const removed = new Set(flags.list(update.MOUNT_RM));
  const byTarget = new Map<string, Mount>();
  for (const mount of [...before, ...flags.list(update.MOUNT_ADD)]) byTarget.set(mount.target, mount);
  const kept = [...byTarget.values()].filter((mount) => !removed.has(mount.target));
  const order = (mount: Mount): string => `${mount.source}\0${mount.target}`;
  return kept.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** Lines of /etc/hosts: `address name [alias...]`. `--host-rm` takes a name or name:address. */
function changedHosts(flags: FlagValues, before: readonly string[]): readonly string[] {
  const removals = flags.list(update.HOST_RM).map((text) => {
    const [, name = text, address] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
    return { name, address };
  });
  const kept = before.filter((line) => {
    const [address, name] = line.split(/\s+/);
    return !removals.some((removal) => removal.name === name && (removal.address ?? address) === address);
  });
  return [...kept, ...flags.list(update.HOST_ADD).filter((line) => !kept.includes(line))];
}

function changedDns(flags: FlagValues, before: DnsConfig | undefined): DnsConfig | undefined {
  const { DNS_ADD, DNS_RM, DNS_OPTION_ADD, DNS_OPTION_RM, DNS_SEARCH_ADD, DNS_SEARCH_RM } = update;
  if (!flags.anyGiven(DNS_ADD, DNS_RM, DNS_OPTION_ADD, DNS_OPTION_RM, DNS_SEARCH_ADD, DNS_SEARCH_RM)) return before;
  const dns = before ?? DnsConfig.create();
  return {
    ...dns,
    nameservers: changedSet(flags, dns.nameservers, DNS_ADD, DNS_RM),
    options: changedSet(flags, dns.options, DNS_OPTION_ADD, DNS_OPTION_RM),
    search: changedSet(flags, dns.search, DNS_SEARCH_ADD, DNS_SEARCH_RM),
  };
}

function changedUlimits(flags: FlagValues, before: ContainerSpec['ulimits']): ContainerSpec['ulimits'] {
  if (!flags.anyGiven(update.ULIMIT_ADD, update.ULIMIT_RM)) return before;
  const removed = new Set(flags.list(update.ULIMIT_RM));
  const byName = new Map(before.filter(({ name }) => !removed.has(name)).map((ulimit) => [ulimit.name, ulimit]));
  for (const ulimit of flags.list(update.ULIMIT_ADD)) byName.set(ulimit.name, ulimit);
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Docker's rules: RESET empties a list; adding what is dropped takes it off the dropped ones and no more, and dropping
 * what is added likewise; given both ways, it is added; ALL replaces the list.
 */
function changedCapabilities(
  flags: FlagValues,
  before: ContainerSpec,
): Pick<ContainerSpec, 'capabilityAdd' | 'capabilityDrop'> {
  const { capabilityAdd, capabilityDrop } = before;
  if (!flags.anyGiven(common.CAP_ADD, common.CAP_DROP)) return { capabilityAdd, capabilityDrop };
  const toAdd = new Set(flags.list(common.CAP_ADD));
  const toDrop = new Set(flags.list(common.CAP_DROP));
  const added = new Set(toAdd.delete('RESET') ? [] : capabilityAdd);
  const dropped = new Set(toDrop.delete('RESET') ? [] : capabilityDrop);
  for (const name of toAdd) toDrop.delete(name);
  for (const name of toAdd) if (!dropped.delete(name)) added.add(name);
  for (const name of toDrop) if (!added.delete(name)) dropped.add(name);
  return { capabilityAdd: asList(added), capabilityDrop: asList(dropped) };
}

function asList(names: ReadonlySet<string>): readonly string[] {
  return names.has('ALL') ? ['ALL'] : [...names].toSorted();
}

function placementOf(flags: FlagValues, before: Placement | undefined): Placement {
  const placement = before ?? Placement.create();
  const removed = new Set(flags.list(update.PLACEMENT_PREF_RM).map(({ spread }) => spread));
  const kept = placement.preferences.filter(({ spread }) => !removed.has(spread));
  return {
    ...placement,
    constraints: changedSet(flags, placement.constraints, update.CONSTRAINT_ADD, update.CONSTRAINT_RM),
    preferences: [...kept, ...flags.list(update.PLACEMENT_PREF_ADD)],
    maxReplicas: flags.value(common.REPLICAS_MAX_PER_NODE) ?? placement.maxReplicas,
    ...strategyOf(flags),
    ...changedRules(flags, placement),
  };
}

/** A driver is named with all of its options; options alone are for the driver there is. */
function logDriverOf(flags: FlagValues, before: LogDriver | undefined): LogDriver | undefined {
  if (!flags.anyGiven(common.LOG_DRIVER, common.LOG_OPT)) return before;
  const name = flags.value(common.LOG_DRIVER) ?? before?.name ?? 'json-file';
  return LogDriver.create({ name, options: toRecord(flags.list(common.LOG_OPT)) });
}

function endpointOf(flags: FlagValues, before: EndpointSpec | undefined): EndpointSpec | undefined {
  if (!flags.anyGiven(update.PUBLISH_ADD, update.PUBLISH_RM, common.ENDPOINT_MODE, common.DRAIN)) return before;
  const endpoint = before ?? EndpointSpec.create();
  return {
    ...endpoint,
    ports: portsOf(flags, endpoint.ports),
    mode: flags.value(common.ENDPOINT_MODE) ?? endpoint.mode,
    drainMs: flags.value(common.DRAIN) ?? endpoint.drainMs,
  };
}

function portsOf(flags: FlagValues, before: readonly PortConfig[]): readonly PortConfig[] {
  if (!flags.anyGiven(update.PUBLISH_ADD, update.PUBLISH_RM)) return before;
  const removals = flags.list(update.PUBLISH_RM).flat();
  const added = flags.list(update.PUBLISH_ADD).flat();
  const replaced = new Set(added.map(published));
  const kept = before.filter((port) => !removals.some((one) => isMeant(one, port)) && !replaced.has(published(port)));
  return [...kept, ...added].toSorted((a, b) => (portText(a) < portText(b) ? -1 : 1));
}

/** By its target and protocol, and by its mode where the removal names one. */
function isMeant(removal: PortConfig, port: PortConfig): boolean {
  const isAnyMode = removal.publishMode === PublishMode.UNSPECIFIED;
  return target(removal) === target(port) && (isAnyMode || modeName(removal) === modeName(port));
}

function modeName(port: PortConfig): string {
  return PUBLISH_MODES[port.publishMode];
}

function target(port: PortConfig): string {
  return `${port.targetPort}/${PORT_PROTOCOLS[port.protocol]}`;
}

/** Ports that are left to the swarm are apart by their targets. */
function published(port: PortConfig): string {
  const number = port.publishedPort === 0 ? `any for ${port.targetPort}` : String(port.publishedPort);
  return `${port.hostIp}:${number}/${PORT_PROTOCOLS[port.protocol]}`;
}

function portText(port: PortConfig): string {
  return `${port.publishedPort}:${target(port)}/${modeName(port)}`;
}
