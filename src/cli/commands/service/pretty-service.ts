/** `service inspect --pretty`: Docker's page about a service. */
import { formatDuration } from '#common/duration.ts';
import { binarySize } from '#common/size.ts';
import { printFloat } from '#common/template/print-value.ts';
import { type Network, type Service, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import {
  type ContainerSpec,
  type LogDriver,
  type Mount,
  type NetworkAttachmentSpec,
  type Placement,
  type PortConfig,
  type Resources,
  ServiceSpec,
  TaskSpec,
  type UpdateConfig,
} from '#gen/swarm/v1/specs.ts';
import { networkName } from '../../../docker-shape/from-networks.ts';
import { PAUSE_REASONS, portsOf, UPDATE_STATES } from '../../../docker-shape/from-objects.ts';
import {
  DEFAULTS,
  ENDPOINT_MODES,
  FAILURE_ACTIONS,
  MOUNT_TYPES,
  PORT_PROTOCOLS,
  PUBLISH_MODES,
  TRAFFIC_POLICIES,
  UPDATE_ORDERS,
} from '../../../docker-shape/from-specs.ts';
import { ago } from '../../format/texts.ts';
import { prettyRules } from './placement-flags.ts';
import { prettyDependencies } from './pretty-dependencies.ts';
import { prettyHealth } from './pretty-health.ts';
import { prettyJob, prettyJobMode } from './pretty-job.ts';
import { prettyOptions, prettyShares } from './pretty-options.ts';
import { prettyPayloads } from './pretty-payloads.ts';

/** `networks` are those that the service's ids are looked up in. */
export function prettyService(service: Service, networks: ReadonlyMap<string, Network>, nowMs: number): string {
  const spec = service.spec ?? ServiceSpec.create();
  const task = spec.task ?? TaskSpec.create();
  const lines = [
    '',
    `ID:\t\t${service.id}`,
    `Name:\t\t${spec.name}`,
    ...labels(spec.labels),
    ...mode(spec),
    ...prettyJob(service, nowMs),
    ...prettyDependencies(service),
    ...updateStatus(service, nowMs),
    ...placement(task.placement),
    ...(prettyJobMode(spec) === undefined
      ? [...rollout('Update', spec.update), ...rollout('Rollback', spec.rollback)]
      : []),
    ...(task.container === undefined ? [] : container(task.container)),
    ...logDriver(task.logDriver),
    ...resources(task),
    ...networkNames(task.networks, networks),
    `Endpoint Mode:\t${ENDPOINT_MODES[spec.endpoint?.mode ?? 0]}`,
    ...(service.spec?.endpoint?.drainMs === undefined
      ? []
      : [`Drain Period:\t${duration(service.spec.endpoint.drainMs)}`]),
    ...(task.stopAfterDisconnectMs === undefined
      ? []
      : [`Stop After Disconnect:\t${duration(task.stopAfterDisconnectMs)}`]),
    ...ports(portsOf(service)),
    ...virtualAddresses(service, networks),
    '',
  ];
  return lines.join('\n');
}

function sortedEntries(map: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function labels(map: Readonly<Record<string, string>>): readonly string[] {
  const entries = sortedEntries(map);
  if (entries.length === 0) return [];
  return ['Labels:', ...entries.map(([key, value]) => ` ${key}${value === '' ? '' : `=${value}`}`)];
}

function mode(spec: ServiceSpec): readonly string[] {
  const job = prettyJobMode(spec);
  if (job !== undefined) return job;
  if (spec.mode?.kind === 'global') return ['Service Mode:\tGlobal'];
  if (spec.mode?.kind !== 'replicated') return ['Service Mode:'];
  return ['Service Mode:\tReplicated', ` Replicas:\t${spec.mode.value.replicas}`];
}

function updateStatus({ updateStatus: status }: Service, nowMs: number): readonly string[] {
  if (status === undefined || status.state === UpdateState.UNSPECIFIED) return [];
  const lines = ['UpdateStatus:', ` State:\t\t${UPDATE_STATES[status.state]}`];
  if (status.startedAtMs !== 0) lines.push(` Started:\t${ago(status.startedAtMs, nowMs)}`);
  if (status.state === UpdateState.COMPLETED && status.completedAtMs !== 0)
    lines.push(` Completed:\t${ago(status.completedAtMs, nowMs)}`);
  lines.push(` Message:\t${status.message}`);
  // Docker's page has none of these.
  if (status.pauseReason !== UpdatePauseReason.UNSPECIFIED)
    lines.push(` Paused For:\t${PAUSE_REASONS[status.pauseReason]}`);
  if (status.failedTask !== '') lines.push(` Failed Task:\t${status.failedTask}`);
  lines.push(...status.failedTaskLog.map((line) => `  ${line}`));
  return lines;
}

function placement(declared: Placement | undefined): readonly string[] {
  const lines = ['Placement:'];
  if (declared === undefined) return lines;
  if (declared.constraints.length > 0) lines.push(` Constraints:\t[${declared.constraints.join(' ')}]`);
  if (declared.preferences.length > 0)
    lines.push(` Preferences:   [${declared.preferences.map(({ spread }) => `spread=${spread}`).join(' ')}]`);
  if (declared.maxReplicas > 0) lines.push(` Max Replicas Per Node:   ${declared.maxReplicas}`);
  lines.push(...prettyRules(declared));
  return lines;
}

function duration(ms: number): string {
  return formatDuration(ms * 1e6);
}

function rollout(title: 'Update' | 'Rollback', config: UpdateConfig | undefined): readonly string[] {
  const lines = [`${title}Config:`, ` Parallelism:\t${config?.parallelism ?? DEFAULTS.updateParallelism}`];
  if ((config?.delayMs ?? 0) > 0) lines.push(` Delay:\t\t${duration(config?.delayMs ?? 0)}`);
  lines.push(` On failure:\t${FAILURE_ACTIONS[config?.failureAction ?? 0]}`);
  const monitorMs = config?.monitorMs ?? DEFAULTS.updateMonitorMs;
  if (monitorMs > 0) lines.push(` Monitoring Period: ${duration(monitorMs)}`);
  lines.push(` Max failure ratio: ${printFloat(config?.maxFailureRatio ?? 0)}`);
  lines.push(` ${title} order:${' '.repeat(title === 'Update' ? 6 : 4)}${UPDATE_ORDERS[config?.order ?? 0]}`);
  // Docker's page has none of these.
  if (config?.progressDeadlineMs !== undefined)
    lines.push(` Progress deadline: ${config.progressDeadlineMs === 0 ? 'none' : duration(config.progressDeadlineMs)}`);
  if ((config?.canaries ?? 0) > 0)
    lines.push(` Canaries:\t${config?.canaries}${config?.autoPromote === true ? ' (promoted automatically)' : ''}`);
  return lines;
}

function container(spec: ContainerSpec): readonly string[] {
  const lines = ['ContainerSpec:', ` Image:\t\t${spec.image}`];
  if (spec.args.length > 0) lines.push(` Args:\t\t${spec.args.map((arg) => `${arg} `).join('')}`);
  if (spec.env.length > 0) lines.push(` Env:\t\t${spec.env.map((entry) => `${entry} `).join('')}`);
  if (spec.dir !== '') lines.push(` Dir:\t\t${spec.dir}`);
  if (spec.init !== undefined) lines.push(` Init:\t\t${spec.init}`);
  if (spec.user !== '') lines.push(` User: ${spec.user}`);
  const { capabilityAdd, capabilityDrop } = spec;
  if (capabilityAdd.length + capabilityDrop.length > 0) lines.push('Capabilities:');
  if (capabilityAdd.length > 0) lines.push(` Add: ${capabilityAdd.join(', ')}`);
  if (capabilityDrop.length > 0) lines.push(` Drop: ${capabilityDrop.join(', ')}`);
  const sysctls = sortedEntries(spec.sysctls);
  if (sysctls.length > 0) lines.push('SysCtls:');
  for (const [key, value] of sysctls) lines.push(` ${key}${value === '' ? '' : `: ${value}`}`);
  if (spec.ulimits.length > 0) lines.push('Ulimits:');
  for (const { name, soft, hard } of spec.ulimits.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    lines.push(` ${name}: ${soft}:${hard}`);
  lines.push(...prettyOptions(spec));
  if (spec.mounts.length > 0) lines.push('Mounts:', ...spec.mounts.flatMap(mount));
  lines.push(...prettyPayloads(spec));
  lines.push(...prettyHealth(spec));
  return lines;
}

function mount(declared: Mount): readonly string[] {
  return [
    ` Target:\t${declared.target}`,
    `  Source:\t${declared.source}`,
    `  ReadOnly:\t${declared.readOnly}`,
    `  Type:\t\t${MOUNT_TYPES[declared.type]}`,
  ];
}

/** An empty line follows, as in Docker's page. */
function logDriver(driver: LogDriver | undefined): readonly string[] {
  if (driver === undefined) return [];
  const lines = ['Log Driver:'];
  if (driver.name !== '') lines.push(` Name:\t\t${driver.name}`);
  const options = sortedEntries(driver.options);
  if (options.length > 0) lines.push(' LogOpts:');
  for (const [key, value] of options) lines.push(`  ${key}${value === '' ? '' : `:       ${value}`}`);
  return [...lines, ''];
}

function resources({ resources: declared }: TaskSpec): readonly string[] {
  const { limits, reservations } = declared ?? {};
  const lines = ['Resources:'];
  if (hasSize(reservations)) lines.push(' Reservations:', ...sizes(reservations));
  if (hasSize(limits) || (limits?.pids ?? 0) > 0) lines.push(' Limits:', ...sizes(limits));
  if ((limits?.pids ?? 0) > 0) lines.push(`  PIDs:\t\t${limits?.pids}`);
  lines.push(...prettyShares(declared));
  return lines;
}

function hasSize(amount: Resources | undefined): boolean {
  return (amount?.cpuNanos ?? 0) > 0 || (amount?.memoryBytes ?? 0) > 0 || (amount?.generic.length ?? 0) > 0;
}

function sizes(amount: Resources | undefined): readonly string[] {
  const lines: string[] = [];
  const cpus = (amount?.cpuNanos ?? 0) / 1e9;
  const bytes = amount?.memoryBytes ?? 0;
  if (cpus > 0) lines.push(`  CPU:\t\t${printFloat(cpus)}`);
  if (bytes > 0) lines.push(`  Memory:\t${binarySize(bytes)}`);
  for (const { kind, value } of amount?.generic ?? []) lines.push(`  ${kind}:\t\t${value?.value ?? ''}`);
  return lines;
}

/** Docker's line ends with a blank. */
function networkNames(
  attachments: readonly NetworkAttachmentSpec[],
  networks: ReadonlyMap<string, Network>,
): readonly string[] {
  if (attachments.length === 0) return [];
  return [`Networks: ${attachments.map(({ network }) => `${nameOf(network, networks)} `).join('')}`];
}

function nameOf(id: string, networks: ReadonlyMap<string, Network>): string {
  const network = networks.get(id);
  return network === undefined ? id : networkName(network);
}

/** Docker's page has none of these. */
function virtualAddresses({ endpoint }: Service, networks: ReadonlyMap<string, Network>): readonly string[] {
  const lines = (endpoint?.addresses ?? []).map(
    ({ network, addresses }) => ` ${nameOf(network, networks)}:\t${addresses.join(' ')}`,
  );
  const problem = endpoint?.problem ?? '';
  return [
    ...(lines.length === 0 ? [] : ['Virtual IPs:', ...lines]),
    ...(problem === '' ? [] : [`Endpoint Problem:\t${problem}`]),
  ];
}

/** Docker's last port is followed by a blank. */
function ports(declared: readonly PortConfig[]): readonly string[] {
  if (declared.length === 0) return [];
  const lines = declared.flatMap((port) => [
    ` PublishedPort = ${port.publishedPort}`,
    `  Protocol = ${PORT_PROTOCOLS[port.protocol]}`,
    `  TargetPort = ${port.targetPort}`,
    `  PublishMode = ${PUBLISH_MODES[port.publishMode]}`,
    // Docker has neither.
    ...(port.hostIp === '' ? [] : [`  HostIP = ${port.hostIp}`]),
    ...(TRAFFIC_POLICIES[port.trafficPolicy] === ''
      ? []
      : [`  TrafficPolicy = ${TRAFFIC_POLICIES[port.trafficPolicy]}`]),
  ]);
  return ['Ports:', ...lines.slice(0, -1), `${lines.at(-1)} `];
}
