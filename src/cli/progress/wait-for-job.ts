/** Waits until a run of a job has ended, and shows how it gets there. */
import type { ServiceTaskCounts, TaskView } from '#gen/swarm/v1/control.ts';
import { type JobRun, JobRunState, type Service, TaskState } from '#gen/swarm/v1/objects.ts';
import { nextRunOf } from '../../docker-shape/from-jobs.ts';
import { TASK_STATES } from '../../docker-shape/from-objects.ts';
import { CliError } from '../cli-errors.ts';
import { pause } from '../commands/shared/pause.ts';
import type { CliContext } from '../context.ts';
import { type ProgressLines, progressLines } from './progress-lines.ts';

const POLL_MS = 200;
const POLL_REST_FACTOR = 5;
/** Slots whose tasks are shown one by one; of more, the numbers alone are read. */
const TASK_LINES_MAX = 20;

export interface JobWait {
  readonly context: CliContext;
  readonly serviceId: string;
  /** As the user calls the job, for messages. */
  readonly reference: string;
  /** The run that is waited for; undefined for the one that a change of the job begins. */
  readonly iteration: number | undefined;
  readonly isQuiet: boolean;
}

export function isJobService(service: Service | undefined): boolean {
  const kind = service?.spec?.mode?.kind;
  return kind === 'replicatedJob' || kind === 'globalJob';
}

/**
 * Resolves once the run has completed, or the user went on without waiting (Ctrl-C leaves it as it is). A job with a
 * schedule runs when its time has come: that is told, not waited for.
 * @throws CliError when the run has failed, or was stopped or replaced
 */
export async function waitForJob(options: JobWait): Promise<void> {
  const { context, isQuiet, reference } = options;
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  const lines = isQuiet ? QUIET_LINES : progressLines(context.stdout, context);
  try {
    for (;;) {
      const beganMs = context.clock.monotonic();
      if (await look(options, lines)) return;
      const tookMs = context.clock.monotonic() - beganMs;
      await pause(context, Math.max(POLL_MS, tookMs * POLL_REST_FACTOR), interrupted.signal);
      if (!interrupted.signal.aborted) continue;
      lines.message('Operation continuing in background.');
      lines.message(`Use \`swarm job history ${reference}\` to check progress.`);
      return;
    }
  } finally {
    release();
  }
}

const QUIET_LINES: ProgressLines = { show() {}, message() {} };

/** True when there is nothing more to wait for. */
async function look({ context, serviceId, reference, iteration }: JobWait, lines: ProgressLines): Promise<boolean> {
  const api = await context.api();
  const { service, counts } = await api.control.getService({ reference: serviceId });
  if (service === undefined) throw new CliError(`job ${reference} was removed`);
  const name = service.spec?.name ?? reference;
  if (iteration === undefined && service.spec?.job?.schedule !== undefined) {
    sayNext(service, context.clock.now(), lines);
    return true;
  }
  const run = runOf(service, iteration);
  if (run === undefined) {
    if (iteration !== undefined && (service.job?.iteration ?? 0) >= iteration)
      throw new CliError(`job ${reference}: run ${iteration} has ended and is not kept any more`);
    return false;
  }
  if (run.state === JobRunState.QUEUED) {
    const waits = service.waitsFor === '' ? 'waiting for the run before it to end' : service.waitsFor;
    lines.show({ id: `run ${run.iteration}`, text: waits });
    return false;
  }
  if (run.state === JobRunState.RUNNING) {
    showProgress(run, counts, lines);
    const total = counts?.total ?? 0;
    if (total <= TASK_LINES_MAX) await showTasks(context, serviceId, run, lines);
    return false;
  }
  judgeEnd(name, run, lines);
  return true;
}

function runOf({ job, revision }: Service, iteration: number | undefined): JobRun | undefined {
  if (iteration !== undefined) return job?.runs.find((run) => run.iteration === iteration);
  if (job === undefined || job.revision < revision) return undefined;
  return job.runs.findLast(({ state }) => state !== JobRunState.SKIPPED);
}

function sayNext(service: Service, nowMs: number, lines: ProgressLines): void {
  const nextMs = nextRunOf(service, nowMs);
  lines.message(
    nextMs === undefined
      ? 'The schedule is suspended: the job runs when it is asked for.'
      : `Next run: ${new Date(nextMs).toISOString().replace('.000Z', 'Z')}`,
  );
}

function showProgress({ iteration }: JobRun, counts: ServiceTaskCounts | undefined, lines: ProgressLines): void {
  const { completed = 0, total = 0, running = 0, desired = 0 } = counts ?? {};
  lines.show({ id: `run ${iteration}`, text: `${completed} out of ${total} complete` });
  lines.show({ id: 'active tasks', text: `${running} out of ${desired} tasks` });
}

/** What each task that does not run is doing, or why it does not. */
async function showTasks(
  context: CliContext,
  serviceId: string,
  { iteration }: JobRun,
  lines: ProgressLines,
): Promise<void> {
  const api = await context.api();
  const newest = new Map<string, TaskView>();
  for await (const page of api.control.listTasks({ serviceIds: [serviceId] }))
    for (const view of page.tasks) {
      const { task } = view;
      if (task === undefined || task.jobIteration !== iteration) continue;
      const key = task.slot > 0 ? `slot ${task.slot}` : `node ${view.nodeHostname || task.nodeId}`;
      const known = newest.get(key)?.task;
      const isDone = known?.status?.state === TaskState.COMPLETE;
      if (!isDone && (known === undefined || known.createdAtMs <= task.createdAtMs)) newest.set(key, view);
    }
  for (const [id, { task }] of newest) lines.show({ id, text: task === undefined ? '' : taskText(task) });
}

function taskText({ status, holdReason }: NonNullable<TaskView['task']>): string {
  return holdReason || status?.error || TASK_STATES[status?.state ?? TaskState.NEW];
}

function judgeEnd(name: string, run: JobRun, lines: ProgressLines): void {
  const { iteration, state, succeeded, total, message } = run;
  lines.show({ id: `run ${iteration}`, text: `${succeeded} out of ${total} complete` });
  switch (state) {
    case JobRunState.COMPLETED:
      lines.message(message === '' ? 'job complete' : `job complete: ${message}`);
      return;
    case JobRunState.FAILED:
      throw new CliError(`job ${name}: run ${iteration} failed: ${message}`, {
        hint: `see what its tasks wrote: swarm job logs ${name}`,
      });
    default:
      throw new CliError(`job ${name}: run ${iteration} did not come to its end: ${message}`, {
        hint: `see its runs: swarm job history ${name}`,
      });
  }
}
