/**
 * Goal: whatever keeps a task from running is said in words, in `service ps` and by the command that asked for it.
 * Method: services that cannot run, each for one reason, on real daemons.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, SLEEP, useCluster } from './support/cluster.ts';

describe('e2e: reasons', function () {
  const cluster = useCluster(this);

  /** Creates the service, attached and interrupted once the reason shows; gives back what both commands said. */
  async function reasonOf(name: string, args: readonly string[], found: (task: Task) => boolean): Promise<string> {
    await cluster().must(['service', 'create', '-d', '--no-resolve-image', '--name', name, ...args]);
    await cluster().until(
      () => cluster().tasks(name),
      (tasks) => tasks.some(found),
      `${name} to say why`,
    );
    const listed = await cluster().must([
      'service',
      'ps',
      '--no-trunc',
      '--format',
      '{{.CurrentState}} | {{.Error}}',
      name,
    ]);
    return listed;
  }

  /** Runs a program of Node.js on the host, which says so when it listens. */
  async function listening(host: string, program: string): Promise<ChildProcess> {
    const child = await cluster().lab.spawn(host, [process.execPath, '-e', program], { stdio: 'pipe' });
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    return child;
  }

  const failed = (task: Task): boolean =>
    task.status?.state === TaskState.REJECTED || task.status?.state === TaskState.FAILED;

  afterEach(async () => {
    await cluster().removeAll();
  });

  it('memory over the limit: OOM with the exit code', async () => {
    const eat = ['sh', '-c', 'x=a; while :; do x=$x$x; done'];
    const text = await reasonOf(
      'eater',
      ['--limit-memory', '16m', '--restart-condition', 'none', IMAGE, ...eat],
      failed,
    );
    assert.match(text, /Failed .*\| .*(137).*(memory|OOM)|Failed .*\| .*(memory|OOM).*(137)/i);
    const [task] = await cluster().tasks('eater');
    assert.equal(task?.status?.container?.exitCode, 137);
    assert.equal(task?.status?.container?.oomKilled, true);
  });

  it('an exit code that is not zero', async () => {
    const text = await reasonOf('bad', ['--restart-condition', 'none', IMAGE, 'sh', '-c', 'exit 7'], failed);
    assert.match(text, /Failed .*\| .*non-zero exit \(7\)/);
  });

  it('an image that does not exist', async () => {
    const answer = JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] });
    const registry = `require('http').createServer((_, response) => response.writeHead(404).end('${answer}'))`;
    const holder = await listening('w1', `${registry}.listen(18083, '127.0.0.1', () => console.log('listening'))`);
    try {
      const only = ['--constraint', 'node.hostname==w1', '--restart-condition', 'none'];
      const text = await reasonOf('noimage', [...only, 'localhost:18083/nothing:here'], failed);
      assert.match(text, /Rejected .*\| .*localhost:18083/);
    } finally {
      holder.kill('SIGKILL');
    }
  });

  it('a binary that does not exist', async () => {
    const text = await reasonOf('nobinary', ['--restart-condition', 'none', IMAGE, '/bin/nothing-here'], failed);
    assert.match(text, /(Rejected|Failed) .*\| .*\/bin\/nothing-here/);
  });

  it('a bind mount whose source does not exist', async () => {
    const mount = ['--mount', 'type=bind,source=/nothing/here,target=/x'];
    const text = await reasonOf('nosource', [...mount, '--restart-condition', 'none', IMAGE, ...SLEEP], failed);
    assert.match(text, /Rejected .*\| .*\/nothing\/here/);
  });

  it('a port in use: by another service for the scheduler, by a process of the host for the node', async () => {
    const publish = (port: number): string[] => ['--publish', `mode=host,published=${port},target=80`];
    await cluster().createService('first', 4, publish(18_081));
    await cluster().until(
      () => cluster().tasks('first'),
      (tasks) => tasks.filter(({ nodeId }) => nodeId !== '').length === 4,
      'a task on every node, which has the port from then on',
    );
    const waits = (task: Task): boolean => task.status?.state === TaskState.PENDING && task.status.error !== '';
    const text = await reasonOf('second', [...publish(18_081), IMAGE, ...SLEEP], waits);
    assert.match(text, /Pending .*\| .*no suitable node \(host-mode port already in use on 4 nodes\)/);
    const program = "require('net').createServer().listen(18082, '0.0.0.0', () => console.log('listening'))";
    const holder = await listening('w1', program);
    try {
      const only = ['--constraint', 'node.hostname==w1', '--restart-condition', 'none'];
      const taken = await reasonOf('third', [...publish(18_082), ...only, IMAGE, ...SLEEP], failed);
      assert.match(taken, /Rejected .*\| .*18082/);
    } finally {
      holder.kill('SIGKILL');
    }
  });

  it('a constraint that no node meets, and the attached command says so too', async () => {
    const waits = (task: Task): boolean => task.status?.state === TaskState.PENDING && task.status.error !== '';
    const text = await reasonOf('picky', ['--constraint', 'node.labels.moon==full', IMAGE, ...SLEEP], waits);
    assert.match(text, /Pending .*\| .*no suitable node \(scheduling constraints not satisfied on 4 nodes\)/);
    const child = await cluster().spawn('m1', ['service', 'update', '--force', 'picky']);
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await cluster().until(
      async () => output,
      (text_) => /no suitable node/.test(text_),
      'the attached command to say why',
    );
    child.kill('SIGKILL');
  });

  it('memory that no node has', async () => {
    const waits = (task: Task): boolean => task.status?.state === TaskState.PENDING && task.status.error !== '';
    const text = await reasonOf('huge', ['--reserve-memory', '900g', IMAGE, ...SLEEP], waits);
    assert.match(text, /Pending .*\| .*no suitable node \(insufficient resources on 4 nodes\)/);
  });
});
