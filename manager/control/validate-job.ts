/** The rules for what only jobs have, and for what jobs cannot have. */
import { compileCron } from '#common/cron-schedule.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { isJobOverlap, type JobSchedule, type ReplicatedJobMode, type ServiceSpec } from '#gen/swarm/v1/specs.ts';

/** @throws SwarmError for the first rule that the spec breaks. */
export function validateJob(spec: ServiceSpec): void {
  const kind = spec.mode?.kind;
  if (kind !== 'replicatedJob' && kind !== 'globalJob') {
    refuseForOthers(spec);
    return;
  }
  if (kind === 'replicatedJob') validateCompletions(spec.mode?.value as ReplicatedJobMode);
  for (const [field, config] of [
    ['update', spec.update],
    ['rollback', spec.rollback],
  ] as const)
    if (config !== undefined)
      throw invalidField(
        field,
        'update and rollback configuration is not supported for jobs: a change of a job is a new run of it',
        `leave the flags that begin with ${field}- out`,
      );
  const { schedule, deadlineMs, historyLimit } = spec.job ?? {};
  notNegative('job-deadline', deadlineMs);
  if (historyLimit !== undefined && historyLimit > LIMITS.JOB_RUNS_KEPT)
    throw tooMany('job-history', historyLimit, 'JOB_RUNS_KEPT');
  if (schedule !== undefined) validateSchedule(schedule);
}

function refuseForOthers({ job }: ServiceSpec): void {
  if (job?.schedule !== undefined) throw onlyForJobs('schedule');
  if (job?.deadlineMs !== undefined) throw onlyForJobs('job-deadline');
  if (job?.historyLimit !== undefined) throw onlyForJobs('job-history');
}

function onlyForJobs(field: string): SwarmError {
  return invalidField(
    field,
    `${field} can only be used with replicated-job or global-job mode`,
    'create the service with --mode replicated-job or --mode global-job',
  );
}

function validateCompletions({ totalCompletions, maxConcurrent }: ReplicatedJobMode): void {
  for (const [field, value] of [
    ['replicas', totalCompletions],
    ['max-concurrent', maxConcurrent],
  ] as const)
    if (value !== undefined && value > LIMITS.REPLICAS_PER_SERVICE) throw tooMany(field, value, 'REPLICAS_PER_SERVICE');
}

function validateSchedule(schedule: JobSchedule): void {
  const compiled = compileCron(schedule.cron, schedule.timeZone);
  if ('message' in compiled)
    throw compiled.field === 'cron'
      ? invalidField(
          'schedule',
          `schedule: ${JSON.stringify(shortened(schedule.cron))}: ${compiled.message}`,
          "write minute, hour, day of month, month and day of week: '*/5 * * * *', or a word such as @hourly",
        )
      : invalidField(
          'schedule-timezone',
          `schedule-timezone: ${shortened(compiled.message)}`,
          'use a name such as Europe/Berlin, or leave it out for UTC',
        );
  if (!isJobOverlap(schedule.overlap))
    throw invalidField(
      'schedule-overlap',
      `schedule-overlap: ${schedule.overlap} is not known`,
      'use skip, queue or replace',
    );
  notNegative('schedule-start-deadline', schedule.startDeadlineMs);
}

function notNegative(field: string, ms: number | undefined): void {
  if (ms !== undefined && ms < 0)
    throw invalidField(field, `${field}: must not be negative (got ${ms} ms)`, 'use 0s or more');
}

function tooMany(field: string, value: number, limit: 'JOB_RUNS_KEPT' | 'REPLICAS_PER_SERVICE'): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'too-many',
    field,
    limit,
    message: `${field}: ${value}, the limit is ${LIMITS[limit]} (${limit})`,
    hint: 'ask for fewer',
  });
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
