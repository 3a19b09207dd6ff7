import { humanDuration, NANOS_PER_MS } from '#common/duration.ts';
import { type JobRun, JobRunState, type Service } from '#gen/swarm/v1/objects.ts';
import { JOB_RUN_STATES } from '../../../docker-shape/from-jobs.ts';
import { ago } from '../../format/texts.ts';

/** The present run, else the last one that has begun, else one that waits. */
export function shownRun({ job }: Service): JobRun | undefined {
  const runs = job?.runs ?? [];
  return runs.findLast(({ revision }) => revision > 0) ?? runs.findLast(({ state }) => state === JobRunState.QUEUED);
}

/** `in 3 minutes`; a time that has come is `now`. */
export function fromNow(thenMs: number, nowMs: number): string {
  return thenMs <= nowMs ? 'now' : `in ${humanDuration((thenMs - nowMs) * NANOS_PER_MS).toLowerCase()}`;
}

/** `completed 3 minutes ago`. */
export function runText(run: JobRun | undefined, nowMs: number): string {
  if (run === undefined) return '';
  const sinceMs = run.endedAtMs || run.startedAtMs;
  return `${JOB_RUN_STATES[run.state]} ${sinceMs === 0 ? '' : ago(sinceMs, nowMs).toLowerCase()}`.trim();
}

export function scheduleText({ spec }: Service): string {
  const schedule = spec?.job?.schedule;
  if (schedule === undefined) return '';
  return schedule.timeZone === '' ? schedule.cron : `${schedule.cron} (${schedule.timeZone})`;
}
