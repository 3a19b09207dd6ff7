/**
 * Goal: agent.db keeps what it acknowledged across the death of the process. Method: real files; a child process that
 * writes, says so and is killed with SIGKILL; damaged files.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SqliteDatabase } from '#agent/database/index.ts';
import { NetworkChange, NetworkEndpoint } from '#gen/swarm/v1/networks.ts';
import { Revision, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';

describe('agent.db', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-db-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const task = Task.create({ id: 't', serviceId: 's', revision: 2, desiredState: TaskState.RUNNING });
  const stopping = { ...task, desiredState: TaskState.SHUTDOWN };
  const status = TaskStatus.create({ state: TaskState.RUNNING, message: 'started' });
  const revision = Revision.create({ id: 'r', serviceId: 's', number: 2, spec: ServiceSpec.create({ name: 'web' }) });

  it('gives back what was written, in the order of the writes', async () => {
    const database = new SqliteDatabase(join(folder, 'agent.db'));
    assert.deepEqual((await database.load()).tasks, []);
    await database.write([
      { kind: 'put-task', task, wanted: true, stopReason: undefined },
      { kind: 'put-status', taskId: 't', status },
      { kind: 'put-task', task: stopping, wanted: false, stopReason: 'no manager' },
      { kind: 'put-revision', revision },
      { kind: 'put-setting', key: 'a', value: '1' },
      { kind: 'put-task', task: { ...task, id: 'gone' }, wanted: true, stopReason: undefined },
      { kind: 'delete-task', taskId: 'gone' },
    ]);
    await database.close();
    const again = new SqliteDatabase(join(folder, 'agent.db'));
    const stored = await again.load();
    assert.deepEqual(stored.tasks, [{ task: stopping, status, wanted: false, stopReason: 'no manager' }]);
    assert.deepEqual(stored.revisions, [revision]);
    assert.equal(stored.settings.get('a'), '1');
    await again.close();
  });

  it('reads the tasks of a release that did not keep why one is stopped, which in turn reads its own', async () => {
    const path = join(folder, 'agent.db');
    const earlier = new DatabaseSync(path);
    const insert = 'INSERT INTO tasks (id, task, wanted) VALUES (?, ?, ?)';
    earlier.exec('CREATE TABLE tasks (id TEXT PRIMARY KEY, task BLOB NOT NULL, status BLOB, wanted INTEGER NOT NULL)');
    earlier.exec('PRAGMA user_version = 1');
    earlier.prepare(insert).run('t', Task.encode(task), 1);
    earlier.close();
    const database = new SqliteDatabase(path);
    assert.deepEqual((await database.load()).tasks, [{ task, status: undefined, wanted: true, stopReason: undefined }]);
    await database.write([{ kind: 'put-task', task: stopping, wanted: true, stopReason: 'no manager' }]);
    await database.close();
    const again = new DatabaseSync(path);
    again.prepare(insert).run('u', Task.encode({ ...task, id: 'u' }), 1);
    assert.deepEqual(
      again.prepare('PRAGMA user_version').get(),
      Object.assign(Object.create(null), { user_version: 1 }),
    );
    again.close();
  });

  it('keeps the entries of networks one by one, and drops them with their network', async () => {
    const database = new SqliteDatabase(join(folder, 'agent.db'));
    const entry = (networkId: string, taskId: string): NetworkChange =>
      NetworkChange.create({ networkId, item: { kind: 'endpoint', value: NetworkEndpoint.create({ taskId }) } });
    const put = (networkId: string, taskId: string) =>
      ({ kind: 'put-network-entry', networkId, key: `endpoint ${taskId}`, change: entry(networkId, taskId) }) as const;
    await database.write([put('a', 't1'), put('a', 't2'), put('b', 't1'), put('c', 't1')]);
    await database.write([
      { kind: 'delete-network-entry', networkId: 'a', key: 'endpoint t1' },
      { kind: 'delete-network', networkId: 'b' },
    ]);
    const { networks } = await database.load();
    assert.deepEqual(networks, [entry('a', 't2'), entry('c', 't1')]);
    await database.close();
  });

  it('keeps acknowledged writes of a process that was killed', async () => {
    const path = join(folder, 'agent.db');
    const script = join(folder, 'writer.ts');
    const source = new URL('../../../agent/database/index.ts', import.meta.url).pathname;
    await writeFile(
      script,
      `import { SqliteDatabase } from ${JSON.stringify(source)};
       const database = new SqliteDatabase(${JSON.stringify(path)});
       for (let n = 0; ; n++) { await database.write([{ kind: 'put-setting', key: 'n', value: String(n) }]); process.stdout.write(n + '\\n'); }`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.length > 400) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const acknowledged = Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
    const database = new SqliteDatabase(path);
    const stored = await database.load();
    assert.ok(Number(stored.settings.get('n')) >= acknowledged, `${stored.settings.get('n')} < ${acknowledged}`);
    await database.close();
  });

  it('says what to do about a file that is no database', async () => {
    const path = join(folder, 'agent.db');
    await writeFile(path, 'x'.repeat(8192));
    const database = new SqliteDatabase(path);
    await assert.rejects(database.load(), { reason: 'corrupt-state', message: /agent\.db.*not a database/ });
    await database.close();
  });
});
