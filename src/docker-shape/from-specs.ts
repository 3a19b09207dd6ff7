/** What users declared, in Docker's shape. */

import type { StructData } from '#common/template/go-types.ts';
import {
  type ContainerSpec,
  EndpointMode,
  type EndpointSpec,
  FailureAction,
  type Mount,
  MountPropagation,
  MountPropagationNames,
  MountType,
  type NetworkAttachmentSpec,
  type Placement,
  type PortConfig,
  PortProtocol,
  PublishMode,
  type ResourceRequirements,
  RestartCondition,
  type RestartPolicy,
  type ServiceSpec,
  type TaskSpec,
  TrafficPolicy,
  type UpdateConfig,
  UpdateOrder,
  VolumeSticky,
} from '#gen/swarm/v1/specs.ts';
import { dependenciesShape } from './from-dependencies.ts';
import { healthCheckShape, probesShape } from './from-health.ts';
import { jobSpecShape } from './from-jobs.ts';
import { containerOptionsShape, privilegesShape, sharesShape } from './from-options.ts';
import { genericShape, placementRulesShape } from './from-placement.ts';
import { configReferenceShape, secretReferenceShape } from './payloads.ts';

/** Nanoseconds, Go's unit of time. */
const NS_PER_MS = 1e6;

/** What a spec that leaves them out gets: Swarm's defaults, shown where Docker shows them. */
export const DEFAULTS = {
  stopGracePeriodMs: 10_000,
  restartDelayMs: 5000,
  updateMonitorMs: 5000,
  updateParallelism: 1,
} as const;

export const RESTART_CONDITIONS: Readonly<Record<RestartCondition, string>> = {
  [RestartCondition.UNSPECIFIED]: 'any',
  [RestartCondition.NONE]: 'none',
  [RestartCondition.ON_FAILURE]: 'on-failure',
  [RestartCondition.ANY]: 'any',
};

export const UPDATE_ORDERS: Readonly<Record<UpdateOrder, string>> = {
  [UpdateOrder.UNSPECIFIED]: 'stop-first',
  [UpdateOrder.STOP_FIRST]: 'stop-first',
  [UpdateOrder.START_FIRST]: 'start-first',
  [UpdateOrder.AUTO]: 'auto',
};

export const FAILURE_ACTIONS: Readonly<Record<FailureAction, string>> = {
  [FailureAction.UNSPECIFIED]: 'pause',
  [FailureAction.PAUSE]: 'pause',
  [FailureAction.CONTINUE]: 'continue',
  [FailureAction.ROLLBACK]: 'rollback',
};

export const PORT_PROTOCOLS: Readonly<Record<PortProtocol, string>> = {
  [PortProtocol.UNSPECIFIED]: 'tcp',
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
};

export const PUBLISH_MODES: Readonly<Record<PublishMode, string>> = {
  [PublishMode.UNSPECIFIED]: 'ingress',
  [PublishMode.INGRESS]: 'ingress',
  [PublishMode.HOST]: 'host',
};

export const ENDPOINT_MODES: Readonly<Record<EndpointMode, string>> = {
  [EndpointMode.UNSPECIFIED]: 'vip',
  [EndpointMode.VIP]: 'vip',
  [EndpointMode.DNSRR]: 'dnsrr',
};

/** Empty where Docker's own way is meant: all tasks alike. */
export const TRAFFIC_POLICIES: Readonly<Record<TrafficPolicy, string>> = {
  [TrafficPolicy.UNSPECIFIED]: '',
  [TrafficPolicy.CLUSTER]: 'cluster',
  [TrafficPolicy.PREFER_LOCAL]: 'prefer-local',
  [TrafficPolicy.LOCAL]: 'local',
};

export const MOUNT_TYPES: Readonly<Record<MountType, string>> = {
  [MountType.UNSPECIFIED]: 'volume',
  [MountType.BIND]: 'bind',
  [MountType.VOLUME]: 'volume',
  [MountType.TMPFS]: 'tmpfs',
};

export function serviceSpecShape(spec: ServiceSpec): StructData {
  return {
    Name: spec.name,
    Labels: spec.labels,
    TaskTemplate: taskSpecShape(spec.task),
    Mode: modeShape(spec),
    UpdateConfig: updateConfigShape(spec.update),
    RollbackConfig: updateConfigShape(spec.rollback),
    EndpointSpec: endpointSpecShape(spec.endpoint),
    Job: jobSpecShape(spec.job),
    DependsOn: dependenciesShape(spec.dependsOn),
  };
}

function modeShape({ mode }: ServiceSpec): StructData {
  if (mode === undefined) return {};
  switch (mode.kind) {
    case 'replicated':
      return { Replicated: { Replicas: mode.value.replicas } };
    case 'global':
      return { Global: {} };
    case 'replicatedJob': {
      const { maxConcurrent, totalCompletions } = mode.value;
      return { ReplicatedJob: { MaxConcurrent: maxConcurrent, TotalCompletions: totalCompletions } };
    }
    case 'globalJob':
      return { GlobalJob: {} };
  }
}

export function taskSpecShape(spec: TaskSpec | undefined): StructData {
  if (spec === undefined) return {};
  return {
    ContainerSpec: containerShape(spec.container),
    Resources: resourcesShape(spec.resources),
    RestartPolicy: restartShape(spec.restart),
    Placement: placementShape(spec.placement),
    Networks: spec.networks.map(attachmentShape),
    LogDriver:
      spec.logDriver === undefined ? undefined : { Name: spec.logDriver.name, Options: spec.logDriver.options },
    ForceUpdate: spec.forceUpdate,
    StopAfterDisconnect: spec.stopAfterDisconnectMs === undefined ? undefined : spec.stopAfterDisconnectMs * NS_PER_MS,
    Runtime: 'container',
  };
}

function attachmentShape({ network, aliases, driverOptions, addresses }: NetworkAttachmentSpec): StructData {
  return { Target: network, Aliases: aliases, DriverOpts: driverOptions, Addresses: addresses };
}

function containerShape(spec: ContainerSpec | undefined): StructData | undefined {
  if (spec === undefined) return undefined;
  return {
    Image: spec.image,
    Labels: spec.labels,
    Command: spec.command,
    Args: spec.args,
    Hostname: spec.hostname,
    Env: spec.env,
    Dir: spec.dir,
    User: spec.user,
    Groups: spec.groups,
    Privileges: privilegesShape(spec),
    Init: spec.init,
    StopSignal: spec.stopSignal,
    TTY: spec.tty,
    OpenStdin: spec.openStdin,
    ReadOnly: spec.readOnly,
    Mounts: spec.mounts.map(mountShape),
    StopGracePeriod: (spec.stopGracePeriodMs ?? DEFAULTS.stopGracePeriodMs) * NS_PER_MS,
    Healthcheck: healthCheckShape(spec.healthcheck),
    Probes: probesShape(spec.probes),
    Hosts: spec.hosts,
    DNSConfig: { Nameservers: spec.dns?.nameservers, Search: spec.dns?.search, Options: spec.dns?.options },
    Secrets: spec.secrets.map(secretReferenceShape),
    Configs: spec.configs.map(configReferenceShape),
    Isolation: 'default',
    Sysctls: spec.sysctls,
    CapabilityAdd: spec.capabilityAdd,
    CapabilityDrop: spec.capabilityDrop,
    Ulimits: spec.ulimits.map((ulimit) => ({ Name: ulimit.name, Hard: ulimit.hard, Soft: ulimit.soft })),
    OomScoreAdj: spec.oomScoreAdj,
    ...containerOptionsShape(spec),
  };
}

function mountShape(mount: Mount): StructData {
  const { bind, volume, tmpfs } = mount;
  return {
    Type: MOUNT_TYPES[mount.type],
    Source: mount.source,
    Target: mount.target,
    ReadOnly: mount.readOnly,
    BindOptions: bind && {
      Propagation: propagationName(bind.propagation),
      NonRecursive: bind.nonRecursive,
      CreateMountpoint: bind.createSource,
    },
    VolumeOptions: volume && {
      NoCopy: volume.noCopy,
      Labels: volume.labels,
      Subpath: volume.subpath,
      Sticky: STICKINESS[volume.sticky],
      DriverConfig:
        volume.driver === '' && Object.keys(volume.driverOptions).length === 0
          ? undefined
          : { Name: volume.driver, Options: volume.driverOptions },
    },
    TmpfsOptions: tmpfs && { SizeBytes: tmpfs.sizeBytes, Mode: tmpfs.mode, Options: tmpfs.options.map(optionWords) },
  };
}

/** Docker has none: its tasks go anywhere. */
const STICKINESS: Readonly<Record<VolumeSticky, string>> = {
  [VolumeSticky.UNSPECIFIED]: '',
  [VolumeSticky.REQUIRED]: 'required',
  [VolumeSticky.PREFERRED]: 'preferred',
  [VolumeSticky.OFF]: 'off',
};

/** An option is a list of its key and its value, as Docker has it. */
function optionWords(option: string): readonly string[] {
  const at = option.indexOf('=');
  return at < 0 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

function propagationName(propagation: MountPropagation): string {
  return propagation === MountPropagation.UNSPECIFIED ? '' : MountPropagationNames[propagation].toLowerCase();
}

function resourcesShape(resources: ResourceRequirements | undefined): StructData {
  const { limits, reservations } = resources ?? {};
  return {
    Limits: { NanoCPUs: limits?.cpuNanos, MemoryBytes: limits?.memoryBytes, Pids: limits?.pids },
    Reservations: {
      NanoCPUs: reservations?.cpuNanos,
      MemoryBytes: reservations?.memoryBytes,
      GenericResources: genericShape(reservations?.generic),
    },
    ...sharesShape(resources),
  };
}

function restartShape(restart: RestartPolicy | undefined): StructData {
  return {
    Condition: RESTART_CONDITIONS[restart?.condition ?? RestartCondition.ANY],
    Delay: (restart?.delayMs ?? DEFAULTS.restartDelayMs) * NS_PER_MS,
    MaxAttempts: restart?.maxAttempts ?? 0,
    Window: restart === undefined || restart.windowMs === 0 ? undefined : restart.windowMs * NS_PER_MS,
  };
}

function placementShape(placement: Placement | undefined): StructData {
  return {
    Constraints: placement?.constraints,
    Preferences: placement?.preferences.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } })),
    MaxReplicas: placement?.maxReplicas,
    Platforms: placement?.platforms.map(({ os, architecture }) => ({ Architecture: architecture, OS: os })),
    ...placementRulesShape(placement),
  };
}

function updateConfigShape(config: UpdateConfig | undefined): StructData {
  return {
    Parallelism: config?.parallelism ?? DEFAULTS.updateParallelism,
    Delay: (config?.delayMs ?? 0) * NS_PER_MS,
    FailureAction: FAILURE_ACTIONS[config?.failureAction ?? FailureAction.PAUSE],
    Monitor: (config?.monitorMs ?? DEFAULTS.updateMonitorMs) * NS_PER_MS,
    MaxFailureRatio: config?.maxFailureRatio ?? 0,
    Order: UPDATE_ORDERS[config?.order ?? UpdateOrder.STOP_FIRST],
    ProgressDeadline: config?.progressDeadlineMs === undefined ? undefined : config.progressDeadlineMs * NS_PER_MS,
    Canaries: config?.canaries,
    AutoPromote: config?.autoPromote,
  };
}

export function endpointSpecShape(endpoint: EndpointSpec | undefined): StructData {
  return {
    Mode: ENDPOINT_MODES[endpoint?.mode ?? EndpointMode.VIP],
    Ports: endpoint?.ports.map(portShape),
    DrainPeriod: endpoint?.drainMs === undefined ? undefined : endpoint.drainMs * NS_PER_MS,
  };
}

export function portShape(port: PortConfig): StructData {
  return {
    Protocol: PORT_PROTOCOLS[port.protocol],
    TargetPort: port.targetPort,
    PublishedPort: port.publishedPort,
    PublishMode: PUBLISH_MODES[port.publishMode],
    HostIP: port.hostIp,
    TrafficPolicy: TRAFFIC_POLICIES[port.trafficPolicy],
  };
}
