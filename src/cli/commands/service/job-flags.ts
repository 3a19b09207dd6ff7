/** Flags for jobs, of `service create` and `service update`. All but the first are not Docker's. */
import {
  GlobalJobMode,
  JobOverlap,
  JobSchedule,
  JobSpec,
  ReplicatedJobMode,
  type ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, stringFlag, valueFlag } from '../../flags.ts';
import { durationMs, oneOf, unsigned } from '../../values/scalars.ts';
import { REPLICAS, REPLICAS_MAX_PER_NODE } from './service-flags.ts';

export const MAX_CONCURRENT = valueFlag({
  name: 'max-concurrent',
  type: 'uint',
  usage: 'Number of job tasks to run concurrently (default equal to --replicas)',
  parse: unsigned,
});

const SCHEDULE = stringFlag({
  name: 'schedule',
  type: 'cron',
  usage: 'Run the job by the clock ("*/5 * * * *", "@daily")',
});
const SCHEDULE_TIMEZONE = stringFlag({
  name: 'schedule-timezone',
  usage: 'Time zone of the schedule ("Europe/Berlin"; UTC without)',
});
const OVERLAPS = { skip: JobOverlap.SKIP, queue: JobOverlap.QUEUE, replace: JobOverlap.REPLACE };
const SCHEDULE_OVERLAP = valueFlag({
  name: 'schedule-overlap',
  type: 'string',
  usage: 'What happens to a run that is due while another goes on ("skip", "queue", "replace")',
  completions: Object.keys(OVERLAPS),
  parse: oneOf(OVERLAPS, (text) => `invalid overlap ${JSON.stringify(text)}: use skip, queue or replace`),
});
const SCHEDULE_START_DEADLINE = duration('schedule-start-deadline', 'How late a run may begin at most (ms|s|m|h)');
const SCHEDULE_SUSPEND = boolFlag({ name: 'schedule-suspend', usage: 'Run the job only when somebody asks for it' });
const JOB_DEADLINE = duration('job-deadline', 'How long a run may take, 0 for any time (ms|s|m|h)');
const JOB_HISTORY = valueFlag({
  name: 'job-history',
  type: 'uint',
  usage: 'Ended runs to keep, with their tasks',
  parse: unsigned,
});
const SCHEDULE_RESUME = boolFlag({ name: 'schedule-resume', usage: 'Follow the schedule again' });
const SCHEDULE_RM = boolFlag({ name: 'schedule-rm', usage: 'Remove the schedule' });

const OF_SCHEDULE: readonly AnyFlag[] = [
  SCHEDULE_TIMEZONE,
  SCHEDULE_OVERLAP,
  SCHEDULE_START_DEADLINE,
  SCHEDULE_SUSPEND,
  SCHEDULE_RESUME,
];

export const JOB_CREATE_FLAGS: readonly AnyFlag[] = [
  MAX_CONCURRENT,
  SCHEDULE,
  SCHEDULE_TIMEZONE,
  SCHEDULE_OVERLAP,
  SCHEDULE_START_DEADLINE,
  SCHEDULE_SUSPEND,
  JOB_DEADLINE,
  JOB_HISTORY,
];
export const JOB_UPDATE_FLAGS: readonly AnyFlag[] = [...JOB_CREATE_FLAGS, SCHEDULE_RESUME, SCHEDULE_RM];

function duration(name: string, usage: string): Flag<number> {
  return valueFlag({ name, type: 'duration', usage, parse: durationMs });
}

/** The mode of a job that is created. As in Docker, as many at once as there are completions unless told otherwise. */
export function createdJobMode(kind: 'replicated-job' | 'global-job', flags: FlagValues): ServiceSpec['mode'] {
  if (kind === 'replicated-job') {
    const totalCompletions = flags.value(REPLICAS);
    const maxConcurrent = flags.value(MAX_CONCURRENT) ?? totalCompletions;
    return { kind: 'replicatedJob', value: ReplicatedJobMode.create({ totalCompletions, maxConcurrent }) };
  }
  refuse(flags, REPLICAS, 'replicas can only be used with replicated or replicated-job mode');
  refuse(flags, REPLICAS_MAX_PER_NODE, 'replicas-max-per-node can only be used with replicated or replicated-job mode');
  refuse(flags, MAX_CONCURRENT, ONLY_FOR_REPLICATED_JOBS);
  return { kind: 'globalJob', value: GlobalJobMode.create() };
}

/** The mode of a service that is updated; undefined where no flag of jobs changes it. */
export function updatedJobMode(flags: FlagValues, { mode }: ServiceSpec): ServiceSpec['mode'] {
  if (mode?.kind !== 'replicatedJob') {
    refuse(flags, MAX_CONCURRENT, ONLY_FOR_REPLICATED_JOBS);
    return undefined;
  }
  const total = flags.value(REPLICAS);
  const value = total === undefined ? mode.value : withCompletions(mode.value, total);
  const maxConcurrent = flags.value(MAX_CONCURRENT) ?? value.maxConcurrent;
  return { kind: 'replicatedJob', value: { ...value, maxConcurrent } };
}

/** Whoever never limited how many run at once goes on without a limit. */
export function withCompletions(mode: ReplicatedJobMode, totalCompletions: number): ReplicatedJobMode {
  const isUnlimited = (mode.maxConcurrent ?? 0) === (mode.totalCompletions ?? 0);
  return { ...mode, totalCompletions, maxConcurrent: isUnlimited ? totalCompletions : mode.maxConcurrent };
}

const ONLY_FOR_REPLICATED_JOBS = 'max-concurrent can only be used with replicated-job mode';

function refuse(flags: FlagValues, flag: AnyFlag, message: string): void {
  if (flags.given(flag)) throw new CliError(message);
}

/** When and how long the job runs, changed where flags say so; undefined when there was nothing and nothing is asked. */
export function jobOf(flags: FlagValues, mode: ServiceSpec['mode'], before: JobSpec | undefined): JobSpec | undefined {
  const given = JOB_UPDATE_FLAGS.find((flag) => flag !== MAX_CONCURRENT && flags.given(flag));
  if (given === undefined) return before;
  if (mode?.kind !== 'replicatedJob' && mode?.kind !== 'globalJob')
    throw new CliError(`${given.name} can only be used with replicated-job or global-job mode`);
  const job = before ?? JobSpec.create();
  return {
    ...job,
    schedule: scheduleOf(flags, job.schedule),
    deadlineMs: flags.value(JOB_DEADLINE) ?? job.deadlineMs,
    historyLimit: flags.value(JOB_HISTORY) ?? job.historyLimit,
  };
}

function scheduleOf(flags: FlagValues, before: JobSchedule | undefined): JobSchedule | undefined {
  const cron = flags.value(SCHEDULE);
  if (flags.isSet(SCHEDULE_RM)) {
    const other = [SCHEDULE, ...OF_SCHEDULE].find((flag) => flags.given(flag));
    if (other !== undefined) throw new CliError(`--${other.name} cannot be used with --schedule-rm`);
    return undefined;
  }
  if (flags.isSet(SCHEDULE_SUSPEND) && flags.isSet(SCHEDULE_RESUME))
    throw new CliError('--schedule-suspend cannot be used with --schedule-resume');
  const schedule = before ?? (cron === undefined ? undefined : JobSchedule.create());
  if (schedule === undefined) {
    const needless = OF_SCHEDULE.find((flag) => flags.given(flag));
    if (needless === undefined) return undefined;
    throw new CliError(`--${needless.name}: the job has no schedule`, { hint: "give one: --schedule '0 3 * * *'" });
  }
  return {
    ...schedule,
    cron: cron ?? schedule.cron,
    timeZone: flags.value(SCHEDULE_TIMEZONE) ?? schedule.timeZone,
    overlap: flags.value(SCHEDULE_OVERLAP) ?? schedule.overlap,
    startDeadlineMs: flags.value(SCHEDULE_START_DEADLINE) ?? schedule.startDeadlineMs,
    suspended: flags.isSet(SCHEDULE_SUSPEND) || (schedule.suspended && !flags.isSet(SCHEDULE_RESUME)),
  };
}
