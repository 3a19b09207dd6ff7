/** The objects of the store in Docker's shape. */

import type { StructData } from '#common/template/go-types.ts';
import type { ServiceTaskCounts, TaskView } from '#gen/swarm/v1/control.ts';
import {
  type Cluster,
  type Network,
  type Node,
  NodeState,
  type Service,
  type Task,
  TaskState,
  UpdatePauseReason,
  UpdateState,
  type UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
import { type ClusterSpec, NodeAvailability, NodeRole, type PortConfig } from '#gen/swarm/v1/specs.ts';
import { taskHealthShape } from './from-health.ts';
import { jobStatusShape } from './from-jobs.ts';
import { attachedNetworkData, networkSubnets, withPrefixLength } from './from-networks.ts';
import { policyShape } from './from-options.ts';
import { genericShape } from './from-placement.ts';
import { endpointSpecShape, portShape, serviceSpecShape, taskSpecShape } from './from-specs.ts';
import { NO_ROOT, nodeTlsShape, type TrustRoot } from './from-tls.ts';
import { predefinedNetwork } from './predefined-networks.ts';

const NS_PER_MS = 1e6;
const DEFAULT_TASK_HISTORY = 5;
const DEFAULT_HEARTBEAT_MS = 1000;
const DEFAULT_CERT_EXPIRY_MS = 90 * 24 * 60 * 60 * 1000;
const DEFAULT_SNAPSHOT_INTERVAL = 10_000;

/** Why an update is paused. Docker does not say. */
export const PAUSE_REASONS: Readonly<Record<UpdatePauseReason, string>> = {
  [UpdatePauseReason.UNSPECIFIED]: '',
  [UpdatePauseReason.FAILURE]: 'failure',
  [UpdatePauseReason.STALLED]: 'stalled',
  [UpdatePauseReason.CANARY]: 'canary',
  [UpdatePauseReason.USER]: 'user',
};

export const NODE_STATES: Readonly<Record<NodeState, string>> = {
  [NodeState.UNSPECIFIED]: 'unknown',
  [NodeState.UNKNOWN]: 'unknown',
  [NodeState.DOWN]: 'down',
  [NodeState.READY]: 'ready',
  [NodeState.DISCONNECTED]: 'disconnected',
};

export const NODE_ROLES: Readonly<Record<NodeRole, string>> = {
  [NodeRole.UNSPECIFIED]: 'worker',
  [NodeRole.WORKER]: 'worker',
  [NodeRole.MANAGER]: 'manager',
};

export const NODE_AVAILABILITIES: Readonly<Record<NodeAvailability, string>> = {
  [NodeAvailability.UNSPECIFIED]: 'active',
  [NodeAvailability.ACTIVE]: 'active',
  [NodeAvailability.PAUSE]: 'pause',
  [NodeAvailability.DRAIN]: 'drain',
};

export const TASK_STATES: Readonly<Record<TaskState, string>> = {
  [TaskState.UNSPECIFIED]: 'new',
  [TaskState.NEW]: 'new',
  [TaskState.PENDING]: 'pending',
  [TaskState.ASSIGNED]: 'assigned',
  [TaskState.ACCEPTED]: 'accepted',
  [TaskState.PREPARING]: 'preparing',
  [TaskState.READY]: 'ready',
  [TaskState.STARTING]: 'starting',
  [TaskState.RUNNING]: 'running',
  [TaskState.COMPLETE]: 'complete',
  [TaskState.SHUTDOWN]: 'shutdown',
  [TaskState.FAILED]: 'failed',
  [TaskState.REJECTED]: 'rejected',
  [TaskState.REMOVE]: 'remove',
  [TaskState.ORPHANED]: 'orphaned',
};

export const UPDATE_STATES: Readonly<Record<UpdateState, string>> = {
  [UpdateState.UNSPECIFIED]: '',
  [UpdateState.UPDATING]: 'updating',
  [UpdateState.PAUSED]: 'paused',
  [UpdateState.COMPLETED]: 'completed',
  [UpdateState.ROLLBACK_STARTED]: 'rollback_started',
  [UpdateState.ROLLBACK_PAUSED]: 'rollback_paused',
  [UpdateState.ROLLBACK_COMPLETED]: 'rollback_completed',
};

interface StoreObject {
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

function meta(object: StoreObject): StructData {
  return { Version: { Index: object.version }, CreatedAt: object.createdAtMs, UpdatedAt: object.updatedAtMs };
}

/** Networks by id, where they are known: addresses are shown with the length of their prefix then. */
export type KnownNetworks = ReadonlyMap<string, Network>;

const NO_NETWORKS: KnownNetworks = new Map();

/** The service with defaults filled in, as Docker's inspect shows it. */
export function serviceShape(
  service: Service,
  counts: ServiceTaskCounts | undefined,
  networks: KnownNetworks = NO_NETWORKS,
): StructData {
  const { spec } = service;
  return {
    ID: service.id,
    ...meta(service),
    Spec: spec === undefined ? {} : serviceSpecShape(spec),
    Endpoint: endpointShape(service, networks),
    UpdateStatus: updateStatusShape(service.updateStatus),
    ServiceStatus: counts && {
      RunningTasks: counts.running,
      DesiredTasks: counts.desired,
      CompletedTasks: counts.completed,
    },
    JobStatus: jobStatusShape(service),
    WaitsFor: service.waitsFor,
  };
}

/** Published ports with those that the swarm chose. */
export function portsOf({ spec, endpoint }: Service): readonly PortConfig[] {
  return endpoint?.ports ?? spec?.endpoint?.ports ?? [];
}

/** Docker shows the endpoint of a service that has neither ports nor networks as empty. */
function endpointShape(service: Service, networks: KnownNetworks): StructData {
  const { spec, endpoint } = service;
  const ports = portsOf(service);
  const joins = spec?.task?.networks.some(({ network }) => predefinedNetwork(network) === undefined) ?? false;
  if (ports.length === 0 && !joins) return {};
  return {
    Spec: endpointSpecShape(spec?.endpoint),
    Ports: ports.map(portShape),
    VirtualIPs: endpoint?.addresses.flatMap(({ network, addresses }) =>
      withPrefixes(addresses, networks.get(network)).map((Addr) => ({ NetworkID: network, Addr })),
    ),
    Problem: endpoint?.problem,
  };
}

function withPrefixes(addresses: readonly string[], network: Network | undefined): readonly string[] {
  const subnets = network === undefined ? [] : networkSubnets(network);
  return addresses.map((address) => withPrefixLength(address, subnets));
}

function updateStatusShape(status: UpdateStatus | undefined): StructData | undefined {
  if (status === undefined || status.state === UpdateState.UNSPECIFIED) return undefined;
  return {
    State: UPDATE_STATES[status.state],
    StartedAt: status.startedAtMs === 0 ? undefined : status.startedAtMs,
    CompletedAt: status.completedAtMs === 0 ? undefined : status.completedAtMs,
    Message: status.message,
    PauseReason: PAUSE_REASONS[status.pauseReason],
    FailedTask: status.failedTask,
    FailedTaskLog: status.failedTaskLog.length === 0 ? undefined : status.failedTaskLog,
  };
}

/** `root` is what Docker shows of the node's trust root, where the caller has it. */
export function nodeShape(node: Node, root: TrustRoot = NO_ROOT): StructData {
  const { description, status, managerStatus } = node;
  return {
    ID: node.id,
    ...meta(node),
    Spec: {
      Name: node.spec?.name,
      Labels: node.spec?.labels ?? {},
      Role: NODE_ROLES[node.spec?.desiredRole || node.role],
      Availability: NODE_AVAILABILITIES[node.spec?.availability ?? NodeAvailability.ACTIVE],
    },
    Description: {
      Hostname: description?.hostname,
      Platform: { Architecture: description?.platform?.architecture, OS: description?.platform?.os },
      Resources: {
        NanoCPUs: description?.resources?.cpuNanos,
        MemoryBytes: description?.resources?.memoryBytes,
        GenericResources: genericShape(description?.resources?.generic),
      },
      Engine: {
        EngineVersion: description?.engine?.version,
        Labels: description?.engine?.labels,
        Plugins: [
          { Type: 'Log', Name: 'json-file' },
          { Type: 'Volume', Name: 'local' },
        ],
      },
      TLSInfo: nodeTlsShape(description?.tls, root),
      DataPath: description?.dataPath && {
        Address: description.dataPath.address,
        MTU: description.dataPath.mtu,
        EncryptionProblem: description.dataPath.encryptionProblem,
      },
    },
    Status: {
      State: NODE_STATES[status?.state ?? NodeState.UNKNOWN],
      Message: status?.message,
      Addr: status?.address,
    },
    Drain: node.drain && {
      StartedAt: node.drain.startedAtMs,
      CompletedAt: node.drain.completedAtMs || undefined,
      Total: node.drain.total,
      Left: node.drain.left,
      Message: node.drain.message,
    },
    ManagerStatus: managerStatus && {
      Leader: managerStatus.leader,
      Reachability: managerStatus.reachable ? 'reachable' : 'unreachable',
      Addr: managerStatus.address,
    },
  };
}

export function taskShape(view: TaskView, networks: KnownNetworks = NO_NETWORKS): StructData {
  const task = view.task as Task;
  const { status } = task;
  const { container } = status ?? {};
  return {
    ID: task.id,
    ...meta(task),
    Name: task.oneOff?.name,
    Labels: {},
    Spec: taskSpecShape(view.spec),
    ServiceID: task.serviceId,
    Slot: task.slot,
    NodeID: task.nodeId,
    Status: {
      Timestamp: status?.timestampMs,
      State: TASK_STATES[status?.state ?? TaskState.NEW],
      Message: status?.message,
      Err: status?.error,
      ContainerStatus: container && {
        ContainerID: container.containerId,
        PID: container.pid,
        ExitCode: container.exitCode ?? 0,
      },
      PortStatus: { Ports: status?.ports.map(portShape) },
      Health: taskHealthShape(status?.health),
      LastLog: status?.lastLog,
    },
    DesiredState: TASK_STATES[task.desiredState],
    HoldReason: task.holdReason,
    EvictReason: task.evictReason,
    NotBefore: task.startNotBeforeMs === 0 ? undefined : task.startNotBeforeMs,
    FinalReason: task.finalReason,
    RestartAttempt: task.restartAttempt,
    JobIteration: task.jobIteration === 0 ? undefined : { Index: task.jobIteration },
    QuickFailures: task.quickFailures,
    NetworksAttachments: task.networks.map((network) => ({
      Network: attachedNetworkShape(network.network, networks.get(network.network)),
      Addresses: withPrefixes(network.addresses, networks.get(network.network)),
    })),
  };
}

/** The network of a task; only its id where no more is known. */
function attachedNetworkShape(id: string, network: Network | undefined): StructData {
  if (network === undefined) return { ID: id };
  return { ID: id, ...meta(network), ...attachedNetworkData(network) };
}

export function clusterShape(cluster: Cluster): StructData {
  return {
    ID: cluster.id,
    ...meta(cluster),
    Spec: clusterSpecShape(cluster.spec),
    TLSInfo: { TrustRoot: new TextDecoder().decode(cluster.rootCa?.certificatePem) },
    RootRotationInProgress: cluster.rootCa?.rotation !== undefined,
    DefaultAddrPool: cluster.defaultAddressPools,
    SubnetSize: cluster.subnetSize,
    DataPathPort: cluster.dataPathPort,
  };
}

/** The numbers that are shown one by one elsewhere. */
export type ClusterSpecShape = StructData & {
  readonly Orchestration: { readonly TaskHistoryRetentionLimit: number };
  readonly Raft: {
    readonly SnapshotInterval: number;
    readonly KeepOldSnapshots: number;
    readonly ElectionTick: number;
    readonly HeartbeatTick: number;
  };
  /** Nanoseconds. */
  readonly Dispatcher: { readonly HeartbeatPeriod: number };
  /** Nanoseconds. */
  readonly CAConfig: { readonly NodeCertExpiry: number };
};

export function clusterSpecShape(spec: ClusterSpec | undefined): ClusterSpecShape {
  return {
    Name: spec?.name,
    Labels: spec?.labels ?? {},
    Orchestration: { TaskHistoryRetentionLimit: spec?.orchestration?.taskHistoryLimit ?? DEFAULT_TASK_HISTORY },
    Raft: {
      SnapshotInterval: spec?.log?.snapshotInterval ?? DEFAULT_SNAPSHOT_INTERVAL,
      KeepOldSnapshots: spec?.log?.snapshotsKept ?? 0,
      ElectionTick: 10,
      HeartbeatTick: 1,
    },
    Dispatcher: { HeartbeatPeriod: (spec?.dispatcher?.heartbeatPeriodMs ?? DEFAULT_HEARTBEAT_MS) * NS_PER_MS },
    CAConfig: { NodeCertExpiry: (spec?.ca?.nodeCertExpiryMs ?? DEFAULT_CERT_EXPIRY_MS) * NS_PER_MS },
    TaskDefaults: {},
    EncryptionConfig: { AutoLockManagers: spec?.encryption?.autoLockManagers ?? false },
    Policy: policyShape(spec?.policy),
  };
}
