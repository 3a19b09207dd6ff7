/**
 * Goal: volumes with options and volumes of plugins are mounted while tasks have them and not a moment longer, whatever
 * the plugin does and wherever the daemon dies; no subpath leads out of a volume. Method: real mounts, a real plugin on
 * a socket; a daemon that died is one whose objects are dropped and made anew.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TaskMount, TaskVolumes } from '#agent/volumes/index.ts';
import { mountArguments, mountTable } from '#agent/volumes/mounts.ts';
import { SwarmError } from '#common/errors.ts';
import { eventually } from '#test/support/eventually.ts';
import { openTestVolumes } from './open-test-volumes.ts';
import { VolumePlugin } from './volume-plugin.ts';

type VolumeMount = Extract<TaskMount, { kind: 'volume' }>;

function volume(name: string, changes: Partial<VolumeMount> = {}): TaskMount {
  const fields = { readOnly: false, noCopy: false, labels: {}, driver: '', driverOptions: {}, subpath: '' };
  return { kind: 'volume', name, target: '/data', ...fields, ...changes };
}

describe('volume drivers', function () {
  this.timeout(30_000);
  let directory: string;
  let root: string;
  let plugin: VolumePlugin;
  let volumes: TaskVolumes;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-drv-'));
    root = join(directory, 'root');
    await mkdir(root);
    plugin = new VolumePlugin(join(directory, 'plugin'), join(directory, 'plugins/keeper.sock'));
    volumes = open();
  });

  afterEach(async () => {
    await plugin.destroy();
    await open().restore(NONE);
    assert.deepEqual(await mounted(), []);
    await rm(directory, { recursive: true });
  });

  const NONE = { living: new Map<string, readonly string[]>(), all: new Set<string>() };

  /** A daemon that has just started. */
  function open(): TaskVolumes {
    return openTestVolumes(directory, { pluginCallTimeoutMs: 500, pluginMountTimeoutMs: 500 }).volumes;
  }

  async function mounted(): Promise<readonly string[]> {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    return lines.map((line) => line.split(' ')[4] ?? '').filter((target) => target.startsWith(`${directory}/`));
  }

  async function sourceOf(taskId: string, mount: TaskMount): Promise<string> {
    const [spec] = await volumes.prepare(taskId, [mount], root);
    assert.ok(spec?.kind === 'bind');
    return spec.source;
  }

  async function refused(work: Promise<unknown>): Promise<SwarmError> {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }

  describe('local, with options', () => {
    it('mounts a tmpfs of that size for as long as a task has it', async () => {
      const mount = volume('scratch', {
        driverOptions: { type: 'tmpfs', device: 'tmpfs', o: 'mode=1770', size: '1m' },
      });
      const source = await sourceOf('t1', mount);
      assert.equal(await sourceOf('t2', mount), source);
      assert.deepEqual(await mounted(), [source]);
      assert.equal((await stat(source)).mode & 0o7777, 0o1770);
      await assert.rejects(writeFile(join(source, 'big'), Buffer.alloc(2 << 20)), { code: 'ENOSPC' });
      await volumes.ended('t1');
      assert.deepEqual(await mounted(), [source]);
      await volumes.ended('t2');
      assert.deepEqual(await mounted(), []);
      await volumes.remove('scratch');
    });

    it('mounts a directory of the node, and removing the volume leaves what is in it', async () => {
      const precious = join(directory, 'precious');
      await mkdir(precious);
      await writeFile(join(precious, 'file'), 'data');
      const mount = volume('mine', { driverOptions: { type: 'none', o: 'bind', device: precious } });
      const source = await sourceOf('t1', mount);
      assert.equal(await readFile(join(source, 'file'), 'utf8'), 'data');
      assert.equal((await refused(volumes.remove('mine'))).reason, 'in-use');
      await volumes.release('t1');
      await volumes.remove('mine');
      assert.deepEqual(await readdir(precious), ['file']);
      assert.deepEqual(await volumes.list(), []);
    });

    it('says what cannot be mounted, without the options, and leaves nothing', async () => {
      const options = { type: 'ext4', device: join(directory, 'nothing'), o: 'errors=panic,password=hunter2' };
      const error = await refused(volumes.prepare('t1', [volume('bad', { driverOptions: options })], root));
      assert.match(error.message, /cannot mount .*nothing \(type ext4\): .*wrong fs type/);
      assert.doesNotMatch(`${error.message} ${error.hint}`, /hunter2/);
      await volumes.release('t1');
      assert.deepEqual(await mounted(), []);
    });

    it('options are on no command line: they may hold a password', async () => {
      const options = ['username=app', 'password=hunter 2#\\x'];
      const mount = { type: 'cifs', device: '//server/my share', target: '/run/v/db', options, timeoutMs: 1 };
      assert.doesNotMatch(mountArguments(mount, '/run/v/.db.table').join(' '), /hunter|server/);
      assert.equal(
        mountTable(mount),
        '//server/my\\040share /run/v/db cifs username=app,password=hunter\\0402\\043\\134x 0 0\n',
      );
      const hashed = join(directory, 'a # b');
      await mkdir(hashed);
      await writeFile(join(hashed, 'here'), '');
      const source = await sourceOf('t1', volume('v', { driverOptions: { type: 'none', o: 'bind', device: hashed } }));
      assert.deepEqual(await readdir(source), ['here']);
      assert.deepEqual(await readdir(dirname(source)), ['v'], 'nor is the file with the options left');
      await volumes.release('t1');
    });

    it('a daemon that died finds its mounts again: kept for living tasks, gone for the others', async () => {
      const kept = await sourceOf('t1', volume('kept', { driverOptions: { type: 'tmpfs' } }));
      await writeFile(join(kept, 'file'), 'data');
      await sourceOf('t2', volume('gone', { driverOptions: { type: 'tmpfs' } }));
      volumes = open();
      await volumes.restore({ living: new Map([['t1', ['kept']]]), all: new Set(['t1', 't2']) });
      assert.deepEqual(await mounted(), [kept]);
      assert.equal(await sourceOf('t3', volume('kept')), kept);
      assert.equal(await readFile(join(kept, 'file'), 'utf8'), 'data');
      await volumes.ended('t1');
      await volumes.ended('t3');
      assert.deepEqual(await mounted(), []);
    });

    it('an existing volume keeps its options: whoever asks for others is told', async () => {
      await volumes.create({ name: 'plain', labels: {}, driver: '', driverOptions: {} });
      const error = await refused(sourceOf('t1', volume('plain', { driverOptions: { type: 'tmpfs' } })));
      assert.match(error.message, /volume plain exists on this node with other options/);
      assert.match(
        (await refused(sourceOf('t1', volume('plain', { driver: 'keeper' })))).message,
        /driver local, not keeper/,
      );
      await volumes.release('t1');
    });
  });

  describe('of a plugin', () => {
    const mount = volume('db', { driver: 'keeper', driverOptions: { size: '10G' } });

    it('are made, mounted once for all tasks that have them, unmounted and removed', async () => {
      await plugin.start();
      const source = await sourceOf('t1', mount);
      assert.equal(source, plugin.mountpoint('db'));
      assert.equal(await sourceOf('t2', volume('db')), source);
      assert.deepEqual(plugin.volumes.get('db')?.options, { size: '10G' });
      assert.deepEqual([...(plugin.volumes.get('db')?.mounts ?? [])], ['t1', 't2']);
      assert.deepEqual(await mounted(), [source]);
      await writeFile(join(source, 'file'), 'data');
      await volumes.ended('t1');
      await volumes.release('t1');
      await volumes.ended('t2');
      assert.deepEqual(await mounted(), []);
      assert.equal(await readFile(join(await sourceOf('t3', volume('db')), 'file'), 'utf8'), 'data');
      assert.equal((await refused(volumes.remove('db'))).reason, 'in-use');
      await volumes.ended('t3');
      await volumes.remove('db');
      assert.equal(plugin.volumes.size, 0);
    });

    it('are found by a file that names the socket, too', async () => {
      const elsewhere = join(directory, 'elsewhere.sock');
      plugin = new VolumePlugin(join(directory, 'plugin'), elsewhere);
      await plugin.start();
      await mkdir(join(directory, 'specs'));
      await writeFile(join(directory, 'specs/one.spec'), `unix://${elsewhere}\n`);
      await writeFile(join(directory, 'specs/two.json'), JSON.stringify({ Name: 'two', Addr: `unix://${elsewhere}` }));
      for (const driver of ['one', 'two']) {
        await volumes.create({ name: driver, labels: {}, driver, driverOptions: {} });
        assert.ok(plugin.volumes.has(driver));
      }
      await writeFile(join(directory, 'specs/bad.spec'), 'carrier pigeon');
      const error = await refused(volumes.create({ name: 'x', labels: {}, driver: 'bad', driverOptions: {} }));
      assert.match(error.message, /bad\.spec names no address/);
    });

    it('whose plugin is not there, hangs, dies or talks rubbish fail with its name, and are done when it is well again', async () => {
      assert.match((await refused(sourceOf('t1', mount))).message, /no volume plugin "keeper" on this node/);
      await volumes.release('t1');
      await plugin.start();
      const faults = [
        ['hang', /keeper did not answer VolumeDriver\.Mount within 0\.5 s/],
        ['die', /keeper does not answer VolumeDriver\.Mount/],
        [{ status: 200, text: '<html>' }, /no JSON object/],
        [{ status: 500, text: '{"Err":"disk on fire"}' }, /refused VolumeDriver\.Mount: disk on fire/],
        [{ status: 200, text: '{"Mountpoint":"relative"}' }, /no path of a directory/],
        [{ status: 200, text: '{"Mountpoint":"/no/such/directory"}' }, /where this node has no directory/],
        [{ status: 200, text: '{"Mountpoint":17}' }, /no path of a directory/],
        [{ status: 200, text: `{"Mountpoint":"${'x'.repeat(2 << 20)}"}` }, /more than 1048576 bytes/],
      ] as const;
      for (const [fault, words] of faults) {
        plugin.faults.set('VolumeDriver.Mount', fault);
        const error = await refused(sourceOf('t1', mount));
        assert.equal(error.reason, 'plugin-failed');
        assert.match(error.message, words);
        plugin.faults.clear();
        await volumes.release('t1');
        assert.deepEqual([...(plugin.volumes.get('db')?.mounts ?? [])], []);
      }
      assert.equal(await sourceOf('t1', mount), plugin.mountpoint('db'));
      await plugin.stop();
      assert.equal((await refused(volumes.ended('t1'))).code, 'unavailable');
      // A task is removed again and again until it is.
      await plugin.start();
      await volumes.release('t1');
      assert.deepEqual(await mounted(), []);
    });

    it('that hang hold up no other volume', async () => {
      await plugin.start();
      plugin.faults.set('VolumeDriver.Mount', 'hang');
      const hanging = refused(sourceOf('t1', mount));
      await sourceOf('t2', volume('other'));
      assert.match((await hanging).message, /did not answer/);
      plugin.faults.clear();
      await volumes.release('t1');
    });

    for (const method of ['VolumeDriver.Create', 'VolumeDriver.Mount', 'VolumeDriver.Unmount', 'VolumeDriver.Remove'])
      it(`a daemon that dies in ${method} leaves nothing`, async () => {
        await plugin.start();
        if (method !== 'VolumeDriver.Create') await sourceOf('t1', mount);
        if (method === 'VolumeDriver.Mount') await volumes.ended('t1');
        if (method === 'VolumeDriver.Remove') await volumes.ended('t1');
        const before = plugin.calls.length;
        const { volumes: dying, store } = openTestVolumes(directory, {
          pluginCallTimeoutMs: 500,
          pluginMountTimeoutMs: 500,
        });
        await dying.restore({
          living: method === 'VolumeDriver.Unmount' ? new Map([['t1', ['db']]]) : new Map(),
          all: new Set(['t1']),
        });
        // It is asked, does it, and its answer finds nobody.
        plugin.faults.set(method, 'hang');
        const work =
          method === 'VolumeDriver.Unmount'
            ? dying.ended('t1')
            : method === 'VolumeDriver.Remove'
              ? dying.remove('db')
              : dying.prepare('t2', [mount], root);
        await eventually(`${method} to be called`, () => plugin.calls.slice(before).includes(method));
        store.isDead = true;
        plugin.faults.clear();
        if (method === 'VolumeDriver.Create') plugin.volumes.set('db', { options: {}, mounts: new Set() });
        if (method === 'VolumeDriver.Mount') plugin.volumes.get('db')?.mounts.add('t2');
        if (method === 'VolumeDriver.Remove') plugin.volumes.delete('db');
        volumes = open();
        await volumes.restore(NONE);
        await eventually('mounts to go', async () => (await mounted()).length === 0);
        await eventually('uses to end', () => (plugin.volumes.get('db')?.mounts.size ?? 0) === 0);
        if (method === 'VolumeDriver.Create' || method === 'VolumeDriver.Remove')
          await eventually(
            'the volume to go',
            async () => (await volumes.list()).length === 0 && plugin.volumes.size === 0,
          );
        void work.catch(() => {});
        // And everything works as if nothing had happened.
        assert.equal(await sourceOf('t9', mount), plugin.mountpoint('db'));
        await volumes.release('t9');
        await volumes.remove('db');
      });
  });

  describe('subpaths', () => {
    it('are what lies below the volume, and follow no link out of it', async () => {
      const whole = await sourceOf('t0', volume('v'));
      await mkdir(join(whole, 'inner/deep'), { recursive: true });
      await writeFile(join(whole, 'inner/deep/file'), 'inside');
      await mkdir(join(directory, 'secret'));
      await writeFile(join(directory, 'secret/file'), 'of the host');
      await symlink(join(directory, 'secret'), join(whole, 'absolute'));
      await symlink(`../../../../../../../..${directory}/secret`, join(whole, 'upwards'));
      await symlink('inner', join(whole, 'fine'));
      const inner = await sourceOf('t1', volume('v', { subpath: 'inner/deep' }));
      assert.equal(await readFile(join(inner, 'file'), 'utf8'), 'inside');
      assert.equal(
        await readFile(join(await sourceOf('t2', volume('v', { subpath: 'fine/deep' })), 'file'), 'utf8'),
        'inside',
      );
      assert.equal(await readFile(await sourceOf('t3', volume('v', { subpath: 'inner/deep/file' })), 'utf8'), 'inside');
      for (const subpath of ['absolute', 'upwards', 'upwards/file', 'missing'])
        assert.equal((await refused(sourceOf('t4', volume('v', { subpath })))).field, 'mounts.volume.subpath', subpath);
      for (const taskId of ['t1', 't2', 't3', 't4']) await volumes.created(taskId);
      assert.deepEqual(await mounted(), []);
    });

    it('that another container turns into a link meanwhile stay what they were', async () => {
      const whole = await sourceOf('t0', volume('v'));
      await mkdir(join(whole, 'dir'));
      await writeFile(join(whole, 'dir/file'), 'inside');
      const held = await sourceOf('t1', volume('v', { subpath: 'dir' }));
      await rm(join(whole, 'dir'), { recursive: true }).catch(() => {});
      await symlink('/etc', join(whole, 'dir')).catch(() => {});
      assert.ok(!(await readdir(held)).includes('passwd'));
      await volumes.created('t1');
    });

    it('of a daemon that died are not left mounted', async () => {
      const whole = await sourceOf('t0', volume('v'));
      await mkdir(join(whole, 'dir'));
      await sourceOf('t1', volume('v', { subpath: 'dir' }));
      assert.equal((await mounted()).length, 1);
      volumes = open();
      await volumes.restore(NONE);
      assert.deepEqual(await mounted(), []);
      assert.deepEqual(await readdir(whole), ['dir']);
    });
  });

  it('half a copy and half a removal are finished at the next start', async () => {
    await mkdir(join(root, 'data'));
    await writeFile(join(root, 'data/one'), '1');
    await writeFile(join(root, 'data/two'), '2');
    const source = await sourceOf('t1', volume('half'));
    const record = join(directory, 'volumes/half/volume.json');
    await writeFile(record, JSON.stringify({ ...JSON.parse(await readFile(record, 'utf8')), filling: true }));
    await rm(join(source, 'two'));
    await mkdir(join(directory, 'volumes/.removed-old.1/_data'), { recursive: true });
    volumes = open();
    await volumes.restore(NONE);
    assert.deepEqual(await readdir(join(directory, 'volumes')), ['half']);
    await sourceOf('t2', volume('half'));
    assert.deepEqual((await readdir(source)).toSorted(), ['one', 'two']);
    await writeFile(record, JSON.stringify({ ...JSON.parse(await readFile(record, 'utf8')), phase: 'removing' }));
    volumes = open();
    await volumes.restore(NONE);
    await eventually('the volume to go', async () => (await readdir(join(directory, 'volumes'))).length === 0);
  });
});
