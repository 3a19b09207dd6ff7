/**
 * Goal: jobs are declared by rules that name the field, run once for a request however often it is made, stopped, and
 * counted. Method: the API on an in-memory store; what the loops would do is written by hand.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  CreateServiceRequest,
  GetServiceRequest,
  ListServicesRequest,
  ListTasksRequest,
  UpdateServiceRequest,
} from '#gen/swarm/v1/control.ts';
import { RunJobRequest, StopJobRequest } from '#gen/swarm/v1/jobs.ts';
import {
  Cluster,
  JobRun,
  JobRunState,
  JobStatus,
  type Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  EndpointSpec,
  GlobalJobMode,
  type JobOverlap,
  JobSchedule,
  JobSpec,
  PortConfig,
  PublishMode,
  ReplicatedJobMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '#gen/swarm/v1/specs.ts';
import { ControlApi } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'local' };
const NOW_MS = 5_000;

function setUp(featureLevel = SERVICES_LEVEL): { api: ControlApi; view: MemoryView } {
  const view = new MemoryView();
  const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel });
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  const api = new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'self',
    members: () => [],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => 'token',
    now: () => NOW_MS,
    logger: silentLogger,
  });
  return { api, view };
}

function jobSpec(job: Partial<JobSpec> = {}, more: Partial<ServiceSpec> = {}): ServiceSpec {
  return ServiceSpec.create({
    name: 'batch',
    mode: { kind: 'replicatedJob', value: ReplicatedJobMode.create({ totalCompletions: 3, maxConcurrent: 2 }) },
    task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox' }) }),
    job: JobSpec.create(job),
    ...more,
  });
}

function schedule(fields: Partial<JobSchedule> = {}): Partial<JobSpec> {
  return { schedule: JobSchedule.create({ cron: '*/5 * * * *', ...fields }) };
}

async function declared(api: ControlApi, spec: ServiceSpec): Promise<Service> {
  const { service } = await api.createService(caller, CreateServiceRequest.create({ spec }));
  assert.ok(service !== undefined);
  return service;
}

async function updated(api: ControlApi, { id, version }: Service, spec: ServiceSpec): Promise<Service> {
  const { service } = await api.updateService(caller, UpdateServiceRequest.create({ id, version, spec }));
  assert.ok(service !== undefined);
  return service;
}

/** The error of the work; it has to name the field. */
async function refused(work: Promise<unknown>, field: string): Promise<SwarmError> {
  const error = await work.then(
    () => assert.fail(`${field} was not refused`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SwarmError, String(error));
  assert.equal(error.field, field, error.message);
  assert.notEqual(error.hint ?? '', '', error.message);
  return error;
}

function setJob(view: MemoryView, service: Service, ...runs: readonly Partial<JobRun>[]): void {
  const current = view.get('service', service.id) as Service;
  const job = JobStatus.create({
    iteration: Math.max(...runs.map(({ iteration }) => iteration ?? 0)),
    runs: runs.map((run) => JobRun.create({ revision: 1, ...run })),
    revision: current.revision,
  });
  view.commit([{ kind: 'update', table: 'service', object: { ...current, job } }]);
}

const run = (api: ControlApi, requestId: string) =>
  api.jobs.run(caller, RunJobRequest.create({ reference: 'batch', requestId }));
const stop = (api: ControlApi) => api.jobs.stop(caller, StopJobRequest.create({ reference: 'batch' }));
const { RUNNING, QUEUED, COMPLETED, STOPPED } = JobRunState;

describe('control API: jobs', () => {
  it('needs a swarm whose managers know jobs', async () => {
    const { api } = setUp(SERVICES_LEVEL - 1);
    const error = await refused(declared(api, jobSpec()), 'mode');
    assert.equal(error.reason, 'feature-level');
  });

  it('names the field of a rule that is broken', async () => {
    const { api, view } = setUp();
    const cases: readonly (readonly [string, ServiceSpec])[] = [
      ['schedule', jobSpec(schedule({ cron: '61 * * * *' }))],
      ['schedule', jobSpec(schedule({ cron: '0 0 30 2 *' }))],
      ['schedule', jobSpec(schedule({ cron: '' }))],
      ['schedule-timezone', jobSpec(schedule({ timeZone: 'Mars/Olympus' }))],
      ['schedule-overlap', jobSpec(schedule({ overlap: 17 as JobOverlap }))],
      ['schedule-start-deadline', jobSpec(schedule({ startDeadlineMs: -1 }))],
      ['job-deadline', jobSpec({ deadlineMs: -1 })],
      ['job-history', jobSpec({ historyLimit: 101 })],
      ['update', jobSpec({}, { update: UpdateConfig.create() })],
      ['rollback', jobSpec({}, { rollback: UpdateConfig.create() })],
      [
        'replicas',
        jobSpec(
          {},
          { mode: { kind: 'replicatedJob', value: ReplicatedJobMode.create({ totalCompletions: 100_001 }) } },
        ),
      ],
      [
        'max-concurrent',
        jobSpec({}, { mode: { kind: 'replicatedJob', value: ReplicatedJobMode.create({ maxConcurrent: 100_001 }) } }),
      ],
      ['schedule', jobSpec(schedule(), { mode: { kind: 'replicated', value: { replicas: 1 } } })],
      ['job-deadline', jobSpec({ deadlineMs: 1 }, { mode: { kind: 'global', value: {} } })],
      ['job-history', jobSpec({ historyLimit: 1 }, { mode: { kind: 'global', value: {} } })],
    ];
    for (const [field, spec] of cases) await refused(declared(api, spec), field);
    assert.equal(view.count('service'), 0);
    assert.equal(view.count('revision'), 0);
  });

  it('rubbish in the fields of a job is a clear error that names one of them, or a job', async () => {
    const anyJob = fc.record({
      cron: fc.string({ maxLength: 300 }),
      timeZone: fc.string({ maxLength: 300 }),
      overlap: fc.nat({ max: 9 }),
      startDeadlineMs: fc.option(fc.maxSafeInteger(), { nil: undefined }),
      deadlineMs: fc.option(fc.maxSafeInteger(), { nil: undefined }),
      historyLimit: fc.option(fc.nat(), { nil: undefined }),
      total: fc.option(fc.nat(), { nil: undefined }),
      concurrent: fc.option(fc.nat(), { nil: undefined }),
      global: fc.boolean(),
    });
    const fields = ['schedule', 'schedule-timezone', 'schedule-overlap', 'schedule-start-deadline'];
    const all = new Set([...fields, 'job-deadline', 'job-history', 'replicas', 'max-concurrent']);
    await fc.assert(
      fc.asyncProperty(
        anyJob,
        async ({ cron, timeZone, overlap, startDeadlineMs, total, concurrent, global, ...job }) => {
          const { api, view } = setUp();
          const value = ReplicatedJobMode.create({ totalCompletions: total, maxConcurrent: concurrent });
          const spec = jobSpec(
            {
              ...job,
              schedule: JobSchedule.create({ cron, timeZone, overlap: overlap as JobOverlap, startDeadlineMs }),
            },
            { mode: global ? { kind: 'globalJob', value: GlobalJobMode.create() } : { kind: 'replicatedJob', value } },
          );
          try {
            await declared(api, spec);
          } catch (thrown) {
            assert.ok(thrown instanceof SwarmError, String(thrown));
            assert.ok(all.has(thrown.field ?? ''), `${thrown.field}: ${thrown.message}`);
            assert.ok(thrown.message.length < 400, thrown.message);
            assert.equal(view.count('service'), 0);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('may have ports of their nodes, as in Docker', async () => {
    const { api } = setUp();
    await declared(
      api,
      jobSpec(
        {},
        {
          endpoint: EndpointSpec.create({
            ports: [PortConfig.create({ targetPort: 80, publishMode: PublishMode.HOST })],
          }),
        },
      ),
    );
  });

  it('when it runs is no matter of its revisions; what it runs, and how often, is', async () => {
    const { api, view } = setUp();
    const service = await declared(api, jobSpec());
    setJob(view, service, { iteration: 1, state: COMPLETED });
    const job = view.get('service', service.id)?.job;
    let current = await updated(
      api,
      view.get('service', service.id) as Service,
      jobSpec({ ...schedule(), historyLimit: 9 }),
    );
    assert.equal(current.revision, 1);
    assert.deepEqual(current.job, job);
    const mode = { kind: 'replicatedJob', value: ReplicatedJobMode.create({ totalCompletions: 4 }) } as const;
    current = await updated(api, current, jobSpec({}, { mode }));
    assert.equal(current.revision, 2);
    current = await updated(
      api,
      current,
      jobSpec({}, { mode, task: TaskSpec.create({ ...current.spec?.task, forceUpdate: 1 }) }),
    );
    assert.equal(current.revision, 3);
    assert.deepEqual(current.job, job, 'the runs are the orchestrator’s');
  });

  it('a request makes one run, however often it is made', async () => {
    const { api, view } = setUp();
    const service = await declared(api, jobSpec());
    setJob(view, service, { iteration: 1, state: COMPLETED });
    const first = await run(api, 'a');
    assert.equal(first.iteration, 2);
    assert.equal((await run(api, 'a')).iteration, 2);
    const { job } = view.get('service', service.id) as Service;
    assert.deepEqual(
      job?.runs.map(({ iteration, state, requestId }) => [iteration, state, requestId]),
      [
        [1, COMPLETED, ''],
        [2, QUEUED, 'a'],
      ],
    );
    await refused(run(api, 'with spaces'), 'request_id');
  });

  it('beside a run that goes on only what the overlap rule allows', async () => {
    for (const [overlap, allowed] of [
      [1, 0],
      [2, 1],
      [3, 5],
    ] as const) {
      const { api, view } = setUp();
      setJob(view, await declared(api, jobSpec(schedule({ overlap }))), { iteration: 1, state: RUNNING });
      for (let i = 0; i < allowed; i++) await run(api, `r${i}`);
      if (allowed < 5) assert.equal((await refused(run(api, 'more'), 'job')).reason, 'in-use');
      const runs = view.serviceByName('batch')?.job?.runs ?? [];
      assert.equal(runs.filter(({ state }) => state === QUEUED).length, Math.min(1, allowed));
    }
  });

  it('stops the present run and the one that waits; refuses where there is none, and what is no job', async () => {
    const { api, view } = setUp();
    const service = await declared(api, jobSpec());
    await refused(stop(api), 'job');
    setJob(
      view,
      service,
      { iteration: 1, state: RUNNING, startedAtMs: 10 },
      { iteration: 2, state: QUEUED, startedAtMs: 20 },
    );
    const { service: stopped } = await stop(api);
    assert.deepEqual(
      stopped?.job?.runs.map(({ state, startedAtMs, endedAtMs, message }) => [state, startedAtMs, endedAtMs, message]),
      [
        [STOPPED, 10, NOW_MS, 'stopped by the administrator'],
        [STOPPED, 0, NOW_MS, 'stopped by the administrator'],
      ],
    );
    await declared(
      api,
      jobSpec({}, { name: 'web', mode: { kind: 'replicated', value: { replicas: 1 } }, job: undefined }),
    );
    const request = RunJobRequest.create({ reference: 'web' });
    await refused(api.jobs.run(caller, request), 'reference');
  });

  it('counts the slots of the present or last run: one that has completed once is completed', async () => {
    const { api, view } = setUp();
    const service = await declared(api, jobSpec());
    setJob(view, service, { iteration: 1, state: COMPLETED }, { iteration: 2, state: RUNNING });
    const tasks: readonly Partial<Task>[] = [
      { slot: 1, jobIteration: 1, status: TaskStatus.create({ state: TaskState.COMPLETE }) },
      { slot: 1, jobIteration: 2, status: TaskStatus.create({ state: TaskState.COMPLETE }) },
      {
        slot: 1,
        jobIteration: 2,
        desiredState: TaskState.SHUTDOWN,
        status: TaskStatus.create({ state: TaskState.RUNNING }),
      },
      { slot: 2, jobIteration: 2, status: TaskStatus.create({ state: TaskState.RUNNING }) },
      { slot: 3, jobIteration: 2, status: TaskStatus.create({ state: TaskState.FAILED }) },
    ];
    for (const [place, task] of tasks.entries())
      view.commit([
        {
          kind: 'create',
          table: 'task',
          object: Task.create({ id: `t${place}`, serviceId: service.id, desiredState: TaskState.COMPLETE, ...task }),
        },
      ]);
    const { counts } = await api.getService(caller, GetServiceRequest.create({ reference: 'batch' }));
    assert.deepEqual(counts, { running: 1, desired: 2, completed: 1, total: 3, notReady: 0, crashLooping: 0 });
  });

  it('have tasks that are to complete: that is a state to look for, and no other', async () => {
    const { api, view } = setUp();
    const { id: serviceId } = await declared(api, jobSpec());
    for (const desiredState of [TaskState.COMPLETE, TaskState.SHUTDOWN])
      view.commit([
        { kind: 'create', table: 'task', object: Task.create({ id: `t${desiredState}`, serviceId, desiredState }) },
      ]);
    for (const [state, id] of [
      ['complete', 't576'],
      ['shutdown', 't640'],
    ] as const)
      for await (const { tasks } of api.listTasks(caller, ListTasksRequest.create({ desiredStates: [state] })))
        assert.deepEqual(
          tasks.map(({ task }) => task?.id),
          [id],
        );
  });

  it('are listed by their modes', async () => {
    const { api } = setUp();
    await declared(api, jobSpec());
    const names = async (mode: string): Promise<readonly string[]> => {
      const found: string[] = [];
      for await (const { services } of api.listServices(caller, ListServicesRequest.create({ modes: [mode] })))
        found.push(...services.map(({ service }) => service?.spec?.name ?? ''));
      return found;
    };
    assert.deepEqual(await names('replicated-job'), ['batch']);
    assert.deepEqual(await names('replicated'), []);
  });
});
