/** Flags for how a task is checked, of `service create`, `service update` and `run`. */
import { type ContainerSpec, HealthCheck, type Probe, Probes } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, stringFlag, valueFlag } from '../../flags.ts';
import { probe } from '../../values/probes.ts';
import { durationMs, unsigned } from '../../values/scalars.ts';

function duration(name: string, usage: string): Flag<number> {
  return valueFlag({ name, type: 'duration', usage, parse: durationMs });
}

export const HEALTH_CMD = stringFlag({ name: 'health-cmd', usage: 'Command to run to check health' });
export const HEALTH_INTERVAL = duration('health-interval', 'Time between running the check (ms|s|m|h)');
export const HEALTH_TIMEOUT = duration('health-timeout', 'Maximum time to allow one check to run (ms|s|m|h)');
export const HEALTH_RETRIES = valueFlag({
  name: 'health-retries',
  type: 'int',
  usage: 'Consecutive failures needed to report unhealthy',
  parse: unsigned,
});
export const HEALTH_START_PERIOD = duration(
  'health-start-period',
  'Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)',
);
export const HEALTH_START_INTERVAL = duration(
  'health-start-interval',
  'Time between running the check during the start period (ms|s|m|h)',
);
export const NO_HEALTHCHECK = boolFlag({
  name: 'no-healthcheck',
  usage: 'Disable any container-specified HEALTHCHECK',
});

/** Docker's own, in every command that runs containers. */
export const HEALTHCHECK_FLAGS: readonly AnyFlag[] = [
  HEALTH_CMD,
  HEALTH_INTERVAL,
  HEALTH_TIMEOUT,
  HEALTH_RETRIES,
  HEALTH_START_PERIOD,
  HEALTH_START_INTERVAL,
  NO_HEALTHCHECK,
];

function probeFlag(name: string, usage: string): Flag<Probe> {
  return valueFlag({ name, type: 'probe', usage: `${usage} ("http:8080/path,interval=5s")`, parse: probe });
}

const STARTUP_PROBE = probeFlag('startup-probe', 'Nothing else is checked before it succeeds');
const LIVENESS_PROBE = probeFlag('liveness-probe', 'A task that fails it is replaced');
const READINESS_PROBE = probeFlag('readiness-probe', 'A task gets no new connections while it fails it');

export const PROBE_FLAGS: readonly AnyFlag[] = [LIVENESS_PROBE, READINESS_PROBE, STARTUP_PROBE];

const STARTUP_PROBE_RM = boolFlag({ name: 'startup-probe-rm', usage: 'Remove the startup probe' });
const LIVENESS_PROBE_RM = boolFlag({ name: 'liveness-probe-rm', usage: 'Remove the liveness probe' });
const READINESS_PROBE_RM = boolFlag({ name: 'readiness-probe-rm', usage: 'Remove the readiness probe' });

export const HEALTH_CREATE_FLAGS: readonly AnyFlag[] = [...HEALTHCHECK_FLAGS, ...PROBE_FLAGS];
export const HEALTH_UPDATE_FLAGS: readonly AnyFlag[] = [
  ...HEALTH_CREATE_FLAGS,
  LIVENESS_PROBE_RM,
  READINESS_PROBE_RM,
  STARTUP_PROBE_RM,
];

/**
 * How the container is checked, changed where flags say so. Docker's rules: an empty command means the image's again,
 * and any setting takes back --no-healthcheck.
 */
export function healthOf(
  flags: FlagValues,
  before: Pick<ContainerSpec, 'healthcheck' | 'probes'> | undefined,
): Pick<ContainerSpec, 'healthcheck' | 'probes'> {
  return { healthcheck: healthcheckOf(flags, before?.healthcheck), probes: probesOf(flags, before?.probes) };
}

function healthcheckOf(flags: FlagValues, before: HealthCheck | undefined): HealthCheck | undefined {
  const isChanged = flags.anyGiven(...HEALTHCHECK_FLAGS.filter((flag) => flag !== NO_HEALTHCHECK));
  if (flags.isSet(NO_HEALTHCHECK)) {
    if (isChanged) throw new CliError('--no-healthcheck conflicts with --health-* options');
    return HealthCheck.create({ test: ['NONE'] });
  }
  if (!isChanged) return before;
  const kept = before?.test[0] === 'NONE' ? [] : (before?.test ?? []);
  const command = flags.value(HEALTH_CMD);
  return HealthCheck.create({
    ...before,
    test: command === undefined ? kept : command === '' ? [] : ['CMD-SHELL', command],
    intervalMs: flags.value(HEALTH_INTERVAL) ?? before?.intervalMs,
    timeoutMs: flags.value(HEALTH_TIMEOUT) ?? before?.timeoutMs,
    retries: flags.value(HEALTH_RETRIES) ?? before?.retries,
    startPeriodMs: flags.value(HEALTH_START_PERIOD) ?? before?.startPeriodMs,
    startIntervalMs: flags.value(HEALTH_START_INTERVAL) ?? before?.startIntervalMs,
  });
}

function probesOf(flags: FlagValues, before: Probes | undefined): Probes | undefined {
  const changed = (set: Flag<Probe>, remove: Flag<boolean>, old: Probe | undefined): Probe | undefined => {
    if (flags.given(set) && flags.isSet(remove))
      throw new CliError(`--${set.name} conflicts with --${remove.name}`, { hint: 'leave out one of them' });
    return flags.isSet(remove) ? undefined : (flags.value(set) ?? old);
  };
  const startup = changed(STARTUP_PROBE, STARTUP_PROBE_RM, before?.startup);
  const liveness = changed(LIVENESS_PROBE, LIVENESS_PROBE_RM, before?.liveness);
  const readiness = changed(READINESS_PROBE, READINESS_PROBE_RM, before?.readiness);
  if (startup === undefined && liveness === undefined && readiness === undefined) return undefined;
  return Probes.create({ ...before, startup, liveness, readiness });
}
