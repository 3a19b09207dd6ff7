/**
 * Goal: a task finds its secrets and configs as it was told to, on its own node and nowhere else, and a new version rolls
 * the services that follow. Method: real daemons on four hosts; a task looks at what it has; memory, files and command lines
 * of the others are searched for it, while the task runs, without its agent, and after its end.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Task } from '#gen/swarm/v1/objects.ts';
import { IMAGE, MANAGER, useCluster, WORKERS } from './support/cluster.ts';

const [HOME, OTHER] = WORKERS;
const OLD = 'first-sesame-5d1c9f3a7b';
const NEW = 'second-sesame-88e2b4c6d0';

/** Says what it finds, and waits. The secret itself goes into no log. */
const LOOK = [
  'sh',
  '-c',
  [
    'stat -c "%n %u %g %a" /run/secrets/db /etc/app/app.conf',
    'sha256sum </run/secrets/db',
    'cat /etc/app/app.conf',
    'echo env $(echo -n "$DB" | sha256sum)',
    'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done',
  ].join('; '),
];

const sum = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Whether any writable memory of the process has the text. */
async function hasInMemory(pid: number, text: string): Promise<boolean> {
  const wanted = Buffer.from(text);
  const maps = (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n');
  await using memory = await open(`/proc/${pid}/mem`);
  const chunk = Buffer.alloc(4 * 1024 * 1024);
  for (const line of maps) {
    const [, from = '', to = '', mode = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
    if (!mode.startsWith('rw')) continue;
    const end = BigInt(`0x${to}`);
    for (let at = BigInt(`0x${from}`); at < end; at += BigInt(chunk.length - wanted.length)) {
      const length = end - at < BigInt(chunk.length) ? Number(end - at) : chunk.length;
      const { bytesRead } = await memory.read(chunk, 0, length, at).catch(() => ({ bytesRead: 0 }));
      if (bytesRead === 0) break;
      if (chunk.subarray(0, bytesRead).includes(wanted)) return true;
    }
  }
  return false;
}

async function commandLinesWith(text: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(text)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}

describe('e2e: secrets and configs', function () {
  const cluster = useCluster(this);

  after(async () => {
    for (const kind of ['secret', 'config']) await cluster().must([kind, 'prune', '--force']);
  });

  /** What the newest task of the service has said, once it has said all. */
  async function said(revision: number): Promise<{ readonly task: Task; readonly lines: readonly string[] }> {
    const [task] = await cluster().until(
      async () => (await cluster().running('app')).filter((one) => one.revision === revision),
      (tasks) => tasks.length === 1,
      `a task of revision ${revision}`,
    );
    assert.ok(task !== undefined);
    const { stdout } = await cluster().until(
      () => cluster().swarm(['task', 'logs', task.id]),
      ({ stdout: text }) => /^env /m.test(text),
      'its output',
    );
    return { task, lines: stdout.trimEnd().split('\n') };
  }

  async function daemonPid(host: string): Promise<number> {
    const pid = await cluster().host(host).daemon.pid();
    assert.ok(pid !== undefined, `${host} has a daemon`);
    return pid;
  }

  async function secretMounts(host: string): Promise<number> {
    const mounts = (await readFile(`/proc/${await daemonPid(host)}/mountinfo`, 'utf8')).split('\n');
    return mounts.filter((line) => / \S*\/secrets\/[0-9a-z]{25} /.test(line)).length;
  }

  it('are where the task looks for them, with owner, group and mode, and on no other node', async () => {
    await cluster().must(['secret', 'create', 'db', '-'], { input: OLD });
    const template = '{{.Service.Name}} {{.Task.Slot}} on {{.Node.Hostname}}\n';
    await cluster().must(['config', 'create', '--template-driver', 'golang', 'app', '-'], { input: template });
    const created = await cluster().swarm([
      ...['service', 'create', '-d', '--name', 'app', '--constraint', `node.hostname==${HOME}`],
      ...['--update-monitor', '1ms', '--secret', 'source=db,target=db,uid=1000,gid=29,mode=0400'],
      ...['--secret', 'source=db,env=DB', '--config', 'source=app,target=/etc/app/app.conf,mode=0440'],
      ...[IMAGE, ...LOOK],
    ]);
    assert.equal(created.exitCode, 0, created.stderr);
    assert.match(created.stderr, /secret db is put into the environment variable DB/);
    const { lines } = await said(1);
    assert.deepEqual(lines, [
      '/run/secrets/db 1000 29 400',
      '/etc/app/app.conf 0 0 440',
      `${sum(OLD)}  -`,
      `app 1 on ${HOME}`,
      `env ${sum(OLD)} -`,
    ]);
    assert.equal(await hasInMemory(await daemonPid(HOME), OLD), true, 'the search finds it where it is');
    assert.equal(await hasInMemory(await daemonPid(OTHER), OLD), false);
    assert.match(await cluster().refused(['secret', 'rm', 'db']), /in use by the following service: app/);
  });

  it('are in no file of any daemon and in no command line', async () => {
    const directories = [MANAGER, ...WORKERS].map((host) => cluster().host(host).paths.stateDirectory);
    const logs = [MANAGER, ...WORKERS].map((host) => cluster().host(host).paths.log);
    const search = ['-rlaF', '--exclude-dir=merged', '--exclude-dir=overlay', OLD, ...directories, ...logs];
    const found = await promisify(execFile)('grep', search).catch((error: { readonly stdout: string }) => error);
    assert.equal(found.stdout, '');
    assert.deepEqual(await commandLinesWith(OLD), []);
    const inspected = await cluster().must(['secret', 'inspect', 'db']);
    assert.ok(!inspected.includes(OLD) && !inspected.includes(Buffer.from(OLD).toString('base64')));
  });

  it('a new version rolls the services that follow', async () => {
    const { stderr } = await cluster().swarm(['secret', 'update', 'db', '-'], { input: NEW });
    assert.match(stderr, /version 2 was made; services that follow it are updated: app/);
    const { lines } = await said(2);
    assert.deepEqual(lines.slice(2), [`${sum(NEW)}  -`, `app 1 on ${HOME}`, `env ${sum(NEW)} -`]);
    await cluster().settled('app', 1);
    const versions = await cluster().must(['secret', 'versions', '--format', '{{.Version}} {{.UsedBy}}', 'db']);
    assert.deepEqual(versions.trimEnd().split('\n'), ['2 app', '1']);
  });

  it('stay while the agent is gone, and go with the task', async () => {
    const { task } = await said(2);
    const file = `/proc/${task.status?.container?.pid}/root/run/secrets/db`;
    await cluster().lab.killDaemon(HOME);
    assert.equal(await readFile(file, 'utf8'), NEW);
    await cluster().lab.start(HOME);
    await cluster().settled('app', 1);
    assert.equal((await said(2)).task.id, task.id);
    assert.equal(await readFile(file, 'utf8'), NEW);
    await cluster().until(
      () => secretMounts(HOME),
      (count) => count === 1,
      'one task’s files',
    );
    await cluster().remove('app');
    assert.equal(await secretMounts(HOME), 0);
    await cluster().must(['secret', 'rm', 'db']);
    await cluster().must(['config', 'rm', 'app']);
  });
});
