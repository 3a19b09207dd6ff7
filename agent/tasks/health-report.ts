/** What the probes of a task come to together. Pure. */
import { HealthState, type TaskHealth } from '#gen/swarm/v1/objects.ts';
import type { HealthPlan, PlannedProbe, ProbeRole } from './health-plan.ts';
import { NEW_PROBE, type ProbeState } from './probe-state.ts';

export type ProbeStates = Readonly<Partial<Record<ProbeRole, ProbeState>>>;

export interface HealthReport {
  readonly state: HealthState;
  /** It may count as running. Once true it stays so. */
  readonly started: boolean;
  /** New connections may be led to it. */
  readonly ready: boolean;
  readonly failingStreak: number;
  /** What the last failed check said of a task that is not ready; empty for one that is. */
  readonly message: string;
  /** Why the task has to be stopped; undefined as long as it may live. */
  readonly failure: string | undefined;
}

/** Which probes are made now: before a startup probe has succeeded it alone, after that never again. */
export function activeProbes(plan: HealthPlan, states: ProbeStates): HealthPlan {
  const startup = plan.find(({ role }) => role === 'startup');
  const isStarting = startup !== undefined && stateOf(states, startup).verdict !== 'passing';
  return isStarting ? [startup] : plan.filter(({ role }) => role !== 'startup');
}

/**
 * What is taken for granted of a task whose agent was away: what was found out before holds until checks say otherwise,
 * so that nothing flaps.
 */
export function resumedStates(plan: HealthPlan, known: TaskHealth | undefined, isRunning: boolean): ProbeStates {
  if (!isRunning) return {};
  const passing: ProbeState = { ...NEW_PROBE, verdict: 'passing' };
  const states: Partial<Record<ProbeRole, ProbeState>> = {};
  for (const { role } of plan) {
    // A container of an agent that checked nothing counts as ready until it turns out not to be.
    const isReady = known?.ready ?? true;
    if (role !== 'readiness' || isReady) states[role] = passing;
    else states[role] = { ...NEW_PROBE, verdict: 'failing', message: known?.message ?? '' };
  }
  return states;
}

export function reportOf(plan: HealthPlan, states: ProbeStates): HealthReport {
  const failed = plan.find((probe) => probe.role !== 'readiness' && stateOf(states, probe).verdict === 'failing');
  const isPassing = (probe: PlannedProbe): boolean => stateOf(states, probe).verdict === 'passing';
  const started = plan.filter(({ role }) => role === 'health' || role === 'startup').every(isPassing);
  const awaited = plan.filter(({ role }) => role !== 'liveness');
  const ready = failed === undefined && awaited.every(isPassing);
  const told = failed ?? awaited.find((probe) => !isPassing(probe));
  const { failures, message } = told === undefined ? NEW_PROBE : stateOf(states, told);
  return {
    state: stateOfAll(failed !== undefined, awaited, states),
    started,
    ready,
    failingStreak: failures,
    message: ready ? '' : message,
    failure: failed === undefined ? undefined : failureText(failed, message),
  };
}

function stateOfAll(hasFailed: boolean, awaited: HealthPlan, states: ProbeStates): HealthState {
  if (hasFailed) return HealthState.UNHEALTHY;
  return awaited.some((probe) => stateOf(states, probe).verdict === 'open')
    ? HealthState.STARTING
    : HealthState.HEALTHY;
}

/** Whether a manager has to hear of the difference. */
export function isNews(before: HealthReport, after: HealthReport): boolean {
  return (
    before.state !== after.state ||
    before.started !== after.started ||
    before.ready !== after.ready ||
    before.failure !== after.failure ||
    // Why somebody waits is worth one word, though the words of later checks may differ.
    (before.message === '' && after.message !== '')
  );
}

const NAMES: Readonly<Record<ProbeRole, string>> = {
  health: 'health check',
  startup: 'startup probe',
  liveness: 'liveness probe',
  readiness: 'readiness probe',
};

function failureText({ role }: PlannedProbe, message: string): string {
  return `unhealthy: ${NAMES[role]} failed${message === '' ? '' : `: ${message}`}`;
}

function stateOf(states: ProbeStates, { role }: PlannedProbe): ProbeState {
  return states[role] ?? NEW_PROBE;
}
