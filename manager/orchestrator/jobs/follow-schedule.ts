/** What the clock wants of a job. */
import { type CronSchedule, dueRuns, nextRunMs } from '#common/cron-schedule.ts';
import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { type JobStatus, JobTrigger } from '#gen/swarm/v1/objects.ts';
import { activeRun, leaveOut, queuedRun, queueRun } from './job-runs.ts';
import type { JobRules } from './job-settings.ts';

/** Runs that were missed are counted up to here; how many more there were, nobody asks. */
const MISSED_COUNTED_MAX = 100;

export interface Followed {
  readonly status: JobStatus;
  /** When the schedule wants the next run. */
  readonly nextMs: number | undefined;
}

/** Tells schedules apart: what was due by an earlier one is not made up for. */
export function scheduleKey({ schedule }: JobRules): string {
  return schedule === undefined ? '' : `${schedule.cron} ${schedule.timeZone}`;
}

/**
 * Takes note of what has become due since the last look. Of several runs that are due at once, after the managers were
 * away or a clock was put forward, only the last may begin. A clock that is put back finds the same times followed
 * already.
 *
 * @param compiled the schedule of the rules; undefined where it cannot be read
 */
export function followSchedule(
  before: JobStatus,
  rules: JobRules,
  compiled: CronSchedule | undefined,
  nowMs: number,
): Followed {
  const key = scheduleKey(rules);
  if (key !== before.followedSchedule) {
    const scheduledUntilMs = key === '' ? before.scheduledUntilMs : nowMs;
    return withNext({ ...before, followedSchedule: key, scheduledUntilMs }, compiled);
  }
  if (compiled === undefined) return { status: before, nextMs: undefined };
  const { firstMs, latestMs, count } = dueRuns(compiled, before.scheduledUntilMs, nowMs, MISSED_COUNTED_MAX);
  if (firstMs === undefined || latestMs === undefined) return withNext(before, compiled);
  let status: JobStatus = { ...before, scheduledUntilMs: latestMs };
  const isLate = nowMs - latestMs > rules.startDeadlineMs;
  const missed = isLate ? count : count - 1;
  if (missed > 0)
    status = leaveOut(
      status,
      {
        count: missed,
        dueAtMs: firstMs,
        reason: isLate
          ? `too late: the start deadline is ${formatDuration(rules.startDeadlineMs * NANOS_PER_MS)}`
          : 'a later one was due as well',
      },
      nowMs,
    );
  return withNext(isLate ? status : take(status, rules, latestMs, nowMs), compiled);
}

function withNext(status: JobStatus, compiled: CronSchedule | undefined): Followed {
  return { status, nextMs: compiled === undefined ? undefined : nextRunMs(compiled, status.scheduledUntilMs) };
}

/** One run that is due, as the overlap rule says. */
function take(status: JobStatus, { overlap }: JobRules, dueAtMs: number, nowMs: number): JobStatus {
  const active = activeRun(status);
  const queued = queuedRun(status);
  const leftOut = (reason: string): JobStatus => leaveOut(status, { count: 1, dueAtMs, reason }, nowMs);
  if (overlap === 'skip' && active !== undefined) return leftOut(`run ${active.iteration} was still running`);
  if (overlap !== 'replace' && queued !== undefined) return leftOut(`run ${queued.iteration} was waiting already`);
  return queueRun(status, { trigger: JobTrigger.SCHEDULE, dueAtMs }, nowMs);
}
