/** What a job is declared to be, with the defaults filled in. */
import { JobOverlap, type JobSchedule, type ServiceSpec } from '#gen/swarm/v1/specs.ts';

const DEFAULT_HISTORY_LIMIT = 5;
const DEFAULT_START_DEADLINE_MS = 60_000;

/** Whether tasks of the service run to an end, instead of for ever. */
export function isJob(spec: ServiceSpec | undefined): boolean {
  return spec?.mode?.kind === 'replicatedJob' || spec?.mode?.kind === 'globalJob';
}

export interface JobShape {
  /** Its slots are nodes. */
  readonly global: boolean;
  /** Slots, each of which has to complete once; 0 for a global job, whose nodes come and go. */
  readonly total: number;
  /** Slots that are at work at once. */
  readonly concurrent: number;
}

export function jobShape(spec: ServiceSpec | undefined): JobShape {
  const mode = spec?.mode;
  if (mode?.kind !== 'replicatedJob') return { global: true, total: 0, concurrent: Number.POSITIVE_INFINITY };
  const total = mode.value.totalCompletions ?? 1;
  return { global: false, total, concurrent: mode.value.maxConcurrent || Math.max(1, total) };
}

export interface JobRules {
  /** 0: without limit. */
  readonly deadlineMs: number;
  readonly historyLimit: number;
  /** The schedule that is in force; undefined without one, and while it is suspended. */
  readonly schedule: JobSchedule | undefined;
  /** Runs begin by the clock, or would if that were not suspended: not when the service is updated. */
  readonly isScheduled: boolean;
  readonly startDeadlineMs: number;
  readonly overlap: 'skip' | 'queue' | 'replace';
}

export function jobRules(spec: ServiceSpec | undefined): JobRules {
  const job = spec?.job;
  const schedule = job?.schedule;
  return {
    deadlineMs: job?.deadlineMs ?? 0,
    historyLimit: job?.historyLimit ?? DEFAULT_HISTORY_LIMIT,
    schedule: schedule?.suspended === true ? undefined : schedule,
    isScheduled: schedule !== undefined,
    startDeadlineMs: schedule?.startDeadlineMs ?? DEFAULT_START_DEADLINE_MS,
    overlap: overlapOf(schedule?.overlap ?? JobOverlap.UNSPECIFIED),
  };
}

function overlapOf(overlap: JobOverlap): JobRules['overlap'] {
  switch (overlap) {
    case JobOverlap.QUEUE:
      return 'queue';
    case JobOverlap.REPLACE:
      return 'replace';
    case JobOverlap.SKIP:
    case JobOverlap.UNSPECIFIED:
      return 'skip';
  }
}
