/**
 * Goal: real containers are checked as their image or their service says, live or end by it, and an agent that comes
 * back goes on where the one before it was. Method: the worker with the real executor and runtime; images and network
 * are simple ones.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { MemoryDatabase } from '#agent/database/index.ts';
import { type HeldImage, OciExecutor } from '#agent/executor/index.ts';
import { DEFAULT_LOG_CONFIG } from '#agent/logs/index.ts';
import { PayloadStore, TaskPayloads } from '#agent/secrets/index.ts';
import type { ImageHealthcheck } from '#agent/tasks/index.ts';
import { WORKER_DEFAULTS, Worker } from '#agent/worker/index.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import { HealthState, OneOff, Revision, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ExecProbe, HealthCheck, Probe, Probes, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import { describeInside } from '../runtime/inside.ts';
import { TestRuntime } from '../runtime/test-runtime.ts';
import { openTestVolumes } from '../volumes/open-test-volumes.ts';
import { OneImage, PlainNetwork } from './plain-host.ts';

const HEALTHCHECK: ImageHealthcheck = {
  test: ['CMD-SHELL', 'echo looking; test -e /tmp/well'],
  intervalMs: 200,
  timeoutMs: 10_000,
  startPeriodMs: 60_000,
  startIntervalMs: 100,
  retries: 1,
};

class CheckedImage extends OneImage {
  healthcheck: ImageHealthcheck | undefined;

  override async hold(request: { readonly taskId: string; readonly reference: string }): Promise<HeldImage> {
    const held = await super.hold(request);
    const { healthcheck } = this;
    return healthcheck === undefined ? held : { ...held, config: { ...held.config, healthcheck } };
  }
}

describeInside(import.meta.filename, 'executor: health', () => {
  let under: TestRuntime;
  let images: CheckedImage;
  let worker: Worker;
  let executor: OciExecutor;
  let database: MemoryDatabase;
  let count = 0;
  /** By task, every status that a manager would have heard of. */
  const told = new Map<string, TaskStatus[]>();

  async function startAgent(): Promise<void> {
    const store = new PayloadStore();
    executor = new OciExecutor({
      runtime: under.runtime,
      network: new PlainNetwork(),
      volumes: openTestVolumes(under.stateDirectory).volumes,
      payloads: store,
      taskPayloads: new TaskPayloads({ store, directory: `${under.stateDirectory}/secrets`, log: silentLogger }),
      images,
      logConfig: DEFAULT_LOG_CONFIG,
      clock: systemClock,
      log: silentLogger,
    });
    worker = new Worker({
      executor,
      database,
      clock: systemClock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: WORKER_DEFAULTS,
      node: { id: 'node', hostname: 'host' },
      onStatus: (taskId, status) => told.set(taskId, [...(told.get(taskId) ?? []), status]),
      onFailure: (error) => assert.fail(error),
    });
    await worker.start();
  }

  async function stopAgent(): Promise<void> {
    await worker.close();
    await executor.close();
  }

  before(async () => {
    under = await TestRuntime.make();
    images = new CheckedImage(under.layer);
    database = new MemoryDatabase();
    await startAgent();
  });
  after(async () => {
    await worker.removeAll(AbortSignal.timeout(20_000)).catch(() => {});
    await stopAgent();
    await under.remove();
  });

  async function run(container: Partial<ContainerSpec>, fields: Partial<Task> = {}): Promise<string> {
    const id = `task${++count}`;
    const serviceId = `service${count}`;
    const spec = ServiceSpec.create({
      name: 'web',
      task: TaskSpec.create({
        container: ContainerSpec.create({ image: 'busybox', stopGracePeriodMs: 300, ...container }),
      }),
    });
    const revision = Revision.create({ id: `r${count}`, serviceId, number: 1, spec });
    const status = TaskStatus.create({ state: TaskState.ASSIGNED });
    const desiredState = TaskState.RUNNING;
    const task = Task.create({ id, serviceId, revision: 1, slot: 1, desiredState, status, version: 1, ...fields });
    const changes = [
      AssignmentChange.create({ item: { kind: 'revision', value: revision } }),
      AssignmentChange.create({ item: { kind: 'task', value: task } }),
    ];
    await worker.apply({ complete: false, version: count, changes });
    return id;
  }

  async function reaches(id: string, state: TaskState): Promise<TaskStatus> {
    await eventually(`${id} to be ${state}`, async () => worker.status(id)?.state === state, { timeoutMs: 20_000 });
    return worker.status(id) as TaskStatus;
  }

  const write = (id: string, file: string): Promise<void> =>
    writeFile(`/proc/${worker.status(id)?.container?.pid}/root/tmp/${file}`, '');
  const SLEEP = ['/bin/sh', '-c', 'echo first; echo second; exec sleep 1000'];

  it('the image’s check decides when a task runs, and when it has to end', async () => {
    images.healthcheck = HEALTHCHECK;
    const id = await run({ command: SLEEP });
    await eventually('it waits', async () => (worker.status(id)?.health?.message ?? '') !== '');
    const waiting = worker.status(id);
    assert.equal(waiting?.state, TaskState.STARTING);
    assert.equal(waiting.health?.message, 'exit code 1: looking');
    assert.ok((waiting.container?.pid ?? 0) > 1);
    await write(id, 'well');
    const running = await reaches(id, TaskState.RUNNING);
    assert.deepEqual([running.health?.state, running.health?.ready], [HealthState.HEALTHY, true]);
    await under.runtime.exec(id, { command: ['/bin/rm', '/tmp/well'], timeoutMs: 10_000, outputBytesMax: 100 });
    const failed = await reaches(id, TaskState.FAILED);
    assert.equal(failed.error, 'unhealthy: health check failed: exit code 1: looking');
    assert.deepEqual(failed.lastLog, ['first', 'second']);
    assert.notEqual(failed.container?.exitCode, undefined);
  });

  it('the service switches the image’s check off; `swarm run` has none but for its own', async () => {
    images.healthcheck = HEALTHCHECK;
    const off = await run({ command: SLEEP, healthcheck: HealthCheck.create({ test: ['NONE'] }) });
    assert.equal((await reaches(off, TaskState.RUNNING)).health, undefined);
    const alone = await run({ command: SLEEP }, { serviceId: 'service3', oneOff: OneOff.create({ name: 'x' }) });
    assert.equal((await reaches(alone, TaskState.RUNNING)).health, undefined);
  });

  it('an agent that comes back finds its tasks ready, goes on checking them, and says nothing that is known', async () => {
    images.healthcheck = undefined;
    const look = (file: string): Probe =>
      Probe.create({
        check: { kind: 'exec', value: ExecProbe.create({ command: ['/bin/test', '!', '-e', `/tmp/${file}`] }) },
        intervalMs: 200,
        failureThreshold: 1,
        timeoutMs: 10_000,
      });
    const probes = Probes.create({ liveness: look('dead'), readiness: look('busy') });
    const id = await run({ command: SLEEP, probes });
    await eventually('it is ready', async () => worker.status(id)?.health?.ready === true);
    const before = worker.status(id);
    await stopAgent();
    await under.reopen();
    told.clear();
    await startAgent();
    assert.deepEqual(worker.status(id)?.health, before?.health);
    await write(id, 'busy');
    await eventually('it is not ready', async () => worker.status(id)?.health?.ready === false);
    assert.equal(told.get(id)?.length, 1, 'the first that was said of it');
    assert.equal(worker.status(id)?.state, TaskState.RUNNING);
    await stopAgent();
    await under.reopen();
    await startAgent();
    assert.equal(worker.status(id)?.health?.ready, false, 'nor does it come to be ready by that');
    await under.runtime.exec(id, { command: ['/bin/rm', '/tmp/busy'], timeoutMs: 10_000, outputBytesMax: 100 });
    await eventually('it is ready again', async () => worker.status(id)?.health?.ready === true);
    await write(id, 'dead');
    const failed = await reaches(id, TaskState.FAILED);
    assert.equal(failed.error, 'unhealthy: liveness probe failed: exit code 1');
  });
});
