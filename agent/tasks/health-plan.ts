/** Which checks a task gets, with every default filled in: Docker's health check, and the probes beside it. */
import type { ContainerSpec, HealthCheck, Probe } from '#gen/swarm/v1/specs.ts';

export type Check =
  | { readonly kind: 'exec'; readonly command: readonly string[] }
  | {
      readonly kind: 'http';
      readonly port: number;
      readonly path: string;
      readonly isTls: boolean;
      /** Empty: the address that is asked. */
      readonly host: string;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: 'tcp'; readonly port: number };

/**
 * - `health`: Docker's check. The task does not count as running before it succeeds, and is stopped when it fails
 * - `startup`: the same, but it ends with its first success, and nothing else is checked before
 * - `liveness`: the task is stopped when it fails
 * - `readiness`: the task gets no new connections while it fails
 */
export type ProbeRole = 'health' | 'startup' | 'liveness' | 'readiness';

export interface PlannedProbe {
  readonly role: ProbeRole;
  readonly check: Check;
  /** Before the first check. */
  readonly initialDelayMs: number;
  /** After that delay: until the first success, failures do not count. */
  readonly graceMs: number;
  /** Between two checks within that time, at most. */
  readonly graceIntervalMs: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Counted failures in a row until it fails. */
  readonly failureThreshold: number;
  /** Successes in a row until it succeeds. */
  readonly successThreshold: number;
}

/** Invariants: at most one probe of a role, and at least one of all. */
export type HealthPlan = readonly PlannedProbe[];

/** What an image says of how it is checked; 0 where it leaves a number to the engine. */
export interface ImageHealthcheck {
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** Docker's defaults. */
const HEALTH_DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3, startPeriodMs: 0, startIntervalMs: 5000 };

/** Where the spec is silent: those of Kubernetes. */
const PROBE_DEFAULTS = { intervalMs: 10_000, timeoutMs: 1000, failureThreshold: 3, successThreshold: 1 };

/** Docker's, where the image names none. */
const SHELL: readonly string[] = ['/bin/sh', '-c'];

/** Undefined where nothing is checked. */
export function healthPlan(
  container: Pick<ContainerSpec, 'healthcheck' | 'probes'> | undefined,
  image: ImageHealthcheck | undefined,
  imageShell: readonly string[] = [],
): HealthPlan | undefined {
  const { healthcheck, probes } = container ?? {};
  const planned = [
    planHealthcheck(healthcheck, image, imageShell),
    planProbe('startup', probes?.startup),
    planProbe('liveness', probes?.liveness),
    planProbe('readiness', probes?.readiness),
  ].filter((probe) => probe !== undefined);
  return planned.length === 0 ? undefined : planned;
}

/** Whether the task counts as running only once a check has succeeded. */
export function gatesStart(plan: HealthPlan): boolean {
  return plan.some(({ role }) => role === 'health' || role === 'startup');
}

function planHealthcheck(
  spec: HealthCheck | undefined,
  image: ImageHealthcheck | undefined,
  imageShell: readonly string[],
): PlannedProbe | undefined {
  const test = spec === undefined || spec.test.length === 0 ? (image?.test ?? []) : spec.test;
  const command = commandOf(test, imageShell);
  if (command === undefined) return undefined;
  const intervalMs = spec?.intervalMs || image?.intervalMs || HEALTH_DEFAULTS.intervalMs;
  const startPeriodMs = spec?.startPeriodMs || image?.startPeriodMs || HEALTH_DEFAULTS.startPeriodMs;
  const startIntervalMs = spec?.startIntervalMs || image?.startIntervalMs || HEALTH_DEFAULTS.startIntervalMs;
  return {
    role: 'health',
    check: { kind: 'exec', command },
    initialDelayMs: 0,
    // Docker's first check that counts is made when the first interval is over; ours before it can only be good news.
    graceMs: Math.max(startPeriodMs, intervalMs),
    graceIntervalMs: Math.min(startIntervalMs, intervalMs),
    intervalMs,
    timeoutMs: spec?.timeoutMs || image?.timeoutMs || HEALTH_DEFAULTS.timeoutMs,
    failureThreshold: spec?.retries || image?.retries || HEALTH_DEFAULTS.retries,
    successThreshold: 1,
  };
}

/** Undefined for none, and for what Docker does not know either: such an image runs without a check. */
function commandOf([kind, ...words]: readonly string[], imageShell: readonly string[]): readonly string[] | undefined {
  if (words.length === 0) return undefined;
  if (kind === 'CMD') return words;
  if (kind === 'CMD-SHELL') return [...(imageShell.length === 0 ? SHELL : imageShell), ...words];
  return undefined;
}

function planProbe(role: Exclude<ProbeRole, 'health'>, probe: Probe | undefined): PlannedProbe | undefined {
  const check = probe === undefined ? undefined : checkOf(probe);
  if (probe === undefined || check === undefined) return undefined;
  const intervalMs = probe.intervalMs ?? PROBE_DEFAULTS.intervalMs;
  return {
    role,
    check,
    initialDelayMs: probe.initialDelayMs ?? 0,
    graceMs: intervalMs,
    graceIntervalMs: intervalMs,
    intervalMs,
    timeoutMs: probe.timeoutMs ?? PROBE_DEFAULTS.timeoutMs,
    failureThreshold: probe.failureThreshold ?? PROBE_DEFAULTS.failureThreshold,
    successThreshold: probe.successThreshold ?? PROBE_DEFAULTS.successThreshold,
  };
}

function checkOf({ check }: Probe): Check | undefined {
  switch (check?.kind) {
    case 'exec':
      return { kind: 'exec', command: check.value.command };
    case 'http': {
      const { port, path, scheme, host, headers } = check.value;
      return { kind: 'http', port, path: path === '' ? '/' : path, isTls: scheme === 'https', host, headers };
    }
    case 'tcp':
      return { kind: 'tcp', port: check.value.port };
    case undefined:
      return undefined;
  }
}
