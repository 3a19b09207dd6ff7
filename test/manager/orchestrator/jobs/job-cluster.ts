/** Jobs for the tests of their loop. */
import assert from 'node:assert/strict';
import {
  type JobRun,
  JobRunState,
  JobRunStateNames,
  type JobStatus,
  JobTrigger,
  type Task,
  TaskState,
} from '#gen/swarm/v1/objects.ts';
import {
  GlobalJobMode,
  JobSchedule,
  JobSpec,
  ReplicatedJobMode,
  type RestartCondition,
  type ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { queueRun } from '#manager/orchestrator/index.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

export interface JobOptions {
  readonly total?: number;
  readonly concurrent?: number;
  readonly global?: boolean;
  readonly schedule?: Partial<JobSchedule>;
  readonly deadlineMs?: number;
  readonly historyLimit?: number;
  readonly restart?: { condition?: RestartCondition; delayMs?: number; maxAttempts?: number };
  readonly image?: string;
  readonly forceUpdate?: number;
  readonly constraints?: readonly string[];
}

export function jobSpec(options: JobOptions, name = 'job'): ServiceSpec {
  const { restart, schedule, deadlineMs, historyLimit, total, concurrent } = options;
  const base: SpecOptions = {
    name,
    image: options.image ?? 'good:1',
    constraints: options.constraints ?? [],
    forceUpdate: options.forceUpdate ?? 0,
    ...(restart === undefined
      ? {}
      : { restart: { condition: 0, delayMs: undefined, maxAttempts: 0, windowMs: 0, ...restart } }),
  };
  return {
    ...spec(base),
    mode:
      options.global === true
        ? { kind: 'globalJob', value: GlobalJobMode.create() }
        : {
            kind: 'replicatedJob',
            value: ReplicatedJobMode.create({ totalCompletions: total, maxConcurrent: concurrent }),
          },
    job: JobSpec.create({
      schedule: schedule === undefined ? undefined : JobSchedule.create(schedule),
      deadlineMs,
      historyLimit,
    }),
  };
}

/** A cluster with nodes n1, n2, ... whose containers end well after a second, or badly when their image says so. */
export function jobCluster(nodes: number, more: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster({
    fate: (task, { store }) => {
      const image = store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
      if (image.startsWith('endless')) return undefined;
      return { afterMs: 1000, state: image.startsWith('bad') ? TaskState.FAILED : TaskState.COMPLETE };
    },
    ...more,
  });
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`));
  return cluster;
}

export function declareJob(cluster: LoopCluster, options: JobOptions, id = 'job'): void {
  const declared = jobSpec(options, id);
  cluster.commit(
    { kind: 'create', table: 'service', object: service(id, declared) },
    { kind: 'create', table: 'revision', object: revision(id, 1, declared) },
  );
}

/** As the API does it: another task or mode makes a revision. */
export function updateJob(cluster: LoopCluster, options: JobOptions, id = 'job'): void {
  const current = cluster.store.get('service', id);
  assert.ok(current !== undefined);
  const declared = jobSpec(options, id);
  const number = current.revision + 1;
  cluster.commit(
    { kind: 'update', table: 'service', object: { ...current, spec: declared, revision: number } },
    { kind: 'create', table: 'revision', object: revision(id, number, declared) },
  );
}

/** Changes what is no matter of tasks. */
export function editJobSpec(cluster: LoopCluster, options: JobOptions, id = 'job'): void {
  cluster.edit('service', id, { spec: jobSpec(options, id) });
}

export function runNow(cluster: LoopCluster, id = 'job', requestId = ''): void {
  const status = statusOf(cluster, id);
  cluster.edit('service', id, { job: queueRun(status, { trigger: JobTrigger.USER, requestId }, cluster.nowMs) });
}

export function statusOf(cluster: LoopCluster, id = 'job'): JobStatus {
  const status = cluster.store.get('service', id)?.job;
  assert.ok(status !== undefined, 'the job has no status');
  return status;
}

export function runsOf(cluster: LoopCluster, id = 'job'): readonly JobRun[] {
  return statusOf(cluster, id).runs;
}

export function lastRunOf(cluster: LoopCluster, id = 'job'): JobRun {
  const run = runsOf(cluster, id).findLast(({ state }) => state !== JobRunState.SKIPPED);
  assert.ok(run !== undefined, 'the job has no run');
  return run;
}

/** `3 completed 5/5` for each run. */
export function told(cluster: LoopCluster, id = 'job'): readonly string[] {
  return runsOf(cluster, id).map((run) =>
    run.state === JobRunState.SKIPPED
      ? `skipped ${run.count}`
      : `${run.iteration} ${JobRunStateNames[run.state].toLowerCase()} ${run.succeeded}/${run.total}`,
  );
}

export function tasksOfRun(cluster: LoopCluster, iteration: number, id = 'job'): readonly Task[] {
  return cluster.tasks(id).filter(({ jobIteration }) => jobIteration === iteration);
}

export function completed(tasks: readonly Task[]): readonly Task[] {
  return tasks.filter(({ status }) => status?.state === TaskState.COMPLETE);
}
