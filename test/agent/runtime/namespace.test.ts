/**
 * Goal: the agent gets into a mount namespace of its own, the same one after a restart, and it goes without a trace.
 * Method: a small daemon that enters as swarmd does, started again and again.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureMountNamespace, mountNamespaceFile, removeMountNamespace } from '#agent/runtime/index.ts';
import { mountsBelow, parseMountInfo } from '#agent/runtime/mount-info.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const DAEMON = fileURLToPath(new URL('./namespace-daemon.ts', import.meta.url));

interface Answer {
  readonly pid: number;
  readonly namespace: string;
  readonly directory: string;
  readonly arguments: readonly string[];
  readonly input: string;
  readonly unifiedVisible: boolean;
  readonly marked: boolean;
  readonly variables: readonly string[];
}

describe('runtime: the mount namespace of the agent', function () {
  this.timeout(20_000);
  let directory: string;

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'namespaces are made by root');
  });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-enter-'));
  });
  afterEach(async () => {
    await removeMountNamespace(directory);
    await rm(directory, { recursive: true, force: true });
  });

  async function start(mark = ''): Promise<Answer> {
    const child = promisify(execFile)(process.execPath, [DAEMON, directory, mark, 'a b', '--flag'], { cwd: '/usr' });
    child.child.stdin?.end('from the standard input');
    const { stdout } = await child;
    return { ...(JSON.parse(stdout) as Answer), pid: child.child.pid === (JSON.parse(stdout) as Answer).pid ? 1 : 0 };
  }

  async function mounts(): Promise<readonly string[]> {
    return mountsBelow(parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')), directory);
  }

  it('keeps process id, arguments, directory and standard streams', async () => {
    const answer = await start();
    assert.equal(answer.pid, 1, 'the process that was started is the one that answered');
    assert.equal(answer.directory, '/usr');
    assert.deepEqual(answer.arguments, [directory, '', 'a b', '--flag']);
    assert.equal(answer.input, 'from the standard input');
    assert.deepEqual(answer.variables, []);
    assert.notEqual(answer.namespace, (await import('node:fs')).readlinkSync('/proc/self/ns/mnt'));
  });

  it('finds again what an earlier start has mounted, and shows none of it to the host', async () => {
    const mark = join(directory, 'mark');
    const first = await start(mark);
    const second = await start(mark);
    assert.equal(first.namespace, second.namespace);
    assert.deepEqual([first.marked, second.marked], [false, true]);
    assert.ok(!(await mounts()).includes(mark));
  });

  it('hides the v2 hierarchy of a hybrid machine', async () => {
    assert.equal((await start()).unifiedVisible, false);
  });

  it('is made once, and again after it was removed', async () => {
    const file = await ensureMountNamespace(directory);
    const before = (await stat(file)).ino;
    assert.equal(await ensureMountNamespace(directory), file);
    assert.equal((await stat(file)).ino, before);
    assert.equal(mountNamespaceFile(directory), file);
    assert.equal((await mounts()).length, 2, 'the directory and the pin');
    await removeMountNamespace(directory);
    await removeMountNamespace(directory);
    assert.deepEqual(await mounts(), []);
    await assert.rejects(stat(join(directory, 'ns')), { code: 'ENOENT' });
    await ensureMountNamespace(directory);
    assert.equal((await mounts()).length, 2);
  });

  it('is made anew over what a reboot left of it on a disk', async () => {
    const { mkdir, writeFile } = await import('node:fs/promises');
    await mkdir(join(directory, 'ns'));
    await writeFile(join(directory, 'ns/mnt'), '');
    assert.equal((await start()).unifiedVisible, false);
  });
});
