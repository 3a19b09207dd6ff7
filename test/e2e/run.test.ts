/**
 * Goal: one container of `swarm run`, from any node, on networks of the swarm; its output and exit code come to who ran it,
 * and nothing of it is left. Method: a swarm of four hosts, the real command line.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, MANAGER, SLEEP, SOON_MS, useCluster } from './support/cluster.ts';

const [W1, W2] = ['w1', 'w2'] as const;

describe('e2e: swarm run', function () {
  const cluster = useCluster(this);

  before(async () => {
    await cluster().must(['network', 'create', '--driver', 'overlay', '--attachable', 'crew']);
    await cluster().must(['network', 'create', '--driver', 'overlay', 'closed']);
    const server = ['httpd', '-f', '-p', '80', '-h', '/etc'];
    await cluster().must([
      'service',
      'create',
      '--name',
      'page',
      '--network',
      'crew',
      '--hostname',
      'p1',
      '--stop-grace-period',
      '1s',
      IMAGE,
      ...server,
    ]);
  });

  after(async () => {
    // What a test that failed has left.
    for (const { task } of await containers(MANAGER)) await cluster().on(MANAGER, ['task', 'rm', '-f', task?.id ?? '']);
    await cluster()
      .must(['service', 'rm', 'page'])
      .catch(() => {});
    for (const network of ['crew', 'closed'])
      await cluster()
        .until(
          () => cluster().on(MANAGER, ['network', 'rm', network]),
          ({ exitCode, stderr }) => exitCode === 0 || /not found/.test(stderr),
          'the network to go',
        )
        .catch(() => {});
  });

  async function containers(host: string): Promise<readonly TaskView[]> {
    const all: TaskView[] = [];
    for await (const page of cluster().client(host).containers.listContainers({})) all.push(...page.containers);
    return all;
  }

  async function noneLeft(): Promise<void> {
    await cluster().until(
      () => containers(MANAGER),
      (left) => left.length === 0,
      'the containers to go',
    );
  }

  for (const host of [W1, MANAGER])
    it(`reaches a service by its name, and ends the command with its code, from ${host}`, async () => {
      const script = 'wget -qO- http://page/hostname; echo why >&2; exit 7';
      const result = await cluster().on(host, ['run', '--rm', '--network', 'crew', IMAGE, 'sh', '-c', script]);
      assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['p1\n', 'why\n', 7]);
      await noneLeft();
    });

  it('refuses networks that are not attachable, from a worker too, with the way out', async () => {
    const args = ['run', '--network', 'closed', IMAGE, 'true'];
    const refusal = await cluster().refused(args, 125, W1);
    assert.match(refusal, /network closed is not attachable/);
    assert.match(refusal, /Hint: .*swarm network create --attachable/);
    assert.match(await cluster().refused(['run', '--rm', IMAGE, 'nothing-here'], 127, W1), /has no program/);
    await cluster().until(
      () => containers(MANAGER),
      (left) => left.length === 0,
      'nothing to be left of either',
    );
  });

  it('is found by its names, seen by its node and by managers only, and keeps its network', async () => {
    const flags = ['--name', 'relay', '--network', 'crew', '--network-alias', 'smtp'];
    const id = (await cluster().mustOn(W1, ['run', '-d', ...flags, IMAGE, 'sh', '-c', `echo up; ${SLEEP[2]}`])).trim();
    const script = `for name in relay smtp ${id}; do nslookup $name || exit 1; done`;
    await cluster().mustOn(W2, ['run', '--rm', '--network', 'crew', IMAGE, 'sh', '-c', script]);
    assert.match(await cluster().mustOn(W1, ['task', 'ls']), /relay/);
    assert.doesNotMatch(await cluster().mustOn(W2, ['task', 'ls']), /relay/);
    assert.match(await cluster().refused(['task', 'stop', 'relay'], 1, W2), /container relay not found/);
    assert.equal(await cluster().mustOn(W1, ['task', 'logs', 'relay']), 'up\n');
    assert.equal(await cluster().must(['task', 'logs', 'relay']), 'up\n');
    await cluster().remove('page');
    assert.match(await cluster().refused(['network', 'rm', 'crew']), /in use by container relay/);
    assert.match(await cluster().refused(['task', 'rm', 'relay']), /has not ended/);
    assert.equal(await cluster().must(['task', 'rm', '--force', 'relay']), 'relay\n');
    await cluster().must(['network', 'rm', 'crew']);
    await noneLeft();
  });

  it('is stopped by Ctrl-C, and stays to be looked at', async () => {
    const running = await cluster().spawn(W2, ['run', '--name', 'waiter', IMAGE, 'sh', '-c', `echo up; ${SLEEP[2]}`]);
    const ended = once(running, 'exit');
    assert.ok(running.stdout);
    assert.equal(String((await once(running.stdout, 'data'))[0]), 'up\n');
    running.kill('SIGINT');
    const [code] = await ended;
    assert.equal(code, 0);
    const [view] = await containers(W2);
    assert.deepEqual([view?.task?.oneOff?.name, view?.task?.status?.state], ['waiter', TaskState.SHUTDOWN]);
    await cluster().mustOn(W2, ['task', 'rm', 'waiter']);
    await noneLeft();
  });

  it('goes on while its daemon is killed, and is stopped from elsewhere', async () => {
    await cluster().mustOn(W1, ['run', '-d', '--rm', '--name', 'steady', IMAGE, ...SLEEP]);
    const [before] = await containers(W1);
    await cluster().lab.killDaemon(W1);
    await cluster().lab.start(W1);
    await cluster().until(
      async () => (await containers(MANAGER))[0]?.task?.status,
      (status) => status?.state === TaskState.RUNNING && status.container?.pid === before?.task?.status?.container?.pid,
      'the container to go on',
      SOON_MS,
    );
    await cluster().must(['task', 'stop', 'steady']);
    await cluster().must(['task', 'rm', 'steady']);
    await noneLeft();
  });
});
