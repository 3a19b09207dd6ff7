/**
 * Goal: volumes are made, filled, shared and removed as Docker's are, and no link leads a copy astray. Method: real
 * directories; an image's root is a directory full of traps.
 */
import assert from 'node:assert/strict';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { namedVolumes, type TaskMount, type TaskVolumes, withImageVolumes } from '#agent/volumes/index.ts';
import { SwarmError } from '#common/errors.ts';
import { openTestVolumes } from './open-test-volumes.ts';

function volume(
  name: string,
  target = '/data',
  changes: Partial<Extract<TaskMount, { kind: 'volume' }>> = {},
): TaskMount {
  return {
    kind: 'volume',
    name,
    target,
    readOnly: false,
    noCopy: false,
    labels: {},
    driver: '',
    driverOptions: {},
    subpath: '',
    ...changes,
  };
}

function bind(source: string, createSource = false): TaskMount {
  return { kind: 'bind', source, target: '/b', readOnly: true, propagation: 'rslave', recursive: true, createSource };
}

describe('volumes', () => {
  let directory: string;
  let root: string;
  let volumes: TaskVolumes;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-vol-'));
    root = join(directory, 'root');
    await mkdir(join(root, 'data/inner'), { recursive: true });
    await writeFile(join(root, 'data/file'), 'of the image');
    ({ volumes } = openTestVolumes(directory));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function refused(work: Promise<unknown>): Promise<SwarmError> {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }

  async function sourceOf(taskId: string, mount: TaskMount): Promise<string> {
    const [spec] = await volumes.prepare(taskId, [mount], root);
    assert.ok(spec?.kind === 'bind');
    return spec.source;
  }

  it('makes a volume when it is first used, and keeps it', async () => {
    const source = await sourceOf('t1', volume('db', '/data', { labels: { a: 'b' } }));
    await writeFile(join(source, 'mine'), 'x');
    await volumes.release('t1');
    assert.equal(await sourceOf('t2', volume('db')), source);
    assert.equal(await readFile(join(source, 'mine'), 'utf8'), 'x');
    const [record] = await volumes.list();
    assert.deepEqual([record?.name, record?.labels, record?.owner], ['db', { a: 'b' }, undefined]);
    assert.equal((await stat(join(directory, 'volumes'))).mode & 0o777, 0o700);
  });

  it('fills an empty one from the image: owners, modes, times, links as links', async () => {
    await chmod(join(root, 'data'), 0o1770);
    await chown(join(root, 'data/file'), 33, 34);
    await symlink('/etc/shadow', join(root, 'data/absolute'));
    await symlink('../../../../outside', join(root, 'data/upwards'));
    await writeFile(join(root, 'data/-rf'), '');
    const source = await sourceOf('t1', volume('db'));
    assert.deepEqual((await readdir(source)).toSorted(), ['-rf', 'absolute', 'file', 'inner', 'upwards']);
    const file = await stat(join(source, 'file'));
    assert.deepEqual([file.uid, file.gid], [33, 34]);
    assert.equal((await stat(source)).mode & 0o7777, 0o1770);
    assert.equal(await readlink(join(source, 'absolute')), '/etc/shadow');
    assert.ok((await lstat(join(source, 'upwards'))).isSymbolicLink());
  });

  it('fills it once, and not when asked not to', async () => {
    const source = await sourceOf('t1', volume('db'));
    await rm(join(source, 'file'));
    await volumes.release('t1');
    await sourceOf('t2', volume('db'));
    assert.deepEqual(await readdir(source), ['inner']);
    assert.deepEqual(await readdir(await sourceOf('t3', volume('bare', '/data', { noCopy: true }))), []);
    assert.deepEqual(await readdir(await sourceOf('t4', volume('none', '/not/in/the/image'))), []);
  });

  it('does not fill one that another container has', async () => {
    const source = await sourceOf('t1', volume('db', '/nothing'));
    await sourceOf('t2', volume('db', '/data'));
    assert.deepEqual(await readdir(source), []);
  });

  it('reads what to fill it with inside the image only', async () => {
    const secret = join(directory, 'secret');
    await mkdir(secret);
    await writeFile(join(secret, 'key'), 'of the host');
    await symlink(secret, join(root, 'trap'));
    await symlink(`../../../../../../../..${secret}`, join(root, 'deeper'));
    for (const [index, target] of ['/trap', '/deeper', '/trap/.', `/data/../../../..${secret}`].entries())
      assert.deepEqual(await readdir(await sourceOf('t1', volume(`v${index}`, target))), [], target);
    // A link that stays inside is followed, as the container would.
    await symlink('/data', join(root, 'inside'));
    assert.ok((await readdir(await sourceOf('t1', volume('inside', '/inside')))).includes('file'));
  });

  it('gives what has no name to one task, and takes it away with it', async () => {
    const mounts = withImageVolumes([volume('', '/a'), volume('named', '/b/')], ['/b', '/c', '/a/']);
    assert.deepEqual(
      mounts.map(({ target }) => target),
      ['/a', '/b/', '/c'],
    );
    assert.deepEqual(namedVolumes(mounts), ['named']);
    await volumes.prepare('t1', mounts, root);
    assert.equal((await volumes.list()).length, 3);
    await volumes.release('t1');
    await volumes.release('t1');
    assert.deepEqual(
      (await volumes.list()).map(({ name }) => name),
      ['named'],
    );
  });

  it('removes what nobody uses, and nothing else', async () => {
    await sourceOf('t1', volume('used'));
    await sourceOf('t2', volume('free'));
    await volumes.release('t2');
    assert.equal((await refused(volumes.remove('used'))).reason, 'in-use');
    assert.equal((await refused(volumes.remove('unknown'))).reason, 'unknown-object');
    await volumes.remove('free');
    assert.deepEqual(await readdir(join(directory, 'volumes')), ['used']);
  });

  it('knows its users again after a restart, and removes what belongs to nobody', async () => {
    await volumes.prepare('t1', [volume('db'), volume('', '/x')], root);
    await volumes.prepare('t2', [volume('', '/x')], root);
    const { volumes: again } = openTestVolumes(directory);
    await again.restore({ living: new Map([['t1', ['db']]]), all: new Set(['t1']) });
    assert.equal((await again.list()).length, 2);
    assert.equal((await refused(again.remove('db'))).reason, 'in-use');
    await again.release('t1');
    assert.deepEqual(
      (await again.list()).map(({ name }) => name),
      ['db'],
    );
    await again.remove('db');
  });

  it('takes over what a crash left of a volume', async () => {
    await mkdir(join(directory, 'volumes/torn/_data'), { recursive: true });
    await mkdir(join(directory, 'volumes/junk'), { recursive: true });
    await writeFile(join(directory, 'volumes/junk/volume.json'), '{"version":1,"na');
    assert.deepEqual(await volumes.list(), []);
    await sourceOf('t1', volume('torn'));
    await sourceOf('t1', volume('junk'));
    assert.deepEqual(
      (await volumes.list()).map(({ name }) => name),
      ['junk', 'torn'],
    );
  });

  it('refuses names and drivers that are none', async () => {
    for (const name of ['../x', 'a/b', '/etc', '.', '..', '-x', 'a b', 'x'.repeat(129), 'a\0'])
      assert.equal((await refused(volumes.prepare('t1', [volume(name)], root))).reason, 'bad-name', name);
    for (const driver of ['../x', 'a//b', '-x', 'a b'])
      assert.equal((await refused(volumes.prepare('t1', [volume('x', '/d', { driver })], root))).reason, 'bad-name');
    const options = { driverOptions: { type: 'nfs' } };
    assert.match(
      (await refused(volumes.prepare('t1', [volume('x', '/d', options)], root))).message,
      /device is missing/,
    );
    const unknown = { driverOptions: { colour: 'red' } };
    assert.match((await refused(volumes.prepare('t1', [volume('x', '/d', unknown)], root))).message, /"colour"/);
    assert.deepEqual(await volumes.list(), []);
  });

  it('checks that the source of a bind exists, and makes it when asked', async () => {
    const missing = join(directory, 'missing/deeper');
    const error = await refused(volumes.prepare('t1', [bind(missing)], root));
    assert.match(error.message, /bind source path does not exist: \/.*missing\/deeper/);
    assert.ok(error.hint !== undefined);
    assert.equal(await sourceOf('t1', bind(missing, true)), missing);
    assert.ok((await stat(missing)).isDirectory());
    assert.equal(await sourceOf('t1', bind(`${root}/data/../data/file`)), join(root, 'data/file'));
    assert.equal((await refused(volumes.prepare('t1', [bind('relative')], root))).field, 'mounts.source');
    assert.equal(
      (await refused(volumes.prepare('t1', [bind(join(root, 'data/file/x'), true)], root))).code,
      'precondition',
    );
  });
});
