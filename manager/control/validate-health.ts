/** The rules for health checks and probes. Every refusal names the field, the value, the rule and the way out. */
import { invalidField } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { ContainerSpec, HealthCheck, HttpProbe, Probe } from '#gen/swarm/v1/specs.ts';
import { tooLarge } from './validate-labels.ts';

/** @throws SwarmError for the first rule that the spec breaks. */
export function validateHealth({ healthcheck, probes }: ContainerSpec): void {
  if (healthcheck !== undefined) validateHealthcheck(healthcheck);
  if (probes === undefined) return;
  const { startup, liveness, readiness } = probes;
  if (startup === undefined && liveness === undefined && readiness === undefined)
    throw invalidField('probes', 'probes: there is none in it', 'name a startup, liveness or readiness probe');
  validateProbe('startup-probe', startup, true);
  validateProbe('liveness-probe', liveness, true);
  validateProbe('readiness-probe', readiness, false);
}

function validateHealthcheck(check: HealthCheck): void {
  const field = 'health-cmd';
  const [kind, ...words] = check.test;
  const times = [check.intervalMs, check.timeoutMs, check.retries, check.startPeriodMs, check.startIntervalMs];
  switch (kind) {
    case undefined:
      break;
    case 'NONE':
      if (words.length > 0 || times.some((value) => (value ?? 0) !== 0))
        throw invalidField(
          'no-healthcheck',
          'no-healthcheck: conflicts with a command and with times of a health check',
          'leave out one of them',
        );
      break;
    case 'CMD':
      validateCommand(field, words);
      break;
    case 'CMD-SHELL':
      if (words.length !== 1) throw invalidField(field, `${field}: CMD-SHELL takes one line`, 'write it as one text');
      validateCommand(field, words);
      break;
    default:
      throw invalidField(
        field,
        `${field}: ${JSON.stringify(kind.slice(0, 64))} is not a kind of health check`,
        'begin it with NONE, CMD or CMD-SHELL',
      );
  }
  // 0 means the image's own, as in Docker.
  validateDuration('health-interval', check.intervalMs, 0);
  validateDuration('health-timeout', check.timeoutMs, 0);
  validateDuration('health-start-period', check.startPeriodMs, 0);
  validateDuration('health-start-interval', check.startIntervalMs, 0);
  validateCount('health-retries', check.retries, 0);
}

function validateProbe(field: string, probe: Probe | undefined, mayEnd: boolean): void {
  if (probe === undefined) return;
  switch (probe.check?.kind) {
    case undefined:
      throw invalidField(field, `${field}: it says nothing to check`, 'use exec:COMMAND, http:PORT/PATH or tcp:PORT');
    case 'exec':
      validateCommand(field, probe.check.value.command);
      break;
    case 'http':
      validateHttp(field, probe.check.value);
      break;
    case 'tcp':
      validatePort(field, probe.check.value.port);
      break;
  }
  validateDuration(`${field} interval`, probe.intervalMs, LIMITS.PROBE_INTERVAL_MIN_MS);
  validateDuration(`${field} timeout`, probe.timeoutMs, 1);
  validateDuration(`${field} delay`, probe.initialDelayMs, 0);
  validateCount(`${field} failures`, probe.failureThreshold, 1);
  validateCount(`${field} successes`, probe.successThreshold, 1);
  if (mayEnd && (probe.successThreshold ?? 1) !== 1)
    throw invalidField(
      `${field} successes`,
      `${field} successes: ${probe.successThreshold}, but one success is all that it can ask for`,
      'leave it out; a readiness probe may ask for more',
    );
}

function validateCommand(field: string, words: readonly string[]): void {
  if (words.length === 0 || words[0]?.trim() === '')
    throw invalidField(field, `${field}: there is no command to run`, 'name one that the image has');
  if (words.some((word) => word.includes('\0')))
    throw invalidField(field, `${field}: contains a NUL character`, 'remove it: no program can receive it');
  const size = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (size > LIMITS.CHECK_COMMAND_BYTES)
    throw tooLarge(field, 'the command', size, 'CHECK_COMMAND_BYTES', 'put it into a script of the image');
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** They say how the message itself is read; a probe has nothing to send. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function validateHttp(field: string, { port, path, scheme, host, headers }: HttpProbe): void {
  validatePort(field, port);
  if (path !== '' && !/^\/[\x21-\x7e]*$/.test(path))
    throw invalidField(
      `${field} path`,
      `${field} path: ${shown(path)} is not a path`,
      'begin it with /, and write what is no ASCII letter as %XX',
    );
  if (path.length > LIMITS.PROBE_PATH_LENGTH)
    throw tooLarge(`${field} path`, 'it', path.length, 'PROBE_PATH_LENGTH', 'give the application a shorter one');
  if (!['', 'http', 'https'].includes(scheme))
    throw invalidField(`${field} scheme`, `${field} scheme: ${shown(scheme)} is not known`, 'use http or https');
  if (host !== '' && !/^[\w.:[\]-]{1,255}$/.test(host))
    throw invalidField(`${field} host`, `${field} host: ${shown(host)} is not a host`, 'write NAME or NAME:PORT');
  if (headers.length > LIMITS.PROBE_HEADERS)
    throw invalidField(
      `${field} header`,
      `${field} header: ${headers.length}, the limit is ${LIMITS.PROBE_HEADERS} (PROBE_HEADERS)`,
      'leave some out',
    );
  for (const header of headers) validateHeader(`${field} header`, header.name, header.value);
}

function validateHeader(field: string, name: string, value: string): void {
  if (!TOKEN.test(name) || name.length > LIMITS.LABEL_KEY_LENGTH)
    throw invalidField(field, `${field}: ${shown(name)} is not the name of a header`, 'write Name:value');
  if (OWN_HEADERS.has(name.toLowerCase()))
    throw invalidField(field, `${field}: ${name} cannot be chosen`, 'leave it out; the host has a field of its own');
  if (!/^[\x20-\x7e\t]*$/.test(value) || value.length > LIMITS.PROBE_PATH_LENGTH)
    throw invalidField(field, `${field}: the value of ${name} does not fit a header`, 'use one line of ASCII');
}

function validatePort(field: string, port: number): void {
  if (port < 1 || port > 65_535)
    throw invalidField(`${field} port`, `${field} port: ${port} is not a port`, 'use 1 to 65535');
}

function validateDuration(field: string, value: number | undefined, leastMs: number): void {
  if (value === undefined) return;
  if (value < 0) throw invalidField(field, `${field}: ${value} ms is negative`, 'use a duration such as 10s');
  if (value < leastMs)
    throw invalidField(field, `${field}: ${value} ms is less than ${leastMs} ms`, 'use a longer one');
  if (value > LIMITS.CHECK_DURATION_MS)
    throw invalidField(
      field,
      `${field}: ${value} ms is more than ${LIMITS.CHECK_DURATION_MS} ms (CHECK_DURATION_MS)`,
      'use at most 24h',
    );
}

function validateCount(field: string, value: number | undefined, least: number): void {
  if (value === undefined || (value >= least && value <= LIMITS.CHECK_COUNT)) return;
  throw invalidField(
    field,
    `${field}: ${value} is not between ${least} and ${LIMITS.CHECK_COUNT}`,
    'choose one that is',
  );
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text);
}
