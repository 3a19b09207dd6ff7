/**
 * Goal: `swarm run` takes what `docker run` takes, shows the container's output, gives its exit code, and says what is wrong
 * in words with a way out. Method: whole command lines; the daemon is played.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import {
  ContainerService,
  FollowContainerResponse,
  GetContainerResponse,
  type RunContainerRequest,
} from '#gen/swarm/v1/containers.ts';
import { TaskView } from '#gen/swarm/v1/control.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { LogMessage, LogStream } from '#gen/swarm/v1/logs.ts';
import { ContainerStatus, OneOff, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { MountType, NetworkAttachmentSpec, PortProtocol, PublishMode } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { type CliOptions, type CliResult, controlClient, runCli, scriptedClient } from './support/run-cli.ts';

type Client = SwarmApi['containers'];
type Event = Partial<FollowContainerResponse>;

const text = (data: string, stream: LogStream = LogStream.STDOUT): Event => ({
  messages: [LogMessage.create({ stream, data: new TextEncoder().encode(data) })],
});

const status = (state: TaskState, fields: Partial<TaskStatus> = {}): Event => ({
  status: TaskStatus.create({ state, ...fields }),
});

const exited = (exitCode: number, oomKilled = false): Event =>
  status(exitCode === 0 ? TaskState.COMPLETE : TaskState.FAILED, {
    container: ContainerStatus.create({ exitCode, oomKilled }),
  });

const notFound = new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'container x not found' });

/** A daemon that has the image, and a container with these events. */
class Daemon {
  readonly asked: Partial<RunContainerRequest>[] = [];
  readonly removed: string[] = [];
  readonly stopped: string[] = [];
  events: (signal: AbortSignal | undefined) => AsyncIterable<Event> = async function* () {
    yield status(TaskState.RUNNING);
    yield exited(0);
  };
  run: () => Promise<void> = async () => {};
  get: Client['getContainer'] = async () => GetContainerResponse.create();
  stop: () => Promise<void> = async () => {};

  async *#follow(signal: AbortSignal | undefined): AsyncGenerator<FollowContainerResponse> {
    for await (const event of this.events(signal)) yield FollowContainerResponse.create(event);
  }

  api(): Partial<SwarmApi> {
    return {
      containers: scriptedClient(ContainerService, {
        runContainer: async (request) => {
          this.asked.push(request);
          await this.run();
          return { container: undefined };
        },
        getContainer: (request, options) => this.get(request, options),
        stopContainer: async ({ reference = '' }) => {
          this.stopped.push(reference);
          await this.stop();
          return { id: reference };
        },
        removeContainer: async ({ reference = '' }) => {
          this.removed.push(reference);
          return { id: reference };
        },
        followContainer: (_request, options) => this.#follow(options?.signal),
      }),
      images: scriptedClient(ImageService, { inspectImage: async () => ({ image: undefined }) }),
    };
  }

  cli(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return runCli(['run', ...words], { ...options, api: this.api() });
  }

  get spec() {
    const { spec } = this.asked.at(-1) ?? {};
    assert.ok(spec?.task?.container);
    return { ...spec, task: spec.task, container: spec.task.container };
  }
}

describe('cli: run', () => {
  it('shows output where it belongs, ends with the container’s code, and removes it with --rm only', async () => {
    for (const [flags, removals] of [
      [[], 0],
      [['--rm'], 1],
    ] as const) {
      const daemon = new Daemon();
      daemon.events = async function* () {
        yield status(TaskState.PREPARING);
        yield text('hello');
        yield text('oh', LogStream.STDERR);
        yield exited(7);
      };
      const result = await daemon.cli([...flags, 'busybox', 'sh', '-c', 'exit 7']);
      assert.deepEqual(result, { stdout: 'hello\n', stderr: 'oh\n', exitCode: 7 });
      assert.equal(daemon.removed.length, removals);
      assert.equal(daemon.asked[0]?.autoRemove, removals === 1);
    }
  });

  it('sends what docker run would', async () => {
    const daemon = new Daemon();
    const flags =
      '-d --name relay -e A=1 -e A=2 -w /srv -u 5:6 --entrypoint /bin/x --network name=crew,alias=one --network-alias two --ip 10.1.0.9 -h box --dns 9.9.9.9 --dns-search lan --add-host a:10.0.0.1 -l k=v -p 8080:80/udp --read-only -m 64m --cpus 0.5 --pids-limit 9 --init --cap-add net_admin --cap-drop all --stop-signal INT --stop-timeout 3 -v /srv/data:/data:ro -v cache:/cache --tmpfs /tmp:size=1m --security-opt no-new-privileges --restart no';
    const { exitCode, stdout, stderr } = await daemon.cli([...flags.split(' '), 'app:1', '-x', '--y']);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout.trim(), daemon.asked[0]?.id);
    assert.match(stdout, /^[0-9a-z]{25}\n$/);
    const { spec } = daemon;
    const { container, task } = spec;
    assert.equal(spec.name, 'relay');
    assert.deepEqual([container.command, container.args], [['/bin/x'], ['-x', '--y']]);
    assert.deepEqual(
      [container.env, container.dir, container.user, container.hostname],
      [['A=2'], '/srv', '5:6', 'box'],
    );
    assert.deepEqual(task.networks, [
      NetworkAttachmentSpec.create({ network: 'crew', aliases: ['one', 'two'], addresses: ['10.1.0.9'] }),
    ]);
    assert.deepEqual(
      [container.dns?.nameservers, container.dns?.search, container.hosts],
      [['9.9.9.9'], ['lan'], ['10.0.0.1 a']],
    );
    assert.deepEqual(container.labels, { k: 'v' });
    const [port] = spec.endpoint?.ports ?? [];
    assert.deepEqual(
      [port?.publishedPort, port?.targetPort, port?.protocol, port?.publishMode],
      [8080, 80, PortProtocol.UDP, PublishMode.HOST],
    );
    assert.deepEqual(task.resources?.limits, { cpuNanos: 500_000_000, memoryBytes: 64 << 20, pids: 9, generic: [] });
    assert.deepEqual([container.readOnly, container.init, container.noNewPrivileges], [true, true, true]);
    assert.deepEqual([container.capabilityAdd, container.capabilityDrop], [['CAP_NET_ADMIN'], ['ALL']]);
    assert.deepEqual([container.stopSignal, container.stopGracePeriodMs], ['INT', 3000]);
    assert.deepEqual(
      container.mounts.map(({ type, source, target, readOnly }) => [type, source, target, readOnly]),
      [
        [MountType.BIND, '/srv/data', '/data', true],
        [MountType.VOLUME, 'cache', '/cache', false],
        [MountType.TMPFS, '', '/tmp', false],
      ],
    );
    assert.equal(container.mounts[2]?.tmpfs?.sizeBytes, 1 << 20);
  });

  it('takes the whole command where the entrypoint is emptied', async () => {
    const daemon = new Daemon();
    await daemon.cli(['--entrypoint', '', 'app', 'ls', '/']);
    assert.deepEqual([daemon.spec.container.command, daemon.spec.container.args], [['ls', '/'], []]);
    assert.match(daemon.spec.name, /^[a-z]+_[a-z]+$/, 'a name was drawn');
  });

  it('refuses with 125 and a way out what one container cannot have', async () => {
    for (const words of [
      ['-i', 'x'],
      ['-it', 'x'],
      ['--gpus', 'all', 'x'],
      ['--device', 'sda', 'x'],
      ['--pid', 'container:y', 'x'],
      ['--device-read-bps', '/dev/sda', 'x'],
      ['--restart', 'always', 'x'],
      ['-p', 'mode=ingress,target=80', 'x'],
      ['--network-alias', 'a', 'x'],
      ['--network', 'a', '--network', 'b', '--ip', '10.0.0.1', 'x'],
      ['-v', 'a:b', 'x'],
      ['-v', '/a:/b:sometimes', 'x'],
      ['--tmpfs', '/a:what', 'x'],
      ['--security-opt', 'seccomp=/no/such/file', 'x'],
      ['--security-opt', 'sandbox=none', 'x'],
      ['--pull', 'perhaps', 'x'],
      ['-P', 'x'],
    ]) {
      const daemon = new Daemon();
      const { exitCode, stderr } = await daemon.cli(words);
      assert.equal(exitCode, 125, words.join(' '));
      assert.match(stderr, /^Hint: .+/m, `${words.join(' ')}: ${stderr}`);
      assert.deepEqual(daemon.asked, []);
    }
  });

  it('ends with 125, 126 or 127 where the container did not start, and 125 where the daemon refuses', async () => {
    for (const [error, code] of [
      ['the image has no program "nope"', 127],
      ['"/etc/passwd" may not be executed', 126],
      ['no space left on the disk of the node', 125],
    ] as const)
      for (const flags of [[], ['-d']]) {
        const daemon = new Daemon();
        daemon.events = async function* () {
          yield status(TaskState.REJECTED, { error });
        };
        const result = await daemon.cli([...flags, '--name', 'a', 'x']);
        assert.deepEqual([result.stdout, result.exitCode], ['', code]);
        assert.match(result.stderr, new RegExp(`container a did not start: .*${error.slice(-8)}`));
      }
    const refusing = new Daemon();
    refusing.run = () =>
      Promise.reject(new SwarmError({ code: 'denied', reason: 'not-supported', message: 'no', hint: 'yes' }));
    assert.deepEqual(await refusing.cli(['--name', 'a', 'x']), {
      stdout: '',
      stderr: 'Error response from daemon: no\nHint: yes\n',
      exitCode: 125,
    });
  });

  it('says that a container was killed for want of memory', async () => {
    const daemon = new Daemon();
    daemon.events = async function* () {
      yield exited(137, true);
    };
    const { stderr, exitCode } = await daemon.cli(['--name', 'a', 'x']);
    assert.deepEqual([exitCode, stderr], [137, 'container a had too little memory and was killed\n']);
  });

  it('makes a call again that was not answered, with the same id', async () => {
    const daemon = new Daemon();
    const clock = new ManualClock(0);
    daemon.run = async () => {
      if (daemon.asked.length > 2) return;
      setImmediate(() => clock.advance(1000));
      throw new SwarmError({ code: 'unavailable', reason: 'leadership-lost', message: 'nobody knows' });
    };
    assert.equal((await daemon.cli(['--name', 'a', 'x'], { clock })).exitCode, 0);
    assert.equal(daemon.asked.length, 3);
    assert.equal(new Set(daemon.asked.map(({ id }) => id)).size, 1);
  });

  it('says what a container waits for, and that it was given up', async () => {
    const daemon = new Daemon();
    const clock = new ManualClock(0);
    const tick = (): void => void setImmediate(() => clock.advance(1000));
    let looks = 0;
    daemon.get = async () => {
      tick();
      if (++looks > 2) throw notFound;
      const task = Task.create({ status: TaskStatus.create({ error: 'no address left' }) });
      return { container: TaskView.create({ task }) };
    };
    daemon.events = async function* (signal) {
      tick();
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
      yield* [];
      throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'cancelled' });
    };
    const { exitCode, stderr } = await daemon.cli(['--name', 'a', 'x'], { clock });
    assert.equal(exitCode, 125);
    assert.equal(stderr.split('\n')[0], 'waiting: no address left');
    assert.match(stderr, /container a found no place: no address left\nHint: /);
    assert.equal(stderr.match(/waiting/g)?.length, 1, 'once is enough');
  });

  it('stops the container with Ctrl-C and goes on to its end; the second one leaves it', async () => {
    const daemon = new Daemon();
    let interrupt = (): void => {};
    const onInterrupt = (callback: () => void): (() => void) => {
      interrupt = callback;
      return () => {};
    };
    const stopping = Promise.withResolvers<void>();
    daemon.stop = async () => stopping.resolve();
    daemon.events = async function* () {
      yield status(TaskState.RUNNING);
      interrupt();
      await stopping.promise;
      yield text('bye');
      yield exited(143);
    };
    const result = await daemon.cli(['--name', 'a', 'x'], { onInterrupt });
    assert.deepEqual(result, { stdout: 'bye\n', stderr: '', exitCode: 143 });
    assert.deepEqual(daemon.stopped, [daemon.asked[0]?.id]);
    daemon.stop = () =>
      Promise.reject(new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no leader' }));
    daemon.events = async function* (signal) {
      yield status(TaskState.RUNNING);
      const aborted = new Promise((resolve) => signal?.addEventListener('abort', resolve));
      interrupt();
      interrupt();
      await aborted;
      throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'cancelled' });
    };
    const left = await daemon.cli(['--name', 'a', 'x'], { onInterrupt });
    assert.equal(left.exitCode, 130);
    assert.match(left.stderr, /container a cannot be stopped: no leader; Ctrl-C again leaves it to itself/);
  });

  it('says that the container goes on where the daemon is lost', async () => {
    const daemon = new Daemon();
    daemon.events = async function* () {
      yield status(TaskState.RUNNING);
      throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'the connection broke' });
    };
    const { exitCode, stderr } = await daemon.cli(['--rm', '--name', 'a', 'x']);
    assert.equal(exitCode, 125);
    assert.deepEqual(daemon.removed, [], 'it is removed when it ends');
    assert.match(stderr, /the connection broke; container a goes on\nHint: .*swarm task logs a.*swarm task stop a/);
  });

  it('does not pull with --pull=never, and says so', async () => {
    const daemon = new Daemon();
    const images = scriptedClient(ImageService, { inspectImage: () => Promise.reject(notFound) });
    const { exitCode, stderr } = await runCli(['run', '--pull', 'never', 'x'], { api: { ...daemon.api(), images } });
    assert.equal(exitCode, 125);
    assert.match(stderr, /Unable to find image 'x:latest' locally\nHint: /);
  });
});

describe('cli: containers among tasks', () => {
  const view = TaskView.create({
    image: 'busybox:1',
    nodeHostname: 'w1',
    task: Task.create({
      id: 'abc',
      nodeId: 'n1',
      oneOff: OneOff.create({ name: 'relay' }),
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create({ state: TaskState.RUNNING, timestampMs: 1 }),
    }),
  });

  /** A worker's daemon, which has this container. */
  function onWorker(): Partial<SwarmApi> {
    const refusal = new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'This is no manager' });
    const refuses = {
      get: () => () => {
        throw refusal;
      },
    };
    return {
      // No method of it answers.
      control: new Proxy({}, refuses) as ReturnType<typeof controlClient>,
      containers: scriptedClient(ContainerService, {
        listContainers: async function* () {
          yield { containers: [view] };
        },
        getContainer: async () => ({ container: view }),
        followContainer: async function* () {
          yield FollowContainerResponse.create(text('out'));
        },
      }),
    };
  }

  it('are what a worker shows of its own', async () => {
    const run = (...words: readonly string[]) => runCli(['task', ...words], { api: onWorker() });
    assert.match((await run('ls')).stdout, /^ID .*\nabc +relay +busybox:1 +w1 +Running/);
    assert.match((await run('inspect', '--format', '{{.Name}} {{.NodeID}}', 'relay')).stdout, /^relay n1\n$/);
    assert.equal((await run('logs', 'relay')).stdout, 'out\n');
    const filtered = await run('ls', '--filter', 'name=x');
    assert.match(filtered.stderr, /This is no manager/);
  });

  it('are stopped and removed by name; what is refused is said for each', async () => {
    const ended = {
      ...view,
      task: Task.create({ ...view.task, status: TaskStatus.create({ state: TaskState.SHUTDOWN }) }),
    };
    const calls: string[] = [];
    const containers = scriptedClient(ContainerService, {
      stopContainer: async ({ reference = '' }) => {
        calls.push(`stop ${reference}`);
        return { id: reference };
      },
      removeContainer: async ({ reference = '', force }) => {
        calls.push(`rm ${reference} ${force}`);
        if (reference === 'gone') throw notFound;
        return { id: reference };
      },
      getContainer: async () => {
        if (calls.at(-1)?.startsWith('rm')) throw notFound;
        return { container: ended };
      },
    });
    assert.equal((await runCli(['task', 'stop', 'a', 'b'], { api: { containers } })).stdout, 'a\nb\n');
    const removed = await runCli(['task', 'rm', '-f', 'gone', 'a'], { api: { containers } });
    assert.deepEqual([removed.stdout, removed.exitCode], ['a\n', 1]);
    assert.match(removed.stderr, /container x not found/);
    assert.deepEqual(calls, ['stop a', 'stop b', 'rm gone true', 'rm a true']);
  });
});
