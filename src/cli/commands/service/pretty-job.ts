/** Jobs on the page of `service inspect --pretty`. */
import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import type { Service } from '#gen/swarm/v1/objects.ts';
import type { JobSchedule, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { JOB_OVERLAPS, nextRunOf } from '../../../docker-shape/from-jobs.ts';
import { fromNow, runText, scheduleText, shownRun } from '../job/job-texts.ts';

/** The mode with what is its own; undefined for services that are no jobs. */
export function prettyJobMode({ mode }: ServiceSpec): readonly string[] | undefined {
  if (mode?.kind === 'globalJob') return ['Service Mode:\tGlobal Job'];
  if (mode?.kind !== 'replicatedJob') return undefined;
  const { totalCompletions = 1, maxConcurrent } = mode.value;
  return [
    'Service Mode:\tReplicated Job',
    ` Total Completions:\t${totalCompletions}`,
    ` Max Concurrent:\t${maxConcurrent || totalCompletions}`,
  ];
}

/** When it runs, and what became of its last run. */
export function prettyJob(service: Service, nowMs: number): readonly string[] {
  const { spec, job } = service;
  if (spec === undefined || prettyJobMode(spec) === undefined) return [];
  const { schedule, deadlineMs, historyLimit } = spec?.job ?? {};
  const lines = ['Job:'];
  if (schedule !== undefined) lines.push(...scheduleLines(service, schedule, nowMs));
  if (deadlineMs !== undefined) lines.push(` Deadline:\t${duration(deadlineMs)}`);
  if (historyLimit !== undefined) lines.push(` History:\t${historyLimit}`);
  const run = shownRun(service);
  if (run !== undefined) lines.push(` Last Run:\t${run.iteration}, ${runText(run, nowMs)}`);
  if (run !== undefined && run.message !== '') lines.push(` Message:\t${run.message}`);
  if ((job?.skipped ?? 0) > 0) lines.push(` Skipped:\t${job?.skipped}`);
  return lines.length === 1 ? [] : lines;
}

function scheduleLines(service: Service, schedule: JobSchedule, nowMs: number): readonly string[] {
  const nextMs = nextRunOf(service, nowMs);
  const next = nextMs === undefined ? 'suspended' : fromNow(nextMs, nowMs);
  const lines = [` Schedule:\t${scheduleText(service)}`, ` Next Run:\t${next}`];
  lines.push(` Overlap:\t${JOB_OVERLAPS[schedule.overlap]}`);
  if (schedule.startDeadlineMs !== undefined) lines.push(` Start Deadline:\t${duration(schedule.startDeadlineMs)}`);
  return lines;
}

function duration(ms: number): string {
  return formatDuration(ms * NANOS_PER_MS);
}
