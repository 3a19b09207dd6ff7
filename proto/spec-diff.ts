/** How two declarations differ, in words that a user of the command line knows. */
import { formatDuration } from '#common/duration.ts';
import { type FieldDifference, type FieldRules, fieldDifferences, type ListOrder } from '#common/field-diff.ts';
import {
  ContainerSpec,
  DependencyConditionNames,
  DnsConfig,
  EndpointModeNames,
  EndpointSpec,
  FailureActionNames,
  HealthCheck,
  JobOverlapNames,
  JobSpec,
  MountPropagationNames,
  MountTypeNames,
  Placement,
  PlacementStrategyNames,
  PortProtocolNames,
  Probes,
  PublishModeNames,
  ResourceRequirements,
  Resources,
  RestartConditionNames,
  RestartPolicy,
  SeccompModeNames,
  SecurityOptions,
  type ServiceSpec,
  TaskSpec,
  TrafficPolicyNames,
  UpdateConfig,
  UpdateOrderNames,
} from '#gen/swarm/v1/specs.ts';

/** Names of enum values by the last part of the path. */
const ENUMS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'update.failure_action': FailureActionNames,
  'rollback.failure_action': FailureActionNames,
  'update.order': UpdateOrderNames,
  'rollback.order': UpdateOrderNames,
  'endpoint.mode': EndpointModeNames,
  'endpoint.ports[].protocol': PortProtocolNames,
  'endpoint.ports[].publish_mode': PublishModeNames,
  'endpoint.ports[].traffic_policy': TrafficPolicyNames,
  'task.restart.condition': RestartConditionNames,
  'task.placement.strategy': PlacementStrategyNames,
  'task.container.mounts[].type': MountTypeNames,
  'task.container.mounts[].bind.propagation': MountPropagationNames,
  'task.container.security.seccomp': SeccompModeNames,
  'job.schedule.overlap': JobOverlapNames,
  'depends_on[].condition': DependencyConditionNames,
};

/** Messages whose absence means the same as one without any field set. */
const MISSING: Readonly<Record<string, () => object>> = {
  task: () => TaskSpec.create(),
  'task.container': () => ContainerSpec.create(),
  'task.container.dns': () => DnsConfig.create(),
  'task.container.healthcheck': () => HealthCheck.create(),
  'task.container.probes': () => Probes.create(),
  'task.container.security': () => SecurityOptions.create(),
  'task.resources': () => ResourceRequirements.create(),
  'task.resources.limits': () => Resources.create(),
  'task.resources.reservations': () => Resources.create(),
  'task.restart': () => RestartPolicy.create(),
  'task.placement': () => Placement.create(),
  update: () => UpdateConfig.create(),
  rollback: () => UpdateConfig.create(),
  endpoint: () => EndpointSpec.create(),
  job: () => JobSpec.create(),
};

/** Fields whose value is one of several messages: shown under the name of that one. */
const CHOICES: ReadonlySet<string> = new Set([
  'mode',
  'task.container.probes.liveness.check',
  'task.container.probes.readiness.check',
  'task.container.probes.startup.check',
  'task.resources.reservations.generic[].value',
]);

const MAPS: ReadonlySet<string> = new Set([
  'labels',
  'task.container.labels',
  'task.container.sysctls',
  'task.container.annotations',
  'task.container.security.selinux_labels',
  'task.container.mounts[].volume.labels',
  'task.container.mounts[].volume.driver_options',
  'task.networks[].driver_options',
  'task.log_driver.options',
]);

/** What tells the elements of a list apart; lists that are not here are looked at as a whole. */
const KEYS: Readonly<Record<string, (element: never) => string>> = {
  'task.container.env': (entry: string) => entry.split('=', 1)[0] ?? '',
  'task.container.mounts': ({ target }: { target: string }) => target,
  'task.container.devices': ({ pathOnHost }: { pathOnHost: string }) => pathOnHost,
  'task.container.ulimits': ({ name }: { name: string }) => name,
  'task.container.secrets': ({ secretName, file, env }: Reference & { secretName: string }) =>
    file?.path ?? (env === '' ? secretName : env),
  'task.container.configs': ({ configName, file, env }: Reference & { configName: string }) =>
    file?.path ?? (env === '' ? configName : env),
  'task.container.groups': itself,
  'task.container.hosts': itself,
  'task.container.capability_add': itself,
  'task.container.capability_drop': itself,
  'task.container.device_cgroup_rules': itself,
  'task.networks': ({ network }: { network: string }) => network,
  'task.networks[].aliases': itself,
  'task.placement.constraints': itself,
  'task.placement.affinities': ({ service, topology }: { service: string; topology: string }) =>
    topology === '' ? service : `${service} by ${topology}`,
  'task.resources.reservations.generic': ({ kind }: { kind: string }) => kind,
  'endpoint.ports': ({ targetPort, protocol }: { targetPort: number; protocol: keyof typeof PortProtocolNames }) =>
    `${targetPort}/${PortProtocolNames[protocol] === 'UNSPECIFIED' ? 'tcp' : PortProtocolNames[protocol].toLowerCase()}`,
  depends_on: ({ service }: { service: string }) => service,
};

interface Reference {
  readonly file: { readonly path: string } | undefined;
  readonly env: string;
}

function itself(element: string): string {
  return element;
}

export const SERVICE_SPEC_RULES: FieldRules = {
  missing: (path) => MISSING[path]?.(),
  isMap: (path) => MAPS.has(path),
  isSecret: (path) => path === 'task.container.registry_auth',
  listOrder(path): ListOrder {
    const keyOf = KEYS[path];
    // Each function is for the elements of its own list.
    return keyOf === undefined ? { kind: 'whole' } : { kind: 'keyed', keyOf: keyOf as (element: unknown) => string };
  },
  shown(path, value) {
    if (typeof value === 'number') {
      const name = ENUMS[path]?.[value];
      if (name !== undefined) return name === 'UNSPECIFIED' ? 'default' : name.toLowerCase().replaceAll('_', '-');
      return path.endsWith('_ms') ? formatDuration(value * 1e6) : value;
    }
    if (CHOICES.has(path)) {
      const { kind, value: chosen } = value as { readonly kind: string; readonly value: unknown };
      return { [kind]: chosen };
    }
    return value;
  },
};

/** Field by field, sorted by path. Credentials are compared, never shown. */
export function specDifferences(
  before: ServiceSpec | undefined,
  after: ServiceSpec | undefined,
): readonly FieldDifference[] {
  return fieldDifferences(before ?? {}, after ?? {}, SERVICE_SPEC_RULES);
}
