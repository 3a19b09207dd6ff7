/**
 * The runs of a job, as its status holds them. Pure steps from one status to the next; a step with nothing to do gives
 * the status it was given.
 *
 * Invariant: at most one run is RUNNING and at most one QUEUED, which comes last.
 *
 *   QUEUED -> RUNNING -> COMPLETED | FAILED | REPLACED | STOPPED      QUEUED -> REPLACED | STOPPED
 */
import { JobRun, JobRunState, type JobStatus, JobTrigger } from '#gen/swarm/v1/objects.ts';

export function activeRun(status: JobStatus): JobRun | undefined {
  return status.runs.findLast(({ state }) => state === JobRunState.RUNNING);
}

export function queuedRun(status: JobStatus): JobRun | undefined {
  return status.runs.findLast(({ state }) => state === JobRunState.QUEUED);
}

/** The newest run that has begun, ended or not. */
export function lastRun(status: JobStatus): JobRun | undefined {
  return status.runs.findLast(({ revision }) => revision > 0);
}

export type RunRequest = Pick<JobRun, 'trigger'> & Partial<Pick<JobRun, 'dueAtMs' | 'requestId'>>;

/** A run that waits to begin. One that waited already makes way for it. */
export function queueRun(status: JobStatus, request: RunRequest, nowMs: number): JobStatus {
  const iteration = status.iteration + 1;
  const run = JobRun.create({ ...request, iteration, state: JobRunState.QUEUED, startedAtMs: nowMs });
  const runs = status.runs.map((one) =>
    one.state === JobRunState.QUEUED
      ? endedRun(one, { state: JobRunState.REPLACED, endedAtMs: nowMs, message: `run ${iteration} took its place` })
      : one,
  );
  return { ...status, iteration, runs: [...runs, run] };
}

export function withRun(status: JobStatus, run: JobRun): JobStatus {
  const place = status.runs.findIndex(({ iteration }) => iteration === run.iteration);
  return { ...status, runs: status.runs.with(place, run) };
}

type RunEnd = Pick<JobRun, 'state' | 'endedAtMs' | 'message'> & Partial<Pick<JobRun, 'succeeded' | 'failed' | 'total'>>;

/** A queued one has never begun. */
export function endedRun(run: JobRun, end: RunEnd): JobRun {
  return { ...run, ...end, startedAtMs: run.state === JobRunState.QUEUED ? 0 : run.startedAtMs };
}

export interface LeftOut {
  readonly count: number;
  /** When the first of them was due. */
  readonly dueAtMs: number;
  readonly reason: string;
}

/** Keeps account of runs that the schedule wanted and that will not be: one entry for as many as follow each other. */
export function leaveOut(status: JobStatus, { count, dueAtMs, reason }: LeftOut, nowMs: number): JobStatus {
  const queued = status.runs.filter(({ state }) => state === JobRunState.QUEUED);
  const runs = status.runs.filter(({ state }) => state !== JobRunState.QUEUED);
  const last = runs.at(-1);
  const goesOn = last?.state === JobRunState.SKIPPED && last.message === reason;
  const entry = goesOn
    ? { ...last, count: last.count + count, endedAtMs: nowMs }
    : JobRun.create({
        trigger: JobTrigger.SCHEDULE,
        state: JobRunState.SKIPPED,
        dueAtMs,
        endedAtMs: nowMs,
        message: reason,
        count,
      });
  const before = goesOn ? runs.slice(0, -1) : runs;
  return { ...status, skipped: status.skipped + count, runs: [...before, entry, ...queued] };
}

/** Without the oldest of the ended runs beyond the limit, and without what was left out before those that stay. */
export function forgetOldRuns(status: JobStatus, historyLimit: number): JobStatus {
  const last = lastRun(status);
  const ended = status.runs.filter((run) => isEnded(run) && run !== last);
  // The last one tells how the job stands: it counts, and stays whatever the limit.
  const lastCounts = last !== undefined && isEnded(last) ? 1 : 0;
  const kept = new Set(ended.slice(Math.max(0, ended.length + lastCounts - Math.max(historyLimit, lastCounts))));
  const isKept = (run: JobRun) => kept.has(run) || run === last || !isEnded(run);
  const first = status.runs.findIndex((run) => run.state !== JobRunState.SKIPPED && isKept(run));
  const skips = status.runs.filter(({ state }) => state === JobRunState.SKIPPED);
  const keptSkips = new Set(skips.slice(-1 - historyLimit));
  const runs = status.runs.filter((run, place) => {
    if (run.state === JobRunState.SKIPPED) return keptSkips.has(run) && (place > first || run === skips.at(-1));
    return isKept(run);
  });
  return runs.length === status.runs.length ? status : { ...status, runs };
}

/** Has ended, or will never begin. */
function isEnded({ state }: JobRun): boolean {
  return state !== JobRunState.QUEUED && state !== JobRunState.RUNNING && state !== JobRunState.SKIPPED;
}
