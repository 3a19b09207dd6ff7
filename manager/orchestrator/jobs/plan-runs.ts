/** The next status of a job: which of its runs begin and end. A function of the status and of what is known of its slots. */

import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { earliest } from '#common/earliest.ts';
import { type JobRun, JobRunState, type JobStatus, JobTrigger } from '#gen/swarm/v1/objects.ts';
import { followSchedule } from './follow-schedule.ts';
import { activeRun, endedRun, forgetOldRuns, lastRun, queuedRun, queueRun, withRun } from './job-runs.ts';
import type { JobShape } from './job-settings.ts';
import type { JobState } from './job-state.ts';

export interface RunsHelp {
  readonly nowMs: number;
  /** Of the run that is judged; of the next one when there is none. */
  readonly shape: JobShape;
  /** How long tasks of an ended run may take to stop. */
  readonly stopMs: number;
  /** Every slot of the run that is judged is as the store says, and none has still to be begun. */
  readonly allBegun: boolean;
  /** Why a slot of the run has failed for good. */
  readonly failure: () => string;
}

export interface RunsPlan {
  readonly status: JobStatus;
  /** The run that ends by this. */
  readonly ended: JobRun | undefined;
  /** When to look again though nothing happens. */
  readonly wakeAtMs: number | undefined;
}

export function planRuns(job: JobState, help: RunsHelp): RunsPlan {
  const { nowMs } = help;
  const { rules } = job;
  const followed = followSchedule(followUpdates(job, nowMs), rules, job.schedule, nowMs);
  let { status } = followed;
  const active = activeRun(status);
  const end = active === undefined ? undefined : endOf(job, active, status, help);
  if (active !== undefined && end !== undefined) status = withRun(status, end);
  else status = countStragglers(job, status);
  const beginsAtMs = activeRun(status) === undefined ? beginsAt(job, status, help) : undefined;
  const queued = queuedRun(status);
  if (queued !== undefined && beginsAtMs !== undefined && beginsAtMs <= nowMs) {
    const total = help.shape.total;
    const { revision } = job.service;
    status = withRun(status, { ...queued, state: JobRunState.RUNNING, startedAtMs: nowMs, revision, total });
  }
  status = forgetOldRuns(status, rules.historyLimit);
  const going = activeRun(status);
  const deadlineMs = going === undefined || rules.deadlineMs === 0 ? undefined : going.startedAtMs + rules.deadlineMs;
  return {
    status,
    ended: end,
    wakeAtMs: earliest(followed.nextMs, deadlineMs, queued === undefined ? undefined : beginsAtMs),
  };
}

/** A new revision of a job without a schedule is a wish to run it; with one, the next run will be of it. */
function followUpdates({ service, rules, status }: JobState, nowMs: number): JobStatus {
  if (status.revision >= service.revision) return status;
  const followed = { ...status, revision: service.revision };
  return rules.isScheduled ? followed : queueRun(followed, { trigger: JobTrigger.UPDATE }, nowMs);
}

/** How the run ends; undefined while it goes on. */
function endOf(job: JobState, run: JobRun, status: JobStatus, help: RunsHelp): JobRun | undefined {
  const { counts, rules, judged } = job;
  // What is counted is another run's: this one is so new that its slots were not looked at.
  if (judged?.iteration !== run.iteration) return undefined;
  const { nowMs, shape } = help;
  const total = shape.global ? counts.done + counts.failed + counts.active : shape.total;
  const known = { endedAtMs: nowMs, succeeded: counts.done, failed: counts.failed, total };
  if (counts.active === 0 && help.allBegun) {
    if (counts.failed > 0) return endedRun(run, { ...known, state: JobRunState.FAILED, message: help.failure() });
    const message = shape.global && counts.done === 0 ? 'no node fits' : '';
    return endedRun(run, { ...known, state: JobRunState.COMPLETED, message });
  }
  if (rules.deadlineMs > 0 && nowMs >= run.startedAtMs + rules.deadlineMs) {
    const deadline = formatDuration(rules.deadlineMs * NANOS_PER_MS);
    const message = `deadline of ${deadline} has passed with ${counts.done}/${total} completed`;
    return endedRun(run, { ...known, state: JobRunState.FAILED, message });
  }
  const queued = queuedRun(status);
  if (queued !== undefined && (queued.trigger === JobTrigger.UPDATE || rules.overlap === 'replace'))
    return endedRun(run, {
      ...known,
      state: JobRunState.REPLACED,
      message: `run ${queued.iteration} took its place`,
    });
  return undefined;
}

/** The last run of a global job has ended, and nodes that joined later have had their turn since. */
function countStragglers({ judged, counts }: JobState, status: JobStatus): JobStatus {
  const last = lastRun(status);
  if (last === undefined || last.iteration !== judged?.iteration || last.state === JobRunState.RUNNING) return status;
  const { done: succeeded, failed, active } = counts;
  if (active > 0 || (last.succeeded === succeeded && last.failed === failed)) return status;
  return withRun(status, { ...last, succeeded, failed, total: succeeded + failed });
}

/** When a queued run may begin: behind what the job depends on, once what ran before has stopped or has had its time to. */
function beginsAt({ counts, service }: JobState, status: JobStatus, { nowMs, stopMs }: RunsHelp): number | undefined {
  const queued = queuedRun(status);
  if (queued === undefined || counts.active > 0 || service.waitsFor !== '') return undefined;
  if (counts.stopping === 0) return nowMs;
  return Math.max(queued.startedAtMs, lastRun(status)?.endedAtMs ?? 0) + stopMs;
}
