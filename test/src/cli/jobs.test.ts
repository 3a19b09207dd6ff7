/**
 * Goal: who runs a job sees how it goes and is told how it ended; lists and pages show runs, schedules and the next time.
 * Method: the real commands on jobs that change by script, a clock by hand.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import {
  ControlService,
  GetServiceResponse,
  ServiceTaskCounts,
  TaskView,
  UpdateServiceResponse,
} from '#gen/swarm/v1/control.ts';
import { JobService, RunJobResponse, StopJobResponse } from '#gen/swarm/v1/jobs.ts';
import {
  JobRun,
  JobRunState,
  JobStatus,
  JobTrigger,
  Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, JobSchedule, JobSpec, ReplicatedJobMode, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { type CliResult, NOW_MS, runCli, scriptedClient } from './support/run-cli.ts';

const { QUEUED, RUNNING, COMPLETED, FAILED, SKIPPED, STOPPED } = JobRunState;

interface JobInit {
  readonly runs?: readonly Partial<JobRun>[];
  readonly schedule?: Partial<JobSchedule>;
  readonly scheduledUntilMs?: number;
  readonly revision?: number;
  readonly waitsFor?: string;
}

function job({ runs = [], schedule, scheduledUntilMs = 0, revision = 1, waitsFor = '' }: JobInit = {}): Service {
  const cron = schedule === undefined ? undefined : JobSchedule.create({ cron: '*/5 * * * *', ...schedule });
  return Service.create({
    id: 'jjjjjjjjjjjjjjjjjjjjjjjjj',
    revision,
    waitsFor,
    spec: ServiceSpec.create({
      name: 'batch',
      mode: { kind: 'replicatedJob', value: ReplicatedJobMode.create({ totalCompletions: 3, maxConcurrent: 2 }) },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox:1' }) }),
      job: JobSpec.create({ schedule: cron }),
    }),
    job: JobStatus.create({
      iteration: 9,
      revision: 1,
      scheduledUntilMs,
      followedSchedule: cron === undefined ? '' : `${cron.cron} ${cron.timeZone}`,
      runs: runs.map((run) => JobRun.create({ revision: 1, total: 3, ...run })),
    }),
  });
}

function task(slot: number, state: TaskState, error = ''): TaskView {
  const status = TaskStatus.create({ state, error });
  return TaskView.create({ task: Task.create({ id: `t${slot}`, slot, jobIteration: 2, status }) });
}

interface Look {
  readonly service: Service;
  readonly completed?: number;
  readonly tasks?: readonly TaskView[];
}

/** A daemon that gives one look after the other; the last one stays. */
function daemon(looks: readonly Look[]): Partial<SwarmApi> {
  let place = 0;
  let current = looks[0] as Look;
  const now = () => current;
  return {
    control: scriptedClient(ControlService, {
      getService: async () => {
        current = looks[Math.min(place++, looks.length - 1)] as Look;
        const { service, completed = 0 } = current;
        const counts = ServiceTaskCounts.create({ running: 1, desired: 2, completed, total: 3 });
        return GetServiceResponse.create({ service, counts });
      },
      listTasks: async function* () {
        yield { tasks: now().tasks ?? [] };
      },
      listServices: async function* () {
        const { service, completed = 0 } = now();
        yield { services: [{ service, counts: ServiceTaskCounts.create({ completed, total: 3 }) }] };
      },
    }),
    jobs: scriptedClient(JobService, {
      runJob: async () => RunJobResponse.create({ service: now().service, iteration: 2 }),
      stopJob: async () => StopJobResponse.create({ service: now().service }),
    }),
  };
}

/** Time passes by itself while the command waits. */
async function run(words: readonly string[], ...looks: readonly Look[]): Promise<CliResult> {
  const clock = new ManualClock(NOW_MS);
  const result = runCli(words, { clock, api: daemon(looks) });
  let isOver = false;
  void result.finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 10_000 && !isOver; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 10 === 9) clock.advance(500);
  }
  return result;
}

const started = { iteration: 2, state: RUNNING, startedAtMs: NOW_MS };

describe('cli: jobs', () => {
  it('run shows how the run goes, and ends with it', async () => {
    const { stdout, exitCode } = await run(
      ['job', 'run', 'batch'],
      { service: job({ runs: [{ iteration: 2, state: QUEUED }] }) },
      { service: job({ runs: [{ iteration: 2, state: QUEUED }], waitsFor: 'waiting for service db to run' }) },
      {
        service: job({ runs: [started] }),
        completed: 1,
        tasks: [task(1, TaskState.COMPLETE), task(2, TaskState.PENDING, 'no suitable node')],
      },
      { service: job({ runs: [{ ...started, state: COMPLETED, succeeded: 3 }] }) },
    );
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      [
        'batch run 2',
        'run 2: waiting for the run before it to end',
        'run 2: waiting for service db to run',
        'run 2: 1 out of 3 complete',
        'active tasks: 1 out of 2 tasks',
        'slot 1: complete',
        'slot 2: no suitable node',
        'run 2: 3 out of 3 complete',
        'job complete',
        '',
      ].join('\n'),
    );
  });

  it('a run that fails, or is stopped, ends the command with exit code 1 and the reason', async () => {
    const failed = { ...started, state: FAILED, message: 'task t1 (slot 1): exit code 3' };
    const after = await run(['job', 'run', '-q', 'batch'], { service: job({ runs: [failed] }) });
    assert.equal(after.exitCode, 1);
    assert.match(
      after.stderr,
      /^job batch: run 2 failed: task t1 \(slot 1\): exit code 3\nHint: .*swarm job logs batch/,
    );
    const stopped = { ...started, state: STOPPED, message: 'stopped by the administrator' };
    const cut = await run(['job', 'run', 'batch'], { service: job({ runs: [stopped] }) });
    assert.equal(cut.exitCode, 1);
    assert.match(cut.stderr, /run 2 did not come to its end: stopped by the administrator/);
  });

  it('run --detach does not wait; stop says what it stopped', async () => {
    const looks = { service: job({ runs: [started] }) };
    assert.equal((await run(['job', 'run', '-d', 'batch'], looks)).stdout, 'batch run 2\n');
    assert.equal((await run(['job', 'stop', 'batch'], looks)).stdout, 'batch\n');
  });

  it('ls shows the last run and the next time', async () => {
    const next = Math.ceil(NOW_MS / 300_000) * 300_000;
    const scheduledUntilMs = next - 300_000;
    const runs = [{ ...started, state: COMPLETED, endedAtMs: NOW_MS - 60_000 }];
    const { stdout } = await run(['job', 'ls'], {
      service: job({ runs, schedule: { timeZone: 'Europe/Berlin' }, scheduledUntilMs }),
      completed: 3,
    });
    assert.match(stdout, /^ID +NAME +MODE +COMPLETED +LAST RUN +SCHEDULE +NEXT RUN +IMAGE$/m);
    assert.match(
      stdout,
      /batch +replicated +3\/3 +completed about a minute ago +\*\/5 \* \* \* \* \(Europe\/Berlin\) +in about a minute +busybox:1/,
    );
    const suspended = await run(['job', 'ls', '--format', '{{.NextRun}}'], {
      service: job({ schedule: { suspended: true } }),
    });
    assert.equal(suspended.stdout, 'suspended\n');
  });

  it('history lists the runs, the newest first, with what was left out', async () => {
    const { stdout } = await run(
      ['job', 'history', '--format', '{{.Run}} {{.Trigger}} {{.State}} {{.Completions}} {{.Duration}}', 'batch'],
      {
        service: job({
          runs: [
            {
              iteration: 1,
              trigger: JobTrigger.UPDATE,
              state: FAILED,
              succeeded: 1,
              startedAtMs: 1000,
              endedAtMs: 3500,
            },
            { iteration: 0, trigger: JobTrigger.SCHEDULE, state: SKIPPED, count: 4, revision: 0 },
            { ...started, trigger: JobTrigger.USER },
          ],
        }),
      },
    );
    assert.match(stdout, /^2 user running 0\/3 \d+m?s\n- schedule skipped 4 times {2}\n1 update failed 1\/3 2.5s\n$/);
  });

  it('service ls, inspect and --pretty show jobs in Docker’s shape', async () => {
    const service = job({
      runs: [{ ...started, state: COMPLETED, succeeded: 3 }],
      schedule: {},
      scheduledUntilMs: NOW_MS,
    });
    const listed = await run(['service', 'ls'], { service, completed: 3 });
    assert.match(listed.stdout, /batch +replicated job +0\/0 \(3\/3 completed\)/);
    const { stdout } = await run(['service', 'inspect', 'batch'], { service });
    const [json] = JSON.parse(stdout) as [Record<string, Record<string, unknown>>];
    assert.deepEqual(json?.['Spec']?.['Mode'], { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 3 } });
    assert.deepEqual(json?.['Spec']?.['Job'], { Schedule: { Cron: '*/5 * * * *', Overlap: 'skip' } });
    assert.deepEqual(json?.['JobStatus']?.['JobIteration'], { Index: 2 });
    assert.equal(json?.['JobStatus']?.['LastExecution'], new Date(NOW_MS).toISOString().replace('.000Z', 'Z'));
    const page = await run(['service', 'inspect', '--pretty', 'batch'], { service });
    assert.match(page.stdout, /Service Mode:\tReplicated Job\n Total Completions:\t3\n Max Concurrent:\t2\n/);
    assert.match(page.stdout, / Schedule:\t\*\/5 \* \* \* \*\n Next Run:\tin .*\n Overlap:\tskip\n/);
    assert.doesNotMatch(page.stdout, /UpdateConfig/);
  });

  it('an update is not refused because a run came between its read and its write', async () => {
    const requests: number[] = [];
    let version = 7;
    const control = scriptedClient(ControlService, {
      getService: async () => GetServiceResponse.create({ service: { ...job({ schedule: {} }), version } }),
      updateService: async (request) => {
        requests.push(request.version ?? 0);
        if (requests.length > 2) return UpdateServiceResponse.create({ service: job({ schedule: {} }) });
        version++;
        throw new SwarmError({ code: 'conflict', reason: 'out-of-sequence', message: 'update out of sequence' });
      },
    });
    const { exitCode, stderr } = await runCli(['service', 'update', '--schedule-suspend', 'batch'], {
      api: { control },
    });
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(requests, [7, 8, 9]);
  });

  it('history refuses what is no job', async () => {
    const { stderr, exitCode } = await runCli(['job', 'history', 'web']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^service web is no job\nHint: /);
  });
});
