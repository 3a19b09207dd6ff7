/** Jobs in Docker's shape, and the words for their parts. */
import { compileCron, nextRunMs } from '#common/cron-schedule.ts';
import type { StructData } from '#common/template/go-types.ts';
import { type JobRun, JobRunState, JobTrigger, type Service } from '#gen/swarm/v1/objects.ts';
import { JobOverlap, type JobSpec } from '#gen/swarm/v1/specs.ts';

const NS_PER_MS = 1e6;

export const JOB_RUN_STATES: Readonly<Record<JobRunState, string>> = {
  [JobRunState.UNSPECIFIED]: '',
  [JobRunState.QUEUED]: 'queued',
  [JobRunState.RUNNING]: 'running',
  [JobRunState.COMPLETED]: 'completed',
  [JobRunState.FAILED]: 'failed',
  [JobRunState.SKIPPED]: 'skipped',
  [JobRunState.REPLACED]: 'replaced',
  [JobRunState.STOPPED]: 'stopped',
};

export const JOB_TRIGGERS: Readonly<Record<JobTrigger, string>> = {
  [JobTrigger.UNSPECIFIED]: '',
  [JobTrigger.UPDATE]: 'update',
  [JobTrigger.SCHEDULE]: 'schedule',
  [JobTrigger.USER]: 'user',
};

export const JOB_OVERLAPS: Readonly<Record<JobOverlap, string>> = {
  [JobOverlap.UNSPECIFIED]: 'skip',
  [JobOverlap.SKIP]: 'skip',
  [JobOverlap.QUEUE]: 'queue',
  [JobOverlap.REPLACE]: 'replace',
};

/**
 * When the schedule wants the next run; undefined without one. While the managers have not seen the schedule, or were
 * away, what they have followed it up to may be long ago: a time that is past is one that they will look at soon.
 */
export function nextRunOf({ spec, job }: Service, nowMs?: number): number | undefined {
  const schedule = spec?.job?.schedule;
  if (schedule === undefined || schedule.suspended) return undefined;
  const compiled = compileCron(schedule.cron, schedule.timeZone);
  if ('message' in compiled) return undefined;
  const isFollowed = job?.followedSchedule === `${schedule.cron} ${schedule.timeZone}`;
  const afterMs = isFollowed ? job.scheduledUntilMs : nowMs;
  return afterMs === undefined ? undefined : nextRunMs(compiled, afterMs);
}

export function jobSpecShape(job: JobSpec | undefined): StructData | undefined {
  const { schedule, deadlineMs, historyLimit } = job ?? {};
  if (schedule === undefined && deadlineMs === undefined && historyLimit === undefined) return undefined;
  return {
    Schedule: schedule && {
      Cron: schedule.cron,
      TimeZone: schedule.timeZone,
      Overlap: JOB_OVERLAPS[schedule.overlap],
      StartDeadline: nanos(schedule.startDeadlineMs),
      Suspended: schedule.suspended,
    },
    Deadline: nanos(deadlineMs),
    HistoryLimit: historyLimit,
  };
}

/** Docker's two fields, then ours. The last execution is the begin of the last run. */
export function jobStatusShape(service: Service): StructData | undefined {
  const { job } = service;
  if (job === undefined) return undefined;
  const last = job.runs.findLast(({ revision }) => revision > 0);
  return {
    JobIteration: { Index: last?.iteration ?? 0 },
    LastExecution: last?.startedAtMs,
    Runs: job.runs.map(runShape),
    NextRun: nextRunOf(service),
    Skipped: job.skipped,
  };
}

function runShape(run: JobRun): StructData {
  return {
    Run: run.iteration,
    Trigger: JOB_TRIGGERS[run.trigger],
    State: JOB_RUN_STATES[run.state],
    DueAt: known(run.dueAtMs),
    StartedAt: known(run.startedAtMs),
    EndedAt: known(run.endedAtMs),
    Revision: run.revision,
    Succeeded: run.succeeded,
    Failed: run.failed,
    Total: run.total,
    Skipped: run.count,
    Message: run.message,
  };
}

function known(ms: number): number | undefined {
  return ms === 0 ? undefined : ms;
}

function nanos(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms * NS_PER_MS;
}
