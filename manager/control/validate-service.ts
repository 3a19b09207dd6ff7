/** The rules for a service's spec, beyond those for its container. */
import { isIP } from 'node:net';
import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { checkName } from '#common/names.ts';
import {
  EndpointMode,
  type EndpointSpec,
  isPortProtocol,
  isPublishMode,
  isTrafficPolicy,
  type PortConfig,
  PortProtocol,
  PublishMode,
  type Resources,
  ServiceSpec,
  type TaskSpec,
  TrafficPolicy,
} from '#gen/swarm/v1/specs.ts';
import { validateContainer } from './validate-container.ts';
import { validateJob } from './validate-job.ts';
import { validateLabels } from './validate-labels.ts';
import { validateOptions } from './validate-options.ts';
import { validatePlaceholders } from './validate-placeholders.ts';
import { validatePlacement } from './validate-placement.ts';
import { validateShares } from './validate-shares.ts';
import { validateUpdateConfig } from './validate-update.ts';

function validateResources(kind: string, resources: Resources | undefined): void {
  if (resources === undefined) return;
  const { cpuNanos, memoryBytes, pids } = resources;
  if (cpuNanos !== 0 && cpuNanos < LIMITS.MIN_CPU_NANOS)
    throw invalidField(
      `${kind}.cpu`,
      `${kind}-cpu: invalid cpu value ${cpuNanos / 1e9}: must be at least ${LIMITS.MIN_CPU_NANOS / 1e9}`,
      'ask for more, or leave it out',
    );
  if (memoryBytes !== 0 && memoryBytes < LIMITS.MIN_MEMORY_BYTES)
    throw invalidField(
      `${kind}.memory`,
      `${kind}-memory: invalid memory value ${memoryBytes}: must be at least 4MiB`,
      'ask for more, or leave it out',
    );
  if (pids < 0) throw invalidField(`${kind}.pids`, `${kind}-pids: must not be negative`, 'use 0 for no limit');
}

function notNegative(field: string, value: number | undefined): void {
  if (value !== undefined && value < 0)
    throw invalidField(field, `${field}: must not be negative (got ${value} ms)`, 'use 0s or more');
}

const PROTOCOLS: Readonly<Record<PortProtocol, string>> = {
  [PortProtocol.UNSPECIFIED]: 'tcp',
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
};

function validatePort(port: PortConfig): void {
  const name = `${port.publishedPort}:${port.targetPort}/${PROTOCOLS[port.protocol]}`;
  for (const value of [port.targetPort, port.publishedPort])
    if (value > 65535)
      throw invalidField('publish', `publish ${name}: ${value} is not a port`, 'use a number from 1 to 65535');
  if (port.targetPort === 0)
    throw invalidField('publish', `publish ${name}: the target port is missing`, 'name the port of the container');
  if (!isPublishMode(port.publishMode) || !isPortProtocol(port.protocol) || !isTrafficPolicy(port.trafficPolicy))
    throw invalidField(
      'publish',
      `publish ${name}: its mode, protocol or policy is not known`,
      'use ones of this release',
    );
  if (port.publishMode === PublishMode.HOST && port.trafficPolicy !== TrafficPolicy.UNSPECIFIED)
    throw invalidField(
      'publish',
      `publish ${name}: a traffic policy is for mode ingress: in mode host a node has its own tasks only`,
      'leave it out',
    );
  if (port.hostIp !== '' && isIP(port.hostIp) === 0)
    throw invalidField(
      'publish',
      `publish ${name}: ${JSON.stringify(port.hostIp)} is not an IP address`,
      'give an address of the host',
    );
}

function validateStopAfterDisconnect(limitMs: number | undefined): void {
  if (limitMs === undefined || (limitMs >= LIMITS.MIN_STOP_AFTER_DISCONNECT_MS && limitMs <= LIMITS.MAX_GRACE_MS))
    return;
  const [least, most] = [LIMITS.MIN_STOP_AFTER_DISCONNECT_MS / 1000, LIMITS.MAX_GRACE_MS / 3_600_000];
  throw invalidField(
    'stop-after-disconnect',
    `stop-after-disconnect: ${formatDuration(limitMs * NANOS_PER_MS)} is out of range: a change of leader must not stop tasks`,
    `use ${least}s to ${most}h, or none for tasks that go on`,
  );
}

function validateEndpoint(endpoint: EndpointSpec | undefined): void {
  if (endpoint === undefined) return;
  if (endpoint.ports.length > LIMITS.PORTS_PER_SERVICE)
    throw invalidField('publish', `publish: more than ${LIMITS.PORTS_PER_SERVICE} ports`, 'publish fewer');
  const mesh = endpoint.ports.find((port) => port.publishMode !== PublishMode.HOST);
  if (mesh !== undefined && endpoint.mode === EndpointMode.DNSRR)
    throw invalidField(
      'endpoint-mode',
      `endpoint-mode: port ${mesh.publishedPort || mesh.targetPort} published in mode ingress cannot be used with dnsrr`,
      'use endpoint mode vip, or publish in mode host',
    );
  notNegative('drain', endpoint.drainMs);
  const seen = new Map<string, PublishMode>();
  for (const port of endpoint.ports) {
    validatePort(port);
    if (port.publishedPort > 0) refuseTwice(port, seen);
  }
}

/** The mesh has a port on all addresses that are asked for; a node's own ports are apart by address. */
function refuseTwice(port: PortConfig, seen: Map<string, PublishMode>): void {
  const number = `${port.publishedPort}/${PROTOCOLS[port.protocol]}`;
  const mode = port.publishMode === PublishMode.HOST ? PublishMode.HOST : PublishMode.INGRESS;
  const key = `${number}/${port.hostIp}`;
  if (seen.has(key) || (seen.get(number) ?? mode) !== mode)
    throw invalidField('publish', `publish: port ${number} is published twice`, 'publish it once');
  seen.set(key, mode);
  seen.set(number, mode);
}

function validateLogDriver(task: TaskSpec): void {
  const driver = task.logDriver;
  if (driver === undefined) return;
  if (!['', 'json-file', 'local', 'none'].includes(driver.name))
    throw new SwarmError({
      code: 'unimplemented',
      reason: 'not-supported',
      field: 'log-driver',
      message: `log-driver: ${JSON.stringify(driver.name)} is not supported by this release`,
      hint: 'use json-file or local (kept by the node and rotated), or none',
    });
  for (const [key, value] of Object.entries(driver.options)) {
    const pattern = key === 'max-size' ? /^\d+[kmg]?b?$/i : key === 'max-file' ? /^[1-9]\d{0,2}$/ : undefined;
    if (pattern === undefined || !pattern.test(value))
      throw invalidField('log-opt', `log-opt: ${key}=${value} is not understood`, 'use max-size=10m and max-file=3');
  }
}

function validateTask(task: TaskSpec | undefined): void {
  if (task?.container === undefined) throw invalidField('task', 'the spec has no container', 'name the image to run');
  validateContainer(task.container);
  validateStopAfterDisconnect(task.stopAfterDisconnectMs);
  validateOptions(task, task.container);
  validateShares(task.resources, task.container);
  validatePlaceholders(task.container);
  validateResources('limit', task.resources?.limits);
  validateResources('reserve', task.resources?.reservations);
  notNegative('restart-delay', task.restart?.delayMs);
  notNegative('restart-window', task.restart?.windowMs);
  validatePlacement(task);
  validateLogDriver(task);
}

function validateMode(spec: ServiceSpec): void {
  if (spec.mode === undefined) throw invalidField('mode', 'the spec has no mode', 'choose replicated or global');
  if (spec.mode.kind === 'global') {
    if ((spec.task?.placement?.maxReplicas ?? 0) > 0)
      throw invalidField(
        'replicas-max-per-node',
        'replicas-max-per-node can only be used with replicated mode',
        'leave it out',
      );
    return;
  }
  if (spec.mode.kind !== 'replicated') return;
  if (spec.mode.value.replicas > LIMITS.REPLICAS_PER_SERVICE)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: 'replicas',
      limit: 'REPLICAS_PER_SERVICE',
      message: `replicas: ${spec.mode.value.replicas}, the limit is ${LIMITS.REPLICAS_PER_SERVICE}`,
      hint: 'ask for fewer, or divide the service',
    });
}

/** @throws SwarmError for the first rule that the spec breaks. */
export function validateService(spec: ServiceSpec): void {
  const badName = checkName('name', spec.name);
  if (badName !== undefined) throw badName;
  validateLabels('labels', spec.labels);
  validateTask(spec.task);
  validateMode(spec);
  validateJob(spec);
  validateUpdateConfig('update', spec.update);
  validateUpdateConfig('rollback', spec.rollback);
  validateEndpoint(spec.endpoint);
  const size = ServiceSpec.encode(spec).length;
  if (size > LIMITS.SPEC_BYTES)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      field: 'spec',
      limit: 'SPEC_BYTES',
      message: `the spec is ${size} bytes, the limit is ${LIMITS.SPEC_BYTES}`,
      hint: 'move data out of labels, environment and arguments',
    });
}
