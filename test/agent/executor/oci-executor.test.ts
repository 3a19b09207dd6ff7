/**
 * Goal: tasks live as containers, and every end of theirs gives back all they held. Method: the executor with a real
 * runtime and real volumes; images and network are simple ones that count what is held.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LogLine, OciExecutor } from '#agent/executor/index.ts';
import { DEFAULT_LOG_CONFIG } from '#agent/logs/index.ts';
import { PayloadStore, TaskPayloads } from '#agent/secrets/index.ts';
import type { FoundTask, TaskAssignment } from '#agent/tasks/index.ts';
import type { TaskVolumes } from '#agent/volumes/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { Task } from '#gen/swarm/v1/objects.ts';
import {
  ContainerSpec,
  EndpointSpec,
  LogDriver,
  Mount,
  MountType,
  PortConfig,
  PublishMode,
  ResourceRequirements,
  Resources,
  ServiceSpec,
  TaskSpec,
  TmpfsOptions,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import { describeInside } from '../runtime/inside.ts';
import { TestRuntime } from '../runtime/test-runtime.ts';
import { openTestVolumes } from '../volumes/open-test-volumes.ts';
import { OneImage, PlainNetwork } from './plain-host.ts';

const NEVER = new AbortController().signal;
const QUIET = (): void => {};

describeInside(import.meta.filename, 'executor: oci', () => {
  let under: TestRuntime;
  let images: OneImage;
  let network: PlainNetwork;
  let volumes: TaskVolumes;
  let payloads: PayloadStore;
  let executor: OciExecutor;
  let count = 0;

  function makeExecutor(): void {
    network = new PlainNetwork();
    ({ volumes } = openTestVolumes(under.stateDirectory));
    payloads = new PayloadStore();
    executor = new OciExecutor({
      runtime: under.runtime,
      network,
      volumes,
      payloads,
      taskPayloads: new TaskPayloads({
        store: payloads,
        directory: `${under.stateDirectory}/secrets`,
        log: silentLogger,
      }),
      images,
      logConfig: { ...DEFAULT_LOG_CONFIG, checkMinMs: 20, checkMaxMs: 50 },
      clock: systemClock,
      log: silentLogger,
    });
  }

  beforeEach(async () => {
    under = await TestRuntime.make();
    images = new OneImage(under.layer);
    makeExecutor();
    await executor.recover([]);
  });
  afterEach(() => under.remove());

  function assign(
    script: string,
    container: Partial<ContainerSpec> = {},
    task: Partial<TaskSpec> = {},
  ): TaskAssignment {
    return {
      task: Task.create({ id: `task${++count}`, serviceId: 'service', slot: 1 }),
      spec: ServiceSpec.create({
        name: 'web',
        task: TaskSpec.create({
          container: ContainerSpec.create({
            image: 'busybox',
            command: ['/bin/sh', '-c', script],
            stopGracePeriodMs: 300,
            ...container,
          }),
          ...task,
        }),
        endpoint: EndpointSpec.create({
          ports: [PortConfig.create({ targetPort: 80, publishedPort: 0, publishMode: PublishMode.HOST })],
        }),
      }),
      node: { id: 'node', hostname: 'host' },
    };
  }

  async function started(assignment: TaskAssignment): Promise<string> {
    await executor.prepare(assignment, QUIET, NEVER);
    await executor.start(assignment.task.id, () => {}, NEVER);
    return assignment.task.id;
  }

  async function output(taskId: string, changes = {}): Promise<readonly string[]> {
    const query = { follow: false, tail: undefined, sinceNs: undefined, untilNs: undefined, ...changes };
    const lines: LogLine[] = [];
    for await (const line of executor.logs(taskId, query, NEVER)) lines.push(line);
    return lines.map((line) => Buffer.from(line.data).toString());
  }

  it('takes a task through its whole life and gives everything back', async () => {
    const assignment = assign('echo "$GREETING"; cat /etc/hostname; exit 3', {
      env: ['GREETING=hello {{.Task.Slot}}'],
      hostname: 'web',
    });
    const messages: string[] = [];
    const prepared = await executor.prepare(assignment, (message) => messages.push(message), NEVER);
    assert.deepEqual(messages, ['preparing the image', 'preparing the network', 'creating the container']);
    assert.equal(prepared.networks[0]?.network, 'gateway');
    assert.ok((prepared.ports[0]?.publishedPort ?? 0) > 0);
    const { id } = assignment.task;
    const status = await executor.start(id, () => {}, NEVER);
    assert.ok(status.pid > 0);
    const exit = await executor.wait(id, NEVER);
    assert.equal(exit.container.exitCode, 3);
    assert.equal(exit.error, 'task: non-zero exit (3)');
    // The end has given back what others could use; the log is still there.
    assert.deepEqual([images.held.size, network.attached.size], [0, 0]);
    assert.deepEqual(await under.runtime.context.cgroups.children(under.cgroupParent), []);
    assert.deepEqual(await output(id), ['hello 1', 'web']);
    await executor.remove(id, NEVER);
    await executor.remove(id, NEVER);
    assert.deepEqual(await readdir(join(under.stateDirectory, 'containers')), []);
    await assert.rejects(output(id), (error) => error instanceof SwarmError && error.code === 'not-found');
  });

  it('leaves nothing of a prepare that failed', async () => {
    for (const container of [
      { image: 'nothing' },
      { command: ['/no/such/program'] },
      { user: 'nobody-here' },
      { stopSignal: 'x' },
      { mounts: [Mount.create({ type: MountType.BIND, source: '/no/such/source', target: '/x' })] },
      { mounts: [Mount.create({ type: MountType.VOLUME, source: 'left', target: '/proc' })] },
    ]) {
      const assignment = assign('true', container);
      await assert.rejects(executor.prepare(assignment, QUIET, NEVER), (error) => error instanceof SwarmError);
      assert.deepEqual([images.held.size, network.attached.size], [0, 0], JSON.stringify(container));
      assert.equal(under.runtime.inspect(assignment.task.id), undefined);
      assert.deepEqual(await readdir(join(under.stateDirectory, 'containers')), []);
    }
    await volumes.remove('left');
  });

  it('stops early when aborted, and leaves nothing', async () => {
    const controller = new AbortController();
    const assignment = assign('true');
    const preparing = executor.prepare(assignment, () => controller.abort(), controller.signal);
    await assert.rejects(preparing, (error) => error instanceof SwarmError && error.code === 'cancelled');
    assert.deepEqual([images.held.size, network.attached.size], [0, 0]);
    const id = await started(assign('sleep 1000'));
    const waiting = new AbortController();
    const wait = executor.wait(id, waiting.signal);
    waiting.abort();
    await assert.rejects(wait, (error) => error instanceof SwarmError && error.code === 'cancelled');
    await executor.remove(id, NEVER);
  });

  it('shuts down with signal and grace; nothing to do is no error', async () => {
    const willing = assign("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done", {
      stopGracePeriodMs: 5000,
    });
    const id = await started(willing);
    await eventually('it is ready', async () => (await output(id)).includes('ready'));
    await executor.shutdown(willing, NEVER);
    assert.equal((await executor.wait(id, NEVER)).error, undefined);
    assert.deepEqual(await output(id), ['ready', 'bye']);
    await executor.shutdown(willing, NEVER);
    await executor.shutdown(assign('true'), NEVER);
    const prepared = assign('true');
    await executor.prepare(prepared, QUIET, NEVER);
    await executor.shutdown(prepared, NEVER);
    assert.equal(network.attached.size, 0);
  });

  it('says why a task ended', async () => {
    const limits = ResourceRequirements.create({ limits: Resources.create({ memoryBytes: 16 << 20 }) });
    const hungry = await started(assign('x=a; while :; do x=$x$x; done', {}, { resources: limits }));
    const exit = await executor.wait(hungry, NEVER);
    assert.deepEqual([exit.container.exitCode, exit.container.oomKilled], [137, true]);
    assert.match(exit.error ?? '', /out of memory.*137/);
    const killed = await started(assign('sleep 1000'));
    await under.runtime.signal(killed, 9);
    assert.equal((await executor.wait(killed, NEVER)).error, 'task: non-zero exit (137)');
  });

  it('follows and rotates logs', async () => {
    const logDriver = LogDriver.create({ options: { 'max-size': '40k', 'max-file': '50' } });
    const script =
      'n=0; while [ $n -lt 1000 ]; do echo line $n of a log that has to be rotated; n=$((n+1)); done; sleep 0.2; echo end';
    const id = await started(assign(script, {}, { logDriver }));
    const lines = await output(id, { follow: true });
    assert.equal(lines.length, 1001);
    assert.equal(lines.at(-1), 'end');
    assert.deepEqual(await output(id, { tail: 2 }), lines.slice(-2));
    assert.ok((await readdir(under.runtime.context.paths.container(id))).includes('log.1'));
    const silent = await started(assign('echo x', {}, { logDriver: LogDriver.create({ name: 'none' }) }));
    await assert.rejects(output(silent), (error) => error instanceof SwarmError && /log driver/.test(error.message));
  });

  it('mounts volumes, fills them, and removes anonymous ones with the task', async () => {
    await mkdir(join(under.layer, 'declared'));
    await writeFile(join(under.layer, 'declared/file'), 'from the image\n');
    images.volumes.push('/declared');
    const mounts = [Mount.create({ type: MountType.VOLUME, source: 'shared', target: '/data' })];
    const first = await started(assign('cat /declared/file; echo kept > /data/file', { mounts }));
    await executor.wait(first, NEVER);
    assert.deepEqual(await output(first), ['from the image']);
    assert.equal((await volumes.list()).length, 2);
    await executor.remove(first, NEVER);
    assert.deepEqual(
      (await volumes.list()).map(({ name }) => name),
      ['shared'],
    );
    const second = await started(assign('cat /data/file', { mounts }));
    await executor.wait(second, NEVER);
    assert.deepEqual(await output(second), ['kept']);
    // What has ended does not run again: it holds nothing but what nobody else can have.
    assert.deepEqual(volumes.usersOf('shared'), []);
    await executor.remove(second, NEVER);
    const third = await started(assign('sleep 1000', { mounts }));
    await assert.rejects(volumes.remove('shared'), (error) => error instanceof SwarmError && error.reason === 'in-use');
    await executor.remove(third, NEVER);
    await volumes.remove('shared');
  });

  it('mounts what lies below a volume, and a tmpfs with the options that were asked for', async () => {
    const volume = (target: string, subpath: string): Mount =>
      Mount.create({ type: MountType.VOLUME, source: 'tree', target, volume: VolumeOptions.create({ subpath }) });
    const first = await started(
      assign('mkdir -p /all/in/ner; echo deep > /all/in/ner/file', { mounts: [volume('/all', '')] }),
    );
    await executor.wait(first, NEVER);
    const tmpfs = Mount.create({
      type: MountType.TMPFS,
      target: '/scratch',
      tmpfs: TmpfsOptions.create({ options: ['exec', 'uid=7'], sizeBytes: 1 << 20 }),
    });
    const script =
      'cat /part/file; stat -c %u /scratch; printf "#!/bin/sh\\necho runs\\n" > /scratch/x; chmod +x /scratch/x; /scratch/x';
    const second = await started(assign(script, { mounts: [volume('/part', 'in/ner'), tmpfs] }));
    await executor.wait(second, NEVER);
    assert.deepEqual(await output(second), ['deep', '7', 'runs']);
    const missing = assign('true', { mounts: [volume('/part', 'no/such')] });
    await assert.rejects(executor.prepare(missing, QUIET, NEVER), /volume tree has nothing at "no\/such"/);
    for (const id of [first, second]) await executor.remove(id, NEVER);
    await volumes.remove('tree');
  });

  it('finds everything again after a restart', async () => {
    const mounts = [Mount.create({ type: MountType.VOLUME, source: 'db', target: '/data' })];
    const running = assign('echo up; sleep 1000', { mounts });
    const ended = assign('exit 4');
    const prepared = assign('echo late');
    const unknown = assign('sleep 1000');
    for (const one of [running, ended, unknown]) await started(one);
    await executor.prepare(prepared, QUIET, NEVER);
    await under.runtime.wait(ended.task.id);
    await executor.close();

    await under.reopen();
    makeExecutor();
    const never = assign('true');
    const found = new Map<string, FoundTask>();
    await executor.recover([running, ended, prepared, never], (taskId, one) => found.set(taskId, one));
    const kinds = [...found.values()].map(({ kind }) => kind);
    assert.deepEqual(kinds, ['running', 'prepared', 'absent', 'exited'], 'those first that may have to be stopped');
    const exited = found.get(ended.task.id);
    assert.ok(exited?.kind === 'exited');
    assert.equal(exited.exit.container.exitCode, 4);
    assert.equal(under.runtime.inspect(unknown.task.id), undefined);
    assert.deepEqual([...images.held.keys()].toSorted(), [running.task.id, prepared.task.id].toSorted());
    await assert.rejects(volumes.remove('db'), (error) => error instanceof SwarmError && error.reason === 'in-use');
    assert.ok(((await executor.statistics(running.task.id))?.pids ?? 0) >= 1);
    await executor.shutdown(running, NEVER);
    assert.equal((await executor.wait(running.task.id, NEVER)).container.exitCode, 137);
    await executor.start(prepared.task.id, () => {}, NEVER);
    await executor.wait(prepared.task.id, NEVER);
    assert.deepEqual(await output(prepared.task.id), ['late']);
    assert.equal(await executor.statistics(prepared.task.id), undefined);
  });

  it('stops all for a host that goes down', async () => {
    const script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    const ids = await Promise.all([1, 2, 3].map(() => started(assign(script, { stopGracePeriodMs: 5000 }))));
    for (const id of ids) await eventually('it is ready', async () => (await output(id)).length > 0);
    await executor.stopAll(5000);
    for (const id of ids) assert.equal((await executor.wait(id, NEVER)).error, undefined);
    assert.deepEqual(await under.runtime.context.cgroups.children(under.cgroupParent), []);
  });
});
