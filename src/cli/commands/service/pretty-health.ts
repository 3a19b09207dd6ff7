/** The part of `service inspect --pretty` about how tasks are checked. Docker's page has none. */
import { formatDuration } from '#common/duration.ts';
import type { ContainerSpec, HealthCheck, Probe } from '#gen/swarm/v1/specs.ts';

export function prettyHealth({ healthcheck, probes }: ContainerSpec): readonly string[] {
  const lines: string[] = [];
  if (healthcheck !== undefined) lines.push('Health Check:', ...checkLines(healthcheck));
  const named = [
    ['Startup', probes?.startup],
    ['Liveness', probes?.liveness],
    ['Readiness', probes?.readiness],
  ] as const;
  const given = named.filter((one): one is [(typeof one)[0], Probe] => one[1] !== undefined);
  if (given.length > 0) lines.push('Probes:', ...given.map(([name, probe]) => ` ${name}:\t${probeText(probe)}`));
  return lines;
}

function checkLines(check: HealthCheck): readonly string[] {
  const [kind, ...words] = check.test;
  if (kind === 'NONE') return [' Test:\t\tnone'];
  const lines = [` Test:\t\t${kind === undefined ? "the image's" : words.join(' ')}`];
  const times = [
    ['Interval', check.intervalMs],
    ['Timeout', check.timeoutMs],
    ['Start Period', check.startPeriodMs],
    ['Start Interval', check.startIntervalMs],
  ] as const;
  for (const [name, ms] of times) if ((ms ?? 0) > 0) lines.push(` ${name}:\t${duration(ms ?? 0)}`);
  if ((check.retries ?? 0) > 0) lines.push(` Retries:\t${check.retries}`);
  return lines;
}

/** As `--liveness-probe` and its like take it. */
export function probeText(probe: Probe): string {
  const parts = [checkText(probe)];
  const times = [
    ['interval', probe.intervalMs],
    ['timeout', probe.timeoutMs],
    ['delay', probe.initialDelayMs],
  ] as const;
  for (const [name, ms] of times) if (ms !== undefined) parts.push(`${name}=${duration(ms)}`);
  if (probe.failureThreshold !== undefined) parts.push(`failures=${probe.failureThreshold}`);
  if (probe.successThreshold !== undefined) parts.push(`successes=${probe.successThreshold}`);
  if (probe.check?.kind !== 'http') return parts.join(',');
  const { host, headers } = probe.check.value;
  if (host !== '') parts.push(`host=${host}`);
  for (const { name, value } of headers) parts.push(quoted(`header=${name}:${value}`));
  return parts.join(',');
}

function checkText({ check }: Probe): string {
  switch (check?.kind) {
    case 'exec':
      return quoted(`exec:${check.value.command.map(shellWord).join(' ')}`);
    case 'http':
      return quoted(`${check.value.scheme || 'http'}:${check.value.port}${check.value.path}`);
    case 'tcp':
      return `tcp:${check.value.port}`;
    case undefined:
      return '';
  }
}

function shellWord(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** A field of comma-separated values. */
function quoted(field: string): string {
  return /[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

function duration(ms: number): string {
  return formatDuration(ms * 1e6);
}
