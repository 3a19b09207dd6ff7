/** `x-swarm` of a service: what the Compose Spec has no keys for. Other tools pass it over. */
import {
  Affinity,
  ExecProbe,
  HttpProbe,
  JobOverlap,
  JobSchedule,
  JobSpec,
  Placement,
  PlacementStrategy,
  Probe,
  Probes,
  TcpProbe,
} from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured } from './keys.ts';
import type { StackNames } from './names.ts';

export const EXTENSION_KEY = 'x-swarm';

const EXTENSION_KEYS = honoured(
  'job',
  'update',
  'rollback',
  'probes',
  'drain',
  'stop_after_disconnect',
  'strategy',
  'priority',
  'preempts',
  'affinities',
);
const JOB_KEYS = honoured(
  'max_concurrent',
  'schedule',
  'time_zone',
  'overlap',
  'start_deadline',
  'deadline',
  'history',
  'suspended',
);

export function extensionOf(service: Fields): Fields | undefined {
  return service.fields(EXTENSION_KEY, EXTENSION_KEYS);
}

export function jobFields(extension: Fields | undefined): Fields | undefined {
  return extension?.fields('job', JOB_KEYS);
}

const OVERLAPS = { skip: JobOverlap.SKIP, queue: JobOverlap.QUEUE, replace: JobOverlap.REPLACE };

export function jobSpecOf(job: Fields | undefined): JobSpec | undefined {
  if (job === undefined) return undefined;
  const cron = job.text('schedule');
  const schedule =
    cron === undefined
      ? undefined
      : JobSchedule.create({
          cron,
          timeZone: job.text('time_zone') ?? '',
          overlap: job.oneOf('overlap', OVERLAPS) ?? JobOverlap.UNSPECIFIED,
          startDeadlineMs: job.durationMs('start_deadline'),
          suspended: job.bool('suspended') ?? false,
        });
  return JobSpec.create({ schedule, deadlineMs: job.durationMs('deadline'), historyLimit: job.integer('history') });
}

const PROBES_KEYS = honoured('liveness', 'readiness', 'startup');
const PROBE_KEYS = honoured(
  'exec',
  'http',
  'tcp',
  'interval',
  'timeout',
  'failure_threshold',
  'success_threshold',
  'initial_delay',
);
const HTTP_KEYS = honoured('port', 'path', 'scheme', 'host', 'headers');
const TCP_KEYS = honoured('port');

export function probesOf(extension: Fields | undefined): Probes | undefined {
  const probes = extension?.fields('probes', PROBES_KEYS);
  if (probes === undefined) return undefined;
  const probe = (key: string): Probe | undefined => probeOf(probes.fields(key, PROBE_KEYS));
  return Probes.create({ liveness: probe('liveness'), readiness: probe('readiness'), startup: probe('startup') });
}

function probeOf(fields: Fields | undefined): Probe | undefined {
  if (fields === undefined) return undefined;
  return Probe.create({
    check: checkOf(fields),
    intervalMs: fields.durationMs('interval'),
    timeoutMs: fields.durationMs('timeout'),
    failureThreshold: fields.integer('failure_threshold', 1),
    successThreshold: fields.integer('success_threshold', 1),
    initialDelayMs: fields.durationMs('initial_delay'),
  });
}

function checkOf(fields: Fields): Probe['check'] {
  const given = ['exec', 'http', 'tcp'].filter((key) => fields.has(key));
  if (given.length !== 1) {
    fields.problems.error(fields.map.at, fields.path, 'a probe has one check', 'give one of exec, http, tcp');
    return undefined;
  }
  if (fields.has('exec')) return { kind: 'exec', value: ExecProbe.create({ command: fields.texts('exec') }) };
  const http = fields.fields('http', HTTP_KEYS);
  if (http !== undefined) {
    const headers = Object.entries(http.record('headers')).map(([name, value]) => ({ name, value }));
    return {
      kind: 'http',
      value: HttpProbe.create({
        port: http.integer('port', 1) ?? 0,
        path: http.text('path') ?? '',
        scheme: http.text('scheme') ?? '',
        host: http.text('host') ?? '',
        headers,
      }),
    };
  }
  const tcp = fields.fields('tcp', TCP_KEYS);
  return { kind: 'tcp', value: TcpProbe.create({ port: tcp?.integer('port', 1) ?? 0 }) };
}

const STRATEGIES = { spread: PlacementStrategy.SPREAD, binpack: PlacementStrategy.BINPACK };
const AFFINITY_KEYS = honoured('service', 'anti', 'topology', 'weight');

/** The placement with what the extension adds to it. `isKnown`: the file has a service of that name. */
export function extendedPlacement(
  placement: Placement | undefined,
  extension: Fields | undefined,
  names: StackNames,
  isKnown: (service: string) => boolean,
): Placement | undefined {
  const strategy = extension?.oneOf('strategy', STRATEGIES);
  const priority = extension?.integer('priority', -1000);
  const preempts = extension?.bool('preempts');
  const affinities = (extension?.maps('affinities', AFFINITY_KEYS) ?? []).map((fields) => {
    const service = fields.text('service') ?? '';
    return Affinity.create({
      service: isKnown(service) ? names.scoped(service) : service,
      anti: fields.bool('anti') ?? false,
      topology: fields.text('topology') ?? '',
      weight: fields.integer('weight') ?? 0,
    });
  });
  if (strategy === undefined && priority === undefined && preempts === undefined && affinities.length === 0)
    return placement;
  return Placement.create({
    ...placement,
    strategy: strategy ?? PlacementStrategy.UNSPECIFIED,
    priority: priority ?? 0,
    preempts: preempts ?? false,
    affinities,
  });
}
