/**
 * Goal: what the policy of the swarm allows reaches real containers, and what it does not is refused with the way out;
 * what only some nodes can do runs there. Method: real daemons, services and `swarm run`; containers look at themselves.
 */
import assert from 'node:assert/strict';
import { TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, SLEEP, useCluster } from './support/cluster.ts';

const FLAGS = ['privileged', 'devices', 'host-namespaces', 'unconfined'].map((what) => `--allow-${what}`);

describe('e2e: options of containers', function () {
  const cluster = useCluster(this);

  before(() => cluster().must(['update', ...FLAGS.map((flag) => `${flag}=true`)]));
  after(() => cluster().must(['update', ...FLAGS.map((flag) => `${flag}=false`)]));
  afterEach(() => cluster().removeAll());

  /** What a container prints that is run with the flags. */
  const seen = (flags: readonly string[], script: string): Promise<string> =>
    cluster().mustOn('w1', ['run', '--rm', ...flags, IMAGE, 'sh', '-c', script]);

  it('privileged containers, devices, namespaces and names, from a worker', async () => {
    const wide = await seen(['--privileged', '--cgroupns', 'host'], 'grep Seccomp: /proc/self/status; ls -d /dev/fuse');
    assert.equal(wide, 'Seccomp:\t0\n/dev/fuse\n');
    const narrow = ['--device', '/dev/fuse:/dev/mine:r', '--hostname', 'web', '--domainname', 'example.org'];
    const script =
      '(exec 3</dev/mine) && echo opened; hostname; grep -c "web.example.org web" /etc/hosts; ls /dev/fuse';
    assert.equal(await seen(narrow, `${script} 2>/dev/null || true`), 'opened\nweb\n1\n');
    assert.equal(
      await seen(
        ['--pid', 'host', '--shm-size', '8m'],
        'cat /proc/1/comm | wc -l; df -k /dev/shm | tail -1 | grep -o 8192 | head -1',
      ),
      '1\n8192\n',
    );
  });

  it('placeholders of a service, and what its update changes', async () => {
    const flags = ['--env', 'ME={{.Service.Name}}/{{.Task.Slot}}', '--hostname', '{{.Node.Hostname}}-{{.Task.Slot}}'];
    const script = 'echo $ME $(hostname); exec sleep 1000';
    const constraint = ['--constraint', 'node.hostname==w1', '--stop-grace-period', '0s'];
    await cluster().must([
      'service',
      'create',
      '-d',
      '--name',
      'says',
      ...flags,
      ...constraint,
      IMAGE,
      'sh',
      '-c',
      script,
    ]);
    await cluster().until(
      () => cluster().must(['service', 'logs', '--raw', 'says']),
      (text) => text.includes('says/1 w1-1'),
      'the placeholders to be filled in',
    );
    const wrong = ['service', 'update', '--env-add', 'ME={{.Task.Nope}}', 'says'];
    assert.match(await cluster().refused(wrong), /env: template: .*Nope/);
  });

  it('a runtime that no node has keeps a task waiting, with the reason', async () => {
    await cluster().must(['service', 'create', '-d', '--name', 'far', '--runtime', 'kata-runtime', IMAGE, ...SLEEP]);
    const [task] = await cluster().until(
      () => cluster().tasks('far'),
      (tasks) => tasks.some(({ status }) => /no OCI runtime kata-runtime on 4 nodes/.test(status?.error ?? '')),
      'the reason to be on the task',
    );
    assert.equal(task?.status?.state, TaskState.PENDING);
    await cluster().must(['service', 'update', '-d', '--runtime', '', 'far']);
    await cluster().settled('far', 1);
  });

  it('are refused when the policy says so, and what runs already runs on', async () => {
    await cluster().must(['service', 'create', '-d', '--name', 'wide', '--privileged', IMAGE, ...SLEEP]);
    await cluster().settled('wide', 1);
    const { stderr } = await cluster().swarm(['update', '--allow-privileged=false']);
    assert.match(stderr, /run on until they are changed: wide \(privileged\)/);
    const refused = await cluster().refused(['run', '--privileged', IMAGE, 'true'], 125, 'w1');
    assert.match(
      refused,
      /privileged: the policy of this swarm does not allow it\nHint: .*swarm update --allow-privileged=true/,
    );
    await cluster().must(['service', 'scale', '-d', 'wide=2']);
    await cluster().settled('wide', 2);
    await cluster().must(['update', '--allow-privileged=true']);
  });
});
