import { formatDuration, humanDuration, NANOS_PER_MS } from '#common/duration.ts';
import { DEFAULT_SAVES_KEPT } from '#common/limits.ts';
import { visibleText } from '#common/readable-text.ts';
import { binarySize } from '#common/size.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { printTime } from '#common/template/print-value.ts';
import { type CertificateInfo, type GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import { type ClusterPolicy, type ExternalCa, type LogConfig, type NodeConfig, NodeRole } from '#gen/swarm/v1/specs.ts';
import {
  LOCAL_NODE_STATES,
  LOG_DRIVERS,
  NETWORK_DRIVERS,
  systemInfoShape,
  VOLUME_DRIVERS,
  withoutPort,
} from '../../../docker-shape/from-info.ts';
import { clusterSpecShape } from '../../../docker-shape/from-objects.ts';
import { SYSTEM_INFO } from '../../../docker-shape/swarm-types.ts';
import { VERSION } from '../../../swarmd/version.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { inspectFormat } from '../../format/inspect-format.ts';
import { dataPathLines } from '../shared/data-path-lines.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';

export const info: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT],
  examples: ['swarm info', "swarm info --format '{{.Swarm.LocalNodeState}}'"],
  run: showInfo,
};

async function showInfo({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const answer = await api.node.getInfo({});
  const value = { type: SYSTEM_INFO, data: systemInfoShape(answer) };
  const format = flags.value(INSPECT_FORMAT);
  if (wantsDocument(flags, INSPECT_FORMAT) || format === 'json') {
    context.stdout.write(`${encodeJson(value.type, value.data)}\n`);
    return;
  }
  if (format !== undefined && format !== '') {
    const output = inspectFormat(format);
    output.add(value);
    context.stdout.write(output.text());
    return;
  }
  context.stdout.write(`${visibleText(infoText(answer))}\n`);
  for (const warning of answer.warnings) printWarning(context, `WARNING: ${warning}`);
}

/** Docker's page, without the lines that have no meaning here. */
function infoText(answer: GetInfoResponse): string {
  const { description } = answer;
  const engine = description?.engine;
  const lines = [
    'Client:',
    ` Version:    ${VERSION}`,
    '',
    'Server:',
    ` Containers: ${answer.containersTotal}`,
    `  Running: ${answer.containersRunning}`,
    `  Stopped: ${answer.containersTotal - answer.containersRunning}`,
    ` Images: ${answer.images}`,
    ` Server Version: ${answer.version}`,
    ' Logging Driver: json-file',
    ` Cgroup Version: ${engine?.cgroupVersion ?? ''}`,
    ' Plugins:',
    `  Volume: ${VOLUME_DRIVERS.join(' ')}`,
    `  Network: ${NETWORK_DRIVERS.join(' ')}`,
    `  Log: ${LOG_DRIVERS.join(' ')}`,
    ...swarmLines(answer),
    ` Runtimes: ${runtimesText(engine?.runtimes ?? {})}`,
    ` Kernel Version: ${engine?.kernelVersion ?? ''}`,
    ` Operating System: ${engine?.operatingSystem ?? ''}`,
    ` OSType: ${description?.platform?.os ?? ''}`,
    ` Architecture: ${description?.platform?.architecture ?? ''}`,
    ` CPUs: ${Math.round((description?.resources?.cpuNanos ?? 0) / 1e9)}`,
    ` Total Memory: ${binarySize(description?.resources?.memoryBytes ?? 0)}`,
    ` Name: ${description?.hostname ?? ''}`,
    ` ID: ${answer.nodeId}`,
    ` State Directory: ${answer.stateDirectory}`,
    ` Node.js Version: ${answer.nodeVersion}`,
  ];
  for (const condition of description?.conditions ?? [])
    lines.push(` Condition: ${condition.type}: ${condition.message}`);
  lines.push(' Live Restore Enabled: true', '');
  return lines.join('\n');
}

function runtimesText(runtimes: Readonly<Record<string, string>>): string {
  return Object.entries(runtimes)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, version]) => (version === '' ? name : `${name} ${version}`))
    .join(' ');
}

function swarmLines(answer: GetInfoResponse): readonly string[] {
  const lines = [` Swarm: ${LOCAL_NODE_STATES[answer.state]}`];
  if (answer.state === LocalNodeState.LOCKED) return lines;
  if (answer.state === LocalNodeState.INACTIVE || answer.state === LocalNodeState.UNSPECIFIED)
    return answer.error === '' ? lines : [...lines, `  Error: ${answer.error}`];
  lines.push(`  NodeID: ${answer.nodeId}`);
  if (answer.error !== '') lines.push(`  Error: ${answer.error}`);
  const isManager = answer.role === NodeRole.MANAGER;
  lines.push(`  Is Manager: ${isManager}`);
  if (isManager && answer.cluster !== undefined) lines.push(...managerLines(answer));
  else lines.push(`  Connected: ${answer.connected}`);
  // A worker that advertises none has the address that managers see, which they alone know.
  if (answer.advertiseAddress !== '') lines.push(`  Node Address: ${withoutPort(answer.advertiseAddress)}`);
  lines.push(...dataPathLines('  ', answer.description?.dataPath));
  lines.push(...certificateLines(answer.certificate));
  const addresses = answer.managers.map((peer) => peer.address).toSorted();
  if (addresses.length > 0) lines.push('  Manager Addresses:', ...addresses.map((address) => `   ${address}`));
  return lines;
}

function certificateLines(certificate: CertificateInfo | undefined): readonly string[] {
  if (certificate?.tls === undefined) return [];
  const { tls, renewalMs, failures, problem } = certificate;
  const how = failures === 0 ? 'Renewal' : `Renewal (${failures} failed)`;
  return [
    '  Certificate:',
    `   Until: ${printTime(tls.notAfterMs)}`,
    ...(renewalMs === 0 ? [] : [`   ${how}: ${printTime(renewalMs)}`]),
    ...(problem === '' ? [] : [`   Problem: ${problem}`]),
  ];
}

function managerLines(answer: GetInfoResponse): readonly string[] {
  const { cluster } = answer;
  // The shape has the defaults filled in.
  const spec = clusterSpecShape(cluster?.spec);
  return [
    `  ClusterID: ${answer.clusterId}`,
    `  Managers: ${answer.managerCount}`,
    `  Nodes: ${answer.nodeCount}`,
    `  Default Address Pool: ${(cluster?.defaultAddressPools ?? []).map((pool) => `${pool}  `).join('')}`,
    `  SubnetSize: ${cluster?.subnetSize ?? 0}`,
    `  Data Path Port: ${cluster?.dataPathPort ?? 0}`,
    ...(cluster?.spec?.network?.encryptDataPath === true ? ['  Encrypted Data Path: true'] : []),
    ...policyLines(cluster?.spec?.policy),
    ...cleanupLines(cluster?.spec?.nodes),
    '  Orchestration:',
    `   Task History Retention Limit: ${spec.Orchestration.TaskHistoryRetentionLimit}`,
    '  Raft:',
    `   Snapshot Interval: ${spec.Raft.SnapshotInterval}`,
    `   Number of Old Snapshots to Retain: ${spec.Raft.KeepOldSnapshots}`,
    `   Heartbeat Tick: ${spec.Raft.HeartbeatTick}`,
    `   Election Tick: ${spec.Raft.ElectionTick}`,
    ...savedSnapshotLines(cluster?.spec?.log),
    '  Dispatcher:',
    `   Heartbeat Period: ${periodText(spec.Dispatcher.HeartbeatPeriod)}`,
    '  CA Configuration:',
    `   Expiry Duration: ${humanDuration(spec.CAConfig.NodeCertExpiry)}`,
    ...externalCaLines(cluster?.spec?.ca?.externalCas ?? []),
    `  Autolock Managers: ${cluster?.spec?.encryption?.autoLockManagers === true}`,
    `  Root Rotation In Progress: ${cluster?.rootCa?.rotation !== undefined}`,
  ];
}

function externalCaLines(authorities: readonly ExternalCa[]): readonly string[] {
  return authorities.length === 0 ? [] : ['   External CAs:', ...authorities.map(({ url }) => `     cfssl: ${url}`)];
}

function policyLines(policy: ClusterPolicy | undefined): readonly string[] {
  if (policy === undefined) return [];
  const allowed = [
    policy.allowPrivileged ? 'privileged' : '',
    policy.allowDevices ? 'devices' : '',
    policy.allowHostNamespaces ? 'host namespaces' : '',
    policy.allowUnconfined ? 'unconfined' : '',
  ].filter((word) => word !== '');
  return [
    '  Policy:',
    `   Services May Be: ${allowed.length === 0 ? 'plain' : allowed.join(', ')}`,
    `   No New Privileges: ${policy.requireNoNewPrivileges ? 'required' : 'as declared'}`,
  ];
}

/** What becomes of nodes that do not come back, where something does. */
function cleanupLines(nodes: NodeConfig | undefined): readonly string[] {
  if (nodes === undefined) return [];
  const text = (ms: number): string => formatDuration(ms * NANOS_PER_MS);
  const { pruneDownAfterMs = 0, cleanupDeadManagers, deadManagerAfterMs, stabilizationMs } = nodes;
  return [
    '  Nodes:',
    `   Prune Workers Down For: ${pruneDownAfterMs === 0 ? 'never' : text(pruneDownAfterMs)}`,
    `   Clean Up Dead Managers: ${cleanupDeadManagers}`,
    ...(deadManagerAfterMs === undefined ? [] : [`   Manager Dead After: ${text(deadManagerAfterMs)}`]),
    ...(stabilizationMs === undefined ? [] : [`   Manager Stabilization: ${text(stabilizationMs)}`]),
  ];
}

function savedSnapshotLines(log: LogConfig | undefined): readonly string[] {
  const intervalMs = log?.saveIntervalMs ?? 0;
  if (intervalMs === 0) return [];
  return [
    '  Saved Snapshots:',
    `   Interval: ${formatDuration(intervalMs * NANOS_PER_MS)}`,
    `   Kept on Every Manager: ${log?.savesKept ?? DEFAULT_SAVES_KEPT}`,
  ];
}

/** In words where the words are exact. */
function periodText(ns: number): string {
  return ns % 1e9 === 0 ? humanDuration(ns) : formatDuration(ns);
}
