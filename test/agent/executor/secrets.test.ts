/**
 * Goal: a task finds its secrets and configs as it was told to, nobody else does, and nothing of them stays anywhere.
 * Method: the executor with a real runtime; containers look at what they have, and this host's mounts, files and records
 * are searched while they run, after their end, and after an agent that was let go of in the middle.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type LogLine, OciExecutor } from '#agent/executor/index.ts';
import { DEFAULT_LOG_CONFIG } from '#agent/logs/index.ts';
import { PayloadStore, TaskPayloads } from '#agent/secrets/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import { ConfigVersion, SecretVersion, Task } from '#gen/swarm/v1/objects.ts';
import {
  ConfigReference,
  ContainerSpec,
  FileTarget,
  SecretReference,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { describeInside } from '../runtime/inside.ts';
import { TestRuntime } from '../runtime/test-runtime.ts';
import { openTestVolumes } from '../volumes/open-test-volumes.ts';
import { OneImage, PlainNetwork } from './plain-host.ts';

const NEVER = new AbortController().signal;
const QUIET = (): void => {};
const SECRET = 'correct-horse-battery-staple';

describeInside(import.meta.filename, 'executor: secrets and configs', () => {
  let under: TestRuntime;
  let payloads: PayloadStore;
  let executor: OciExecutor;
  let directory: string;
  let count = 0;

  function makeExecutor(): void {
    payloads = new PayloadStore();
    directory = join(under.directory, 'secrets');
    executor = new OciExecutor({
      runtime: under.runtime,
      network: new PlainNetwork(),
      volumes: openTestVolumes(under.stateDirectory).volumes,
      payloads,
      taskPayloads: new TaskPayloads({ store: payloads, directory, log: silentLogger }),
      images: new OneImage(under.layer),
      logConfig: DEFAULT_LOG_CONFIG,
      clock: systemClock,
      log: silentLogger,
    });
  }

  function hold(): void {
    const secret = SecretVersion.create({ secretId: 's', number: 3, data: Buffer.from(SECRET) });
    const config = ConfigVersion.create({
      configId: 'c',
      number: 1,
      data: Buffer.from('#!/bin/sh\necho I am {{.Task.Name}} with {{secret "db"}} in {{env "HOME"}}\n'),
      templateDriver: 'golang',
    });
    payloads.apply({
      complete: true,
      changes: [
        AssignmentChange.create({ item: { kind: 'secretVersion', value: secret } }),
        AssignmentChange.create({ item: { kind: 'configVersion', value: config } }),
      ],
    });
  }

  beforeEach(async () => {
    under = await TestRuntime.make();
    makeExecutor();
    await executor.recover([]);
    hold();
  });
  afterEach(async () => {
    for (const { record } of under.runtime.list()) await executor.remove(record.id, NEVER);
    await under.remove();
  });

  function assign(script: string, container: Partial<ContainerSpec>): TaskAssignment {
    const command = ['/bin/sh', '-c', script];
    return {
      task: Task.create({ id: `task${++count}`, serviceId: 'service', slot: 1 }),
      spec: ServiceSpec.create({
        name: 'web',
        task: TaskSpec.create({
          container: ContainerSpec.create({ image: 'busybox', command, stopGracePeriodMs: 300, ...container }),
        }),
      }),
      node: { id: 'node', hostname: 'host' },
    };
  }

  const file = (path: string, rest: Partial<FileTarget> = {}): FileTarget => FileTarget.create({ path, ...rest });
  const secret = (rest: Partial<SecretReference>): SecretReference =>
    SecretReference.create({ secretId: 's', secretName: 'db', number: 3, ...rest });
  const config = (rest: Partial<ConfigReference>): ConfigReference =>
    ConfigReference.create({ configId: 'c', configName: 'hello', number: 1, ...rest });

  async function started(assignment: TaskAssignment): Promise<string> {
    await executor.prepare(assignment, QUIET, NEVER);
    await executor.start(assignment.task.id, QUIET, NEVER);
    return assignment.task.id;
  }

  async function output(taskId: string): Promise<readonly string[]> {
    const query = { follow: false, tail: undefined, sinceNs: undefined, untilNs: undefined };
    const lines: LogLine[] = [];
    for await (const line of executor.logs(taskId, query, NEVER)) lines.push(line);
    return lines.map((line) => Buffer.from(line.data).toString());
  }

  async function mountsHere(): Promise<readonly string[]> {
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    return mounts.filter((line) => line.includes(` ${directory}/`) && !line.includes('/merged'));
  }

  /** Files of this agent that have the secret. */
  async function filesWithSecret(): Promise<string> {
    const search = ['-rlF', SECRET, under.stateDirectory, under.runtime.context.paths.runDirectory];
    const found = await promisify(execFile)('grep', search).catch((error: { readonly stdout: string }) => error);
    return found.stdout;
  }

  it('are files with owner, group and mode, read-only and in memory, at their targets', async () => {
    const id = await started(
      assign(
        [
          'stat -c "%n %u %g %a" /run/secrets/db /run/secrets/deep/er /etc/pw /hello',
          'cat /run/secrets/db && echo',
          'cat /run/secrets/deep/er /etc/pw && echo',
          'for f in /run/secrets/db /hello; do (echo x > $f) 2>/dev/null && echo writable; done',
          '/hello',
          'grep -c "noswap\\|ramfs" /proc/mounts',
        ].join('; '),
        {
          env: ['HOME=/home/me'],
          secrets: [
            secret({ file: file('db') }),
            secret({ file: file('deep/er', { uid: '1000', gid: '29', mode: 0o400 }) }),
            secret({ file: file('/etc/pw', { mode: 0o440 }) }),
          ],
          configs: [config({ file: file('hello', { mode: 0o555 }) })],
        },
      ),
    );
    await executor.wait(id, NEVER);
    assert.deepEqual(await output(id), [
      '/run/secrets/db 0 0 444',
      '/run/secrets/deep/er 1000 29 400',
      '/etc/pw 0 0 440',
      '/hello 0 0 555',
      SECRET,
      SECRET + SECRET,
      `I am web.1.${id} with ${SECRET} in /home/me`,
      '4',
    ]);
  });

  it('are gone with the end of the container, and in no file and no argument meanwhile', async () => {
    const id = await started(assign('sleep 1000', { secrets: [secret({ file: file('db') })] }));
    assert.equal((await mountsHere()).length, 1);
    assert.equal(await filesWithSecret(), '');
    for (const process of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const commandLine = await readFile(`/proc/${process}/cmdline`, 'utf8').catch(() => '');
      assert.ok(!commandLine.includes(SECRET) || commandLine.includes('grep'), commandLine);
    }
    await under.runtime.signal(id, 9);
    await executor.wait(id, NEVER);
    assert.deepEqual([await mountsHere(), await readdir(directory)], [[], []]);
  });

  it('are in the environment where that is asked for', async () => {
    const id = await started(assign('echo $DB; ls /run/secrets 2>&1', { secrets: [secret({ env: 'DB' })] }));
    await executor.wait(id, NEVER);
    assert.equal((await output(id))[0], SECRET);
    assert.match((await output(id))[1] ?? '', /No such file/);
  });

  it('stay for a container that outlives its agent, and go with those that nobody knows', async () => {
    const script = 'while :; do cat /run/secrets/db && echo; sleep 0.05; done';
    const known = assign(script, { secrets: [secret({ file: file('db') })] });
    const unknown = assign(script, { secrets: [secret({ file: file('db') })] });
    for (const one of [known, unknown]) await started(one);
    assert.equal((await mountsHere()).length, 2);
    await executor.close();
    await under.reopen();
    makeExecutor();
    const before = (await readFile(under.runtime.context.paths.log(known.task.id), 'utf8')).length;
    await executor.recover([known]);
    assert.equal((await mountsHere()).length, 1);
    assert.deepEqual(await readdir(directory), [known.task.id]);
    await executor.shutdown(known, NEVER);
    assert.ok((await readFile(under.runtime.context.paths.log(known.task.id), 'utf8')).length > before);
    assert.deepEqual(await mountsHere(), []);
  });

  it('of a task that cannot be made leave nothing, and a bad template does not say what it holds', async () => {
    const bad = SecretVersion.create({
      secretId: 's',
      number: 4,
      data: Buffer.from(`${SECRET} {{.Service.Labels.none}}`),
      templateDriver: 'golang',
    });
    const item = { kind: 'secretVersion' as const, value: bad };
    payloads.apply({ complete: false, changes: [AssignmentChange.create({ item })] });
    for (const container of [
      { secrets: [secret({ number: 4, file: file('db') })] },
      { secrets: [secret({ file: file('db') })], user: 'nobody-here' },
      { secrets: [secret({ number: 9, file: file('db') })] },
    ]) {
      const failure = await executor.prepare(assign('true', container), QUIET, NEVER).catch((error: unknown) => error);
      assert.ok(failure instanceof SwarmError);
      assert.ok(!failure.message.includes(SECRET), failure.message);
      assert.deepEqual(await mountsHere(), []);
      assert.deepEqual(await readdir(directory).catch(() => []), []);
    }
  });
});
