/** What jobs are in Docker's JSON. What begins with `+` Docker has not: schedules, deadlines, runs. */
import { BOOL, DURATION, list, pointer, STRING, struct, TIME, UINT } from '#common/template/go-types.ts';

export const REPLICATED_JOB = struct('swarm.ReplicatedJob', {
  'MaxConcurrent?': pointer(UINT),
  'TotalCompletions?': pointer(UINT),
});

export const GLOBAL_JOB = struct('swarm.GlobalJob', {});

/** Durations are nanoseconds. */
export const JOB_SPEC = struct('swarm.JobSpec', {
  '+Schedule?': pointer(
    struct('swarm.JobSchedule', {
      '+Cron?': STRING,
      '+TimeZone?': STRING,
      '+Overlap?': STRING,
      '+StartDeadline?': pointer(DURATION),
      '+Suspended?': BOOL,
    }),
  ),
  '+Deadline?': pointer(DURATION),
  '+HistoryLimit?': pointer(UINT),
});

const JOB_RUN = struct('swarm.JobRun', {
  '+Run?': UINT,
  '+Trigger?': STRING,
  '+State?': STRING,
  '+DueAt?': pointer(TIME),
  '+StartedAt?': pointer(TIME),
  '+EndedAt?': pointer(TIME),
  '+Revision?': UINT,
  '+Succeeded?': UINT,
  '+Failed?': UINT,
  '+Total?': UINT,
  '+Skipped?': UINT,
  '+Message?': STRING,
});

export const JOB_STATUS = struct('swarm.JobStatus', {
  JobIteration: struct('swarm.Version', { 'Index?': UINT }),
  'LastExecution?': TIME,
  '+Runs?': list(JOB_RUN),
  '+NextRun?': pointer(TIME),
  '+Skipped?': UINT,
});
