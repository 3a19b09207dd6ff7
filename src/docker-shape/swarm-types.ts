/** Docker's swarm types (API 1.50) as data: names, order and JSON habits of their fields. */
import {
  BOOL,
  BYTES,
  DURATION,
  FLOAT,
  type GoType,
  INT,
  list,
  mapOf,
  named,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  struct,
  TIME,
  UINT,
} from '#common/template/go-types.ts';
import { DEPENDENCIES } from './from-dependencies.ts';
import { PROBES, TASK_HEALTH } from './from-health.ts';
import { GENERIC_RESOURCES, PLACEMENT_RULES } from './from-placement.ts';
import { healthCheckType } from './health-check.ts';
import { GLOBAL_JOB, JOB_SPEC, JOB_STATUS, REPLICATED_JOB } from './job-types.ts';
import { ANNOTATIONS, DRIVER, META, VERSION } from './meta-types.ts';
import { CLUSTER_POLICY, CONTAINER_OPTIONS, PRIVILEGES, SHARES } from './option-types.ts';
import { CONFIG_REFERENCE, SECRET_REFERENCE } from './payloads.ts';

const PLATFORM = struct('swarm.Platform', { 'Architecture?': STRING, 'OS?': STRING });

export const PORT_CONFIG = struct('swarm.PortConfig', {
  'Name?': STRING,
  'Protocol?': named('swarm.PortConfigProtocol'),
  'TargetPort?': UINT,
  'PublishedPort?': UINT,
  'PublishMode?': named('swarm.PortConfigPublishMode'),
  // Docker has neither.
  '+HostIP?': STRING,
  '+TrafficPolicy?': STRING,
});

const BIND_OPTIONS = struct('mount.BindOptions', {
  'Propagation?': named('mount.Propagation'),
  'NonRecursive?': BOOL,
  'CreateMountpoint?': BOOL,
  'ReadOnlyNonRecursive?': BOOL,
  'ReadOnlyForceRecursive?': BOOL,
});

const VOLUME_OPTIONS = struct('mount.VolumeOptions', {
  'NoCopy?': BOOL,
  'Labels?': STRING_MAP,
  'Subpath?': STRING,
  '+Sticky?': STRING,
  'DriverConfig?': pointer(struct('mount.Driver', { 'Name?': STRING, 'Options?': STRING_MAP })),
});

const TMPFS_OPTIONS = struct('mount.TmpfsOptions', { 'SizeBytes?': INT, 'Mode?': UINT, 'Options?': list(STRINGS) });

const MOUNT = struct('mount.Mount', {
  'Type?': named('mount.Type'),
  'Source?': STRING,
  'Target?': STRING,
  'ReadOnly?': BOOL,
  'Consistency?': named('mount.Consistency'),
  'BindOptions?': pointer(BIND_OPTIONS),
  'VolumeOptions?': pointer(VOLUME_OPTIONS),
  'ImageOptions?': pointer(struct('mount.ImageOptions', {})),
  'TmpfsOptions?': pointer(TMPFS_OPTIONS),
  'ClusterOptions?': pointer(struct('mount.ClusterOptions', {})),
});

const CONTAINER_SPEC = struct('swarm.ContainerSpec', {
  'Image?': STRING,
  'Labels?': STRING_MAP,
  'Command?': STRINGS,
  'Args?': STRINGS,
  'Hostname?': STRING,
  'Env?': STRINGS,
  'Dir?': STRING,
  'User?': STRING,
  'Groups?': STRINGS,
  'Privileges?': pointer(PRIVILEGES),
  'Init?': pointer(BOOL),
  'StopSignal?': STRING,
  'TTY?': BOOL,
  'OpenStdin?': BOOL,
  'ReadOnly?': BOOL,
  'Mounts?': list(MOUNT),
  'StopGracePeriod?': pointer(DURATION),
  'Healthcheck?': pointer(healthCheckType('container.HealthConfig')),
  '+Probes?': pointer(PROBES),
  'Hosts?': STRINGS,
  'DNSConfig?': pointer(
    struct('swarm.DNSConfig', { 'Nameservers?': STRINGS, 'Search?': STRINGS, 'Options?': STRINGS }),
  ),
  'Secrets?': list(pointer(SECRET_REFERENCE)),
  'Configs?': list(pointer(CONFIG_REFERENCE)),
  'Isolation?': named('container.Isolation'),
  'Sysctls?': STRING_MAP,
  'CapabilityAdd?': STRINGS,
  'CapabilityDrop?': STRINGS,
  'Ulimits?': list(pointer(struct('units.Ulimit', { Name: STRING, Hard: INT, Soft: INT }))),
  'OomScoreAdj?': INT,
  ...CONTAINER_OPTIONS,
});

const LIMIT = struct('swarm.Limit', { 'NanoCPUs?': INT, 'MemoryBytes?': INT, 'Pids?': INT });
const RESOURCES = struct('swarm.Resources', {
  'NanoCPUs?': INT,
  'MemoryBytes?': INT,
  'GenericResources?': GENERIC_RESOURCES,
});

const RESTART_POLICY = struct('swarm.RestartPolicy', {
  'Condition?': named('swarm.RestartPolicyCondition'),
  'Delay?': pointer(DURATION),
  'MaxAttempts?': pointer(UINT),
  'Window?': pointer(DURATION),
});

const PLACEMENT = struct('swarm.Placement', {
  'Constraints?': STRINGS,
  'Preferences?': list(
    struct('swarm.PlacementPreference', { Spread: pointer(struct('swarm.SpreadOver', { SpreadDescriptor: STRING })) }),
  ),
  'MaxReplicas?': UINT,
  'Platforms?': list(PLATFORM),
  ...PLACEMENT_RULES,
});

const NETWORK_ATTACHMENT = struct('swarm.NetworkAttachmentConfig', {
  'Target?': STRING,
  'Aliases?': STRINGS,
  'DriverOpts?': STRING_MAP,
  // Docker has none for services.
  '+Addresses?': STRINGS,
});

export const TASK_SPEC = struct('swarm.TaskSpec', {
  'ContainerSpec?': pointer(CONTAINER_SPEC),
  'PluginSpec?': pointer(struct('runtime.PluginSpec', {})),
  'NetworkAttachmentSpec?': pointer(struct('swarm.NetworkAttachmentSpec', {})),
  'Resources?': pointer(
    struct('swarm.ResourceRequirements', {
      'Limits?': pointer(LIMIT),
      'Reservations?': pointer(RESOURCES),
      ...SHARES,
    }),
  ),
  'RestartPolicy?': pointer(RESTART_POLICY),
  'Placement?': pointer(PLACEMENT),
  'Networks?': list(NETWORK_ATTACHMENT),
  'LogDriver?': pointer(DRIVER),
  ForceUpdate: UINT,
  '+StopAfterDisconnect?': pointer(DURATION),
  'Runtime?': named('swarm.RuntimeType'),
});

const UPDATE_CONFIG = struct('swarm.UpdateConfig', {
  Parallelism: UINT,
  'Delay?': DURATION,
  'FailureAction?': STRING,
  'Monitor?': DURATION,
  MaxFailureRatio: FLOAT,
  Order: STRING,
  // Docker has none of these. Nanoseconds.
  '+ProgressDeadline?': pointer(DURATION),
  '+Canaries?': UINT,
  '+AutoPromote?': BOOL,
});

const ENDPOINT_SPEC = struct('swarm.EndpointSpec', {
  'Mode?': named('swarm.ResolutionMode'),
  'Ports?': list(PORT_CONFIG),
  // Docker has none: it stops a task with whatever connections it has. Nanoseconds.
  '+DrainPeriod?': pointer(DURATION),
});

export const SERVICE_SPEC = struct('swarm.ServiceSpec', {
  '...Annotations': ANNOTATIONS,
  TaskTemplate: TASK_SPEC,
  Mode: struct('swarm.ServiceMode', {
    'Replicated?': pointer(struct('swarm.ReplicatedService', { 'Replicas?': pointer(UINT) })),
    'Global?': pointer(struct('swarm.GlobalService', {})),
    'ReplicatedJob?': pointer(REPLICATED_JOB),
    'GlobalJob?': pointer(GLOBAL_JOB),
  }),
  'UpdateConfig?': pointer(UPDATE_CONFIG),
  'RollbackConfig?': pointer(UPDATE_CONFIG),
  'Networks?': list(NETWORK_ATTACHMENT),
  'EndpointSpec?': pointer(ENDPOINT_SPEC),
  '+Job?': pointer(JOB_SPEC),
  '+DependsOn?': DEPENDENCIES,
});

export const SERVICE = struct('swarm.Service', {
  ID: STRING,
  '...Meta': META,
  Spec: SERVICE_SPEC,
  'PreviousSpec?': pointer(SERVICE_SPEC),
  Endpoint: struct('swarm.Endpoint', {
    Spec: ENDPOINT_SPEC,
    'Ports?': list(PORT_CONFIG),
    'VirtualIPs?': list(struct('swarm.EndpointVirtualIP', { 'NetworkID?': STRING, 'Addr?': STRING })),
    // Docker has none: why a part of the endpoint is missing.
    '+Problem?': STRING,
  }),
  'UpdateStatus?': pointer(
    struct('swarm.UpdateStatus', {
      'State?': named('swarm.UpdateState'),
      'StartedAt?': pointer(TIME),
      'CompletedAt?': pointer(TIME),
      'Message?': STRING,
      // Docker has none of these: why it is paused, and the task that it failed by with its last lines.
      '+PauseReason?': STRING,
      '+FailedTask?': STRING,
      '+FailedTaskLog?': list(STRING),
    }),
  ),
  'ServiceStatus?': pointer(
    struct('swarm.ServiceStatus', { RunningTasks: UINT, DesiredTasks: UINT, CompletedTasks: UINT }),
  ),
  'JobStatus?': pointer(JOB_STATUS),
  '+WaitsFor?': STRING,
});

export const TLS_INFO = struct('swarm.TLSInfo', {
  'TrustRoot?': STRING,
  'CertIssuerSubject?': BYTES,
  'CertIssuerPublicKey?': BYTES,
});

/** Docker's, and what it leaves to `openssl`: until when the certificate holds, and what the node trusts. */
const NODE_TLS_INFO = struct('swarm.TLSInfo', {
  'TrustRoot?': STRING,
  'CertIssuerSubject?': BYTES,
  'CertIssuerPublicKey?': BYTES,
  '+NotBefore?': pointer(TIME),
  '+NotAfter?': pointer(TIME),
  '+Serial?': STRING,
  '+IssuerKeyID?': STRING,
  '+TrustedRoots?': STRINGS,
});

export const NODE = struct('swarm.Node', {
  ID: STRING,
  '...Meta': META,
  Spec: struct('swarm.NodeSpec', {
    '...Annotations': ANNOTATIONS,
    'Role?': named('swarm.NodeRole'),
    'Availability?': named('swarm.NodeAvailability'),
  }),
  Description: struct('swarm.NodeDescription', {
    'Hostname?': STRING,
    Platform: PLATFORM,
    Resources: RESOURCES,
    Engine: struct('swarm.EngineDescription', {
      'EngineVersion?': STRING,
      'Labels?': STRING_MAP,
      'Plugins?': list(struct('swarm.PluginDescription', { 'Type?': STRING, 'Name?': STRING })),
    }),
    TLSInfo: NODE_TLS_INFO,
    'CSIInfo?': list(struct('swarm.NodeCSIInfo', {})),
    // Docker has none: where packets of networks reach the node, and why it cannot encrypt them.
    'DataPath?': pointer(
      struct('swarm.NodeDataPath', { 'Address?': STRING, 'MTU?': UINT, 'EncryptionProblem?': STRING }),
    ),
  }),
  Status: struct('swarm.NodeStatus', { 'State?': named('swarm.NodeState'), 'Message?': STRING, 'Addr?': STRING }),
  // Docker has none: how far the drain of the node is.
  '+Drain?': pointer(
    struct('swarm.DrainStatus', {
      'StartedAt?': pointer(TIME),
      'CompletedAt?': pointer(TIME),
      Total: UINT,
      Left: UINT,
      'Message?': STRING,
    }),
  ),
  'ManagerStatus?': pointer(
    struct('swarm.ManagerStatus', {
      'Leader?': BOOL,
      'Reachability?': named('swarm.Reachability'),
      'Addr?': STRING,
    }),
  ),
});

const IPAM_OPTIONS = struct('swarm.IPAMOptions', {
  'Driver?': DRIVER,
  'Configs?': list(struct('swarm.IPAMConfig', { 'Subnet?': STRING, 'Range?': STRING, 'Gateway?': STRING })),
});

/** A network as it is within a task. */
const ATTACHED_NETWORK = struct('swarm.Network', {
  ID: STRING,
  '...Meta': META,
  'Spec?': struct('swarm.NetworkSpec', {
    '...Annotations': ANNOTATIONS,
    'DriverConfiguration?': pointer(DRIVER),
    'IPv6Enabled?': BOOL,
    'Internal?': BOOL,
    'Attachable?': BOOL,
    'Ingress?': BOOL,
    'IPAMOptions?': pointer(IPAM_OPTIONS),
    'Scope?': STRING,
  }),
  'DriverState?': DRIVER,
  'IPAMOptions?': pointer(IPAM_OPTIONS),
});

export const TASK = struct('swarm.Task', {
  ID: STRING,
  '...Meta': META,
  '...Annotations': ANNOTATIONS,
  Spec: TASK_SPEC,
  'ServiceID?': STRING,
  'Slot?': INT,
  'NodeID?': STRING,
  Status: struct('swarm.TaskStatus', {
    Timestamp: TIME,
    'State?': named('swarm.TaskState'),
    'Message?': STRING,
    'Err?': STRING,
    'ContainerStatus?': pointer(struct('swarm.ContainerStatus', { ContainerID: STRING, PID: INT, ExitCode: INT })),
    PortStatus: struct('swarm.PortStatus', { 'Ports?': list(PORT_CONFIG) }),
    '+Health?': pointer(TASK_HEALTH),
    '+LastLog?': STRINGS,
  }),
  'DesiredState?': named('swarm.TaskState'),
  '+HoldReason?': STRING,
  '+EvictReason?': STRING,
  '+NotBefore?': pointer(TIME),
  '+FinalReason?': STRING,
  '+RestartAttempt?': UINT,
  '+QuickFailures?': UINT,
  'NetworksAttachments?': list(
    struct('swarm.NetworkAttachment', {
      Network: ATTACHED_NETWORK,
      'Addresses?': STRINGS,
    }),
  ),
  'GenericResources?': GENERIC_RESOURCES,
  'JobIteration?': pointer(VERSION),
  'Volumes?': list(struct('swarm.VolumeAttachment', {})),
});

export const CLUSTER_SPEC = struct('swarm.Spec', {
  '...Annotations': ANNOTATIONS,
  Orchestration: struct('swarm.OrchestrationConfig', { 'TaskHistoryRetentionLimit?': pointer(INT) }),
  Raft: struct('swarm.RaftConfig', {
    'SnapshotInterval?': UINT,
    'KeepOldSnapshots?': pointer(UINT),
    'LogEntriesForSlowFollowers?': UINT,
    ElectionTick: INT,
    HeartbeatTick: INT,
  }),
  Dispatcher: struct('swarm.DispatcherConfig', { 'HeartbeatPeriod?': DURATION }),
  CAConfig: struct('swarm.CAConfig', { 'NodeCertExpiry?': DURATION, 'ForceRotate?': UINT }),
  TaskDefaults: struct('swarm.TaskDefaults', { 'LogDriver?': pointer(DRIVER) }),
  EncryptionConfig: struct('swarm.EncryptionConfig', { AutoLockManagers: BOOL }),
  '+Policy?': pointer(CLUSTER_POLICY),
});

export const CLUSTER_INFO = struct('swarm.ClusterInfo', {
  ID: STRING,
  '...Meta': META,
  Spec: CLUSTER_SPEC,
  TLSInfo: TLS_INFO,
  RootRotationInProgress: BOOL,
  DefaultAddrPool: STRINGS,
  SubnetSize: UINT,
  DataPathPort: UINT,
});

const PEER: GoType = struct('swarm.Peer', { NodeID: STRING, Addr: STRING });

export const SWARM_INFO = struct('swarm.Info', {
  NodeID: STRING,
  NodeAddr: STRING,
  LocalNodeState: named('swarm.LocalNodeState'),
  ControlAvailable: BOOL,
  Error: STRING,
  RemoteManagers: list(PEER),
  'Nodes?': INT,
  'Managers?': INT,
  'Cluster?': pointer(CLUSTER_INFO),
  'Warnings?': STRINGS,
});

/** What `swarm info` shows of the daemon: the fields of Docker's system information that have a meaning here. */
export const SYSTEM_INFO = struct('system.Info', {
  ID: STRING,
  Containers: INT,
  ContainersRunning: INT,
  ContainersPaused: INT,
  ContainersStopped: INT,
  Images: INT,
  Plugins: struct('system.PluginsInfo', { Volume: STRINGS, Network: STRINGS, Authorization: STRINGS, Log: STRINGS }),
  NCPU: INT,
  MemTotal: INT,
  Name: STRING,
  Labels: STRINGS,
  DockerRootDir: STRING,
  KernelVersion: STRING,
  OperatingSystem: STRING,
  OSType: STRING,
  Architecture: STRING,
  CgroupVersion: STRING,
  LoggingDriver: STRING,
  ServerVersion: STRING,
  LiveRestoreEnabled: BOOL,
  Runtimes: mapOf(struct('system.RuntimeWithStatus', { 'Path=path?': STRING })),
  DefaultRuntime: STRING,
  Swarm: SWARM_INFO,
  Warnings: STRINGS,
});
