/** How tasks are checked and what came of it. Docker has the first half. */

import {
  BOOL,
  DURATION,
  INT,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  type StructData,
  struct,
  TIME,
  UINT,
} from '#common/template/go-types.ts';
import { HealthState, type TaskHealth } from '#gen/swarm/v1/objects.ts';
import type { HealthCheck, Probe, Probes } from '#gen/swarm/v1/specs.ts';

const NS_PER_MS = 1e6;

const PROBE = struct('swarm.Probe', {
  'Exec?': pointer(struct('swarm.ExecProbe', { Command: STRINGS })),
  'HTTP?': pointer(
    struct('swarm.HTTPProbe', {
      Port: UINT,
      'Path?': STRING,
      'Scheme?': STRING,
      'Host?': STRING,
      'Headers?': STRING_MAP,
    }),
  ),
  'TCP?': pointer(struct('swarm.TCPProbe', { Port: UINT })),
  'Interval?': DURATION,
  'Timeout?': DURATION,
  'Failures?': INT,
  'Successes?': INT,
  'Delay?': DURATION,
});

export const PROBES = struct('swarm.Probes', {
  'Startup?': pointer(PROBE),
  'Liveness?': pointer(PROBE),
  'Readiness?': pointer(PROBE),
});

/** Named and spelled as the health of a container of Docker's, where that has the field. */
export const TASK_HEALTH = struct('swarm.TaskHealth', {
  Status: STRING,
  Ready: BOOL,
  FailingStreak: INT,
  'Message?': STRING,
  'ReadySince?': pointer(TIME),
});

export const HEALTH_STATES: Readonly<Record<HealthState, string>> = {
  [HealthState.UNSPECIFIED]: 'none',
  [HealthState.STARTING]: 'starting',
  [HealthState.HEALTHY]: 'healthy',
  [HealthState.UNHEALTHY]: 'unhealthy',
};

export function healthCheckShape(check: HealthCheck | undefined): StructData | undefined {
  if (check === undefined) return undefined;
  return {
    Test: check.test,
    Interval: nanos(check.intervalMs),
    Timeout: nanos(check.timeoutMs),
    StartPeriod: nanos(check.startPeriodMs),
    StartInterval: nanos(check.startIntervalMs),
    Retries: check.retries,
  };
}

export function probesShape(probes: Probes | undefined): StructData | undefined {
  if (probes === undefined) return undefined;
  const { startup, liveness, readiness } = probes;
  return { Startup: probeShape(startup), Liveness: probeShape(liveness), Readiness: probeShape(readiness) };
}

export function taskHealthShape(health: TaskHealth | undefined): StructData | undefined {
  if (health === undefined) return undefined;
  return {
    Status: HEALTH_STATES[health.state],
    Ready: health.ready,
    FailingStreak: health.failingStreak,
    Message: health.message,
    ReadySince: health.readySinceMs === 0 ? undefined : health.readySinceMs,
  };
}

function probeShape(probe: Probe | undefined): StructData | undefined {
  if (probe === undefined) return undefined;
  return {
    ...checkShape(probe),
    Interval: nanos(probe.intervalMs),
    Timeout: nanos(probe.timeoutMs),
    Failures: probe.failureThreshold,
    Successes: probe.successThreshold,
    Delay: nanos(probe.initialDelayMs),
  };
}

function checkShape({ check }: Probe): StructData {
  switch (check?.kind) {
    case 'exec':
      return { Exec: { Command: check.value.command } };
    case 'http': {
      const { port, path, scheme, host, headers } = check.value;
      const Headers = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
      return { HTTP: { Port: port, Path: path, Scheme: scheme, Host: host, Headers } };
    }
    case 'tcp':
      return { TCP: { Port: check.value.port } };
    case undefined:
      return {};
  }
}

function nanos(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms * NS_PER_MS;
}
