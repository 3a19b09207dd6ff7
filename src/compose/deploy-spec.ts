/** `deploy`: how many tasks, where, and how they are replaced. */
import {
  EndpointMode,
  EndpointSpec,
  FailureAction,
  GlobalJobMode,
  GlobalMode,
  Placement,
  PlacementPreference,
  PortConfig,
  PortProtocol,
  PublishMode,
  ReplicatedJobMode,
  ReplicatedMode,
  RestartCondition,
  RestartPolicy,
  type ServiceSpec,
  TrafficPolicy,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured, type KeyTable } from './keys.ts';

const MODES = {
  replicated: 'replicated',
  global: 'global',
  'replicated-job': 'replicatedJob',
  'global-job': 'globalJob',
} as const;

/** `isAwaitedJob`: another service waits for its end, so that it is a job though the file does not say so. */
export function modeOf(
  service: Fields,
  deploy: Fields | undefined,
  job: Fields | undefined,
  isAwaitedJob: boolean,
): NonNullable<ServiceSpec['mode']> {
  const declared = deploy?.oneOf('mode', MODES);
  const mode = declared ?? (isAwaitedJob || job?.has('schedule') === true ? 'replicatedJob' : 'replicated');
  const scale = service.integer('scale');
  const replicas = deploy?.integer('replicas') ?? scale;
  if (deploy?.has('replicas') === true && scale !== undefined && scale !== replicas)
    service.error('scale', 'it differs from deploy.replicas', 'leave it out');
  switch (mode) {
    case 'global':
    case 'globalJob':
      if (replicas !== undefined && deploy !== undefined)
        deploy.error('replicas', 'a service of this mode has a task on every node that fits', 'leave it out');
      return mode === 'global'
        ? { kind: 'global', value: GlobalMode.create() }
        : { kind: 'globalJob', value: GlobalJobMode.create() };
    case 'replicatedJob':
      return {
        kind: 'replicatedJob',
        value: ReplicatedJobMode.create({
          totalCompletions: replicas ?? 1,
          maxConcurrent: job?.integer('max_concurrent', 1) ?? replicas ?? 1,
        }),
      };
    case 'replicated':
      return { kind: 'replicated', value: ReplicatedMode.create({ replicas: replicas ?? 1 }) };
  }
}

export const UPDATE_KEYS = honoured('parallelism', 'delay', 'failure_action', 'monitor', 'max_failure_ratio', 'order');
const ROLLOUT_EXTENSIONS = honoured('progress_deadline', 'canaries', 'auto_promote');

const ACTIONS = {
  pause: FailureAction.PAUSE,
  continue: FailureAction.CONTINUE,
  rollback: FailureAction.ROLLBACK,
};
const ORDERS = {
  'stop-first': UpdateOrder.STOP_FIRST,
  'start-first': UpdateOrder.START_FIRST,
  auto: UpdateOrder.AUTO,
};

/** `extension`: the same map under `x-swarm`, with what the Compose Spec has no keys for. */
export function updateConfigOf(
  deploy: Fields | undefined,
  key: 'update_config' | 'rollback_config',
  extension: Fields | undefined,
): UpdateConfig | undefined {
  const fields = deploy?.fields(key, UPDATE_KEYS);
  const more = extension?.fields(key === 'update_config' ? 'update' : 'rollback', ROLLOUT_EXTENSIONS);
  if (fields === undefined && more === undefined) return undefined;
  const ratio = fields?.number('max_failure_ratio');
  if (ratio !== undefined && (ratio < 0 || ratio > 1))
    fields?.error('max_failure_ratio', `${ratio} is not between 0 and 1`);
  const action = fields?.oneOf('failure_action', ACTIONS);
  if (key === 'rollback_config' && action === FailureAction.ROLLBACK)
    fields?.error('failure_action', 'a rollback is not rolled back', 'use pause or continue');
  return UpdateConfig.create({
    parallelism: fields?.integer('parallelism') ?? undefined,
    delayMs: fields?.durationMs('delay') ?? 0,
    failureAction: action ?? FailureAction.UNSPECIFIED,
    monitorMs: fields?.durationMs('monitor'),
    maxFailureRatio: ratio ?? 0,
    order: fields?.oneOf('order', ORDERS) ?? UpdateOrder.UNSPECIFIED,
    progressDeadlineMs: more?.durationMs('progress_deadline'),
    canaries: more?.integer('canaries') ?? 0,
    autoPromote: more?.bool('auto_promote') ?? false,
  });
}

const RESTART_KEYS = honoured('condition', 'delay', 'max_attempts', 'window');
const CONDITIONS = {
  none: RestartCondition.NONE,
  'on-failure': RestartCondition.ON_FAILURE,
  any: RestartCondition.ANY,
};

/** `deploy.restart_policy`; without it, `restart`. */
export function restartPolicyOf(service: Fields, deploy: Fields | undefined): RestartPolicy | undefined {
  const policy = deploy?.fields('restart_policy', RESTART_KEYS);
  const restart = service.text('restart');
  if (policy !== undefined) {
    if (restart !== undefined)
      service.warn('restart', 'left out: deploy.restart_policy says it', 'leave one of them out');
    return RestartPolicy.create({
      condition: policy.oneOf('condition', CONDITIONS) ?? RestartCondition.UNSPECIFIED,
      delayMs: policy.durationMs('delay'),
      maxAttempts: policy.integer('max_attempts') ?? 0,
      windowMs: policy.durationMs('window') ?? 0,
    });
  }
  if (restart === undefined) return undefined;
  const attempts = /^on-failure(?::(\d+))?$/.exec(restart);
  if (attempts !== null)
    return RestartPolicy.create({ condition: RestartCondition.ON_FAILURE, maxAttempts: Number(attempts[1] ?? 0) });
  if (restart === 'no') return RestartPolicy.create({ condition: RestartCondition.NONE });
  if (restart === 'always' || restart === 'unless-stopped')
    return RestartPolicy.create({ condition: RestartCondition.ANY });
  return service.error('restart', `${JSON.stringify(restart)} is not known`, 'use "no", on-failure or always');
}

const PLACEMENT_KEYS = honoured('constraints', 'preferences', 'max_replicas_per_node');
const PREFERENCE_KEYS = honoured('spread');

export function placementOf(service: Fields, deploy: Fields | undefined): Placement | undefined {
  const fields = deploy?.fields('placement', PLACEMENT_KEYS);
  const platform = service.text('platform');
  const constraints = [...(fields?.texts('constraints') ?? []), ...platformConstraints(service, platform)];
  const preferences = (fields?.maps('preferences', PREFERENCE_KEYS) ?? []).map((one) =>
    PlacementPreference.create({ spread: one.text('spread') ?? '' }),
  );
  const maxReplicas = fields?.integer('max_replicas_per_node') ?? 0;
  if (constraints.length + preferences.length + maxReplicas === 0) return undefined;
  return Placement.create({ constraints, preferences, maxReplicas });
}

/** `linux/amd64[/v3]`. */
function platformConstraints(service: Fields, platform: string | undefined): readonly string[] {
  if (platform === undefined) return [];
  const [os = '', architecture, variant] = platform.split('/');
  if (os !== 'linux') {
    service.error('platform', `${JSON.stringify(platform)}: nodes run Linux`, 'write linux/amd64 or linux/arm64');
    return [];
  }
  if (variant !== undefined)
    service.warn(
      'platform',
      `the variant ${variant} is left out: nodes do not say which they have`,
      'label the nodes, and use a constraint',
    );
  return architecture === undefined ? [] : [`node.platform.arch == ${architecture}`];
}

const PORT_KEYS: KeyTable = {
  ...honoured('target', 'published', 'host_ip', 'protocol', 'mode', 'x-traffic-policy'),
  name: { leftOut: 'it is a comment', hint: 'leave it out' },
  app_protocol: { leftOut: 'connections are passed on as they are', hint: 'leave it out' },
};

const PROTOCOLS = { tcp: PortProtocol.TCP, udp: PortProtocol.UDP, sctp: PortProtocol.SCTP };
const PUBLISH_MODES = { ingress: PublishMode.INGRESS, host: PublishMode.HOST };
const POLICIES = {
  cluster: TrafficPolicy.CLUSTER,
  'prefer-local': TrafficPolicy.PREFER_LOCAL,
  local: TrafficPolicy.LOCAL,
};
const ENDPOINT_MODES = { vip: EndpointMode.VIP, dnsrr: EndpointMode.DNSRR };

export function endpointOf(
  service: Fields,
  deploy: Fields | undefined,
  extension: Fields | undefined,
): EndpointSpec | undefined {
  const ports = service.maps('ports', PORT_KEYS).flatMap((fields) => {
    const target = fields.integer('target', 1);
    if (target === undefined)
      return fields.has('target')
        ? []
        : (fields.error('target', 'the port has no target', 'give the port of the container'), []);
    const published = fields.text('published');
    if (published?.includes('-') === true) {
      fields.error('published', `${published}: a range is left to no one`, 'give one port, or none for a free one');
      return [];
    }
    const hostIp = fields.text('host_ip') ?? '';
    return [
      PortConfig.create({
        targetPort: target,
        publishedPort: published === undefined || published === '' ? 0 : (fields.integer('published') ?? 0),
        protocol: fields.oneOf('protocol', PROTOCOLS) ?? PortProtocol.TCP,
        publishMode: fields.oneOf('mode', PUBLISH_MODES) ?? PublishMode.INGRESS,
        hostIp: hostIp === '0.0.0.0' || hostIp === '::' ? '' : hostIp,
        trafficPolicy: fields.oneOf('x-traffic-policy', POLICIES) ?? TrafficPolicy.UNSPECIFIED,
      }),
    ];
  });
  const mode = deploy?.oneOf('endpoint_mode', ENDPOINT_MODES);
  const drainMs = extension?.durationMs('drain');
  if (ports.length === 0 && mode === undefined && drainMs === undefined) return undefined;
  return EndpointSpec.create({ ports, mode: mode ?? EndpointMode.UNSPECIFIED, drainMs });
}
