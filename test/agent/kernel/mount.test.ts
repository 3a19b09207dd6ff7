/** Goal: mounts come and go as told. Method: real mounts in a namespace of the test's own. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_FLAGS, mount, mountFileSystem, unmount } from '#agent/kernel/mount.ts';
import { describeInside } from '../runtime/inside.ts';

describeInside(import.meta.filename, 'kernel: mount', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-mount-'));
  });
  afterEach(async () => {
    await unmount(directory);
    await rm(directory, { recursive: true });
  });

  it('mounts and unmounts', async () => {
    await mount({ source: 'none', target: directory, type: 'tmpfs', flags: MOUNT_FLAGS.noDevices, data: 'size=1m' });
    await writeFile(join(directory, 'file'), '');
    assert.equal(await unmount(directory), 'unmounted');
    assert.deepEqual(await readdir(directory), []);
    assert.equal(await unmount(directory), 'absent');
    assert.equal(await unmount(join(directory, 'nothing')), 'absent');
  });

  it('detaches what is busy', async () => {
    await mount({ source: 'none', target: directory, type: 'tmpfs', flags: 0 });
    const file = await open(join(directory, 'file'), 'w');
    assert.equal(await unmount(directory), 'detached');
    await file.close();
  });

  it('says why it cannot', async () => {
    const request = { source: 'none', target: directory, type: 'no-such-fs', flags: 0 };
    await assert.rejects(mount(request), (error) => hasErrno(error, 'ENODEV'));
    await assert.rejects(mount({ ...request, type: 'tmpfs', target: '/no/such/directory' }), (error) =>
      hasErrno(error, 'ENOENT'),
    );
  });

  it('mounts with options of any length through fsopen', async () => {
    await mount({ source: 'none', target: directory, type: 'tmpfs', flags: 0 });
    const lowers = Array.from({ length: 200 }, (_unused, index) =>
      join(directory, `a-directory-with-a-long-name-${index}`),
    );
    for (const lower of lowers) await mkdir(lower);
    await writeFile(join(lowers.at(-1) ?? '', 'deep'), 'found');
    for (const name of ['u', 'w', 'm']) await mkdir(join(directory, name));
    mountFileSystem({
      type: 'overlay',
      target: join(directory, 'm'),
      attributes: MOUNT_FLAGS.noDevices,
      options: [
        ...lowers.map((lower) => ['lowerdir+', lower] as const),
        ['upperdir', join(directory, 'u')],
        ['workdir', join(directory, 'w')],
      ],
    });
    assert.equal(await readFile(join(directory, 'm/deep'), 'utf8'), 'found');
    assert.equal(await unmount(join(directory, 'm')), 'unmounted');
    assert.throws(
      () =>
        mountFileSystem({ type: 'overlay', target: join(directory, 'm'), attributes: 0, options: [['nonsense', 'x']] }),
      (error) => hasErrno(error, 'EINVAL'),
    );
  });
});
