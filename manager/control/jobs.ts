/** Runs of jobs that are asked for, and stopped, by people; and how far a job is. */
import { invalidField, SwarmError } from '#common/errors.ts';
import type { ServiceTaskCounts } from '#gen/swarm/v1/control.ts';
import {
  type JobRun,
  JobRunState,
  JobStatus,
  JobTrigger,
  NodeState,
  type Service,
  type Task,
  TaskState,
} from '#gen/swarm/v1/objects.ts';
import {
  activeRun,
  endedRun,
  isJob,
  jobRules,
  jobShape,
  lastRun,
  queuedRun,
  queueRun,
  withRun,
} from '#manager/orchestrator/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { findService } from './references.ts';

/** An UUID or the like. */
const REQUEST_ID = /^[\w.:-]{0,64}$/;

export interface RunRequested {
  readonly service: Service;
  readonly iteration: number;
}

/** A request that was made before, as far as the history of the job goes back, is answered with the run that it made. */
export function runJob(
  view: StoreView,
  { reference, requestId }: { readonly reference: string; readonly requestId: string },
  nowMs: number,
): Decision<RunRequested> {
  if (!REQUEST_ID.test(requestId))
    throw invalidField(
      'request_id',
      'request_id: expected up to 64 letters, digits and .:_-',
      'leave it to the client, or use a UUID',
    );
  const service = findJob(view, reference);
  const status = service.job ?? JobStatus.create();
  const known = requestId === '' ? undefined : status.runs.find((run) => run.requestId === requestId);
  if (known !== undefined) return { result: { service, iteration: known.iteration }, changes: [] };
  refuseOverlap(service, status);
  const job = queueRun(status, { trigger: JobTrigger.USER, requestId }, nowMs);
  const updated = { ...service, job };
  return { result: { service: updated, iteration: job.iteration }, changes: [write(updated)] };
}

/** What the schedule may do, a person may do: only where it says so does a second run wait, or stop the first. */
function refuseOverlap({ spec }: Service, status: JobStatus): void {
  const { overlap } = jobRules(spec);
  const active = activeRun(status);
  const queued = queuedRun(status);
  const name = spec?.name ?? '';
  if (overlap === 'replace' || (active === undefined && queued === undefined)) return;
  if (overlap === 'queue' && queued === undefined) return;
  const inTheWay = queued ?? active;
  throw new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    field: 'job',
    message: `job ${name}: run ${inTheWay?.iteration} ${queued === undefined ? 'is still running' : 'is waiting already'}`,
    hint: `wait for its end, or stop it: swarm job stop ${name}`,
  });
}

export function stopJob(view: StoreView, reference: string, author: string, nowMs: number): Decision<Service> {
  const service = findJob(view, reference);
  let status = service.job ?? JobStatus.create();
  const message = `stopped by ${author === 'local' ? 'the administrator' : author}`;
  const queued = queuedRun(status);
  const active = activeRun(status);
  if (queued === undefined && active === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'not-running',
      field: 'job',
      message: `job ${service.spec?.name ?? service.id}: no run is going on`,
      hint: 'see its runs: swarm job history',
    });
  const end = { state: JobRunState.STOPPED, endedAtMs: nowMs, message };
  if (queued !== undefined) status = withRun(status, endedRun(queued, end));
  if (active !== undefined) {
    const { completed: succeeded, failed } = countRun(view, service, active);
    status = withRun(status, endedRun(active, { ...end, succeeded, failed }));
  }
  const updated = { ...service, job: status };
  return { result: updated, changes: [write(updated)] };
}

function findJob(view: StoreView, reference: string): Service {
  const service = findService(view, reference);
  if (service.pendingDelete)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `service ${reference} is being removed`,
      hint: 'see `swarm job ls`',
    });
  if (!isJob(service.spec))
    throw invalidField(
      'reference',
      `service ${service.spec?.name ?? reference} is no job`,
      'see `swarm job ls`; other services are told to go on with `swarm service update --force`',
    );
  return service;
}

function write(object: Service): Change {
  return { kind: 'update', table: 'service', object };
}

/** Of the present run, else of the last one. */
export function countJobTasks(view: StoreView, service: Service): ServiceTaskCounts {
  const run = service.job === undefined ? undefined : (activeRun(service.job) ?? lastRun(service.job));
  const { running, active, completed, slots } = countRun(view, service, run);
  const shape = jobShape(view.revision(service.id, run?.revision ?? 0)?.spec ?? service.spec);
  const total = shape.global ? slots : shape.total;
  const desired = shape.global ? active : Math.min(shape.concurrent, Math.max(0, total - completed));
  const isOver = run === undefined || run.state !== JobRunState.RUNNING;
  return { running, desired: isOver && !shape.global ? 0 : desired, completed, total, notReady: 0, crashLooping: 0 };
}

interface RunCounts {
  readonly running: number;
  /** Slots whose task is to run to its end, and is not lost. */
  readonly active: number;
  readonly completed: number;
  readonly failed: number;
  readonly slots: number;
}

function countRun(view: StoreView, { id }: Service, run: JobRun | undefined): RunCounts {
  const slots = new Map<number | string, 'running' | 'active' | 'completed' | 'failed' | 'other'>();
  if (run !== undefined)
    for (const task of view.tasksOfService(id)) {
      if (task.jobIteration !== run.iteration) continue;
      const key = task.slot > 0 ? task.slot : task.nodeId;
      if (slots.get(key) !== 'completed') slots.set(key, standingOf(view, task) ?? slots.get(key) ?? 'other');
    }
  const count = (...standings: readonly string[]): number =>
    [...slots.values()].filter((standing) => standings.includes(standing)).length;
  return {
    running: count('running'),
    active: count('running', 'active'),
    completed: count('completed'),
    failed: count('failed'),
    slots: slots.size,
  };
}

/** What the task says of its slot; undefined where another one speaks for it. */
function standingOf(view: StoreView, task: Task): 'running' | 'active' | 'completed' | 'failed' | undefined {
  const state = task.status?.state ?? TaskState.NEW;
  if (state === TaskState.COMPLETE) return 'completed';
  if (task.finalReason !== '') return 'failed';
  const nodeState = view.get('node', task.nodeId)?.status?.state;
  const isLost = nodeState === NodeState.DOWN || nodeState === NodeState.DISCONNECTED;
  if (task.desiredState > TaskState.COMPLETE || state > TaskState.COMPLETE || isLost) return undefined;
  return state === TaskState.RUNNING ? 'running' : 'active';
}
