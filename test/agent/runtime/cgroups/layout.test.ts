/** Goal: every kind of cgroup layout is recognised, and paths go where they belong. Method: captured mount tables. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { cgroupDirectories, isCgroupPath, readCgroupLayout } from '#agent/runtime/cgroups/layout.ts';
import { mountsBelow, parseMountInfo } from '#agent/runtime/mount-info.ts';
import { SwarmError } from '#common/errors.ts';
import { HYBRID, HYBRID_COVERED, V1_SYSTEMD, V2_SYSTEMD } from './layouts.ts';

describe('runtime: cgroup layout', () => {
  it('v2 is one hierarchy', () => {
    const layout = readCgroupLayout(V2_SYSTEMD);
    assert.deepEqual([layout.mode, layout.unified, layout.unifiedVisible], ['v2', '/sys/fs/cgroup', false]);
    assert.deepEqual(cgroupDirectories(layout, '/starling/x'), ['/sys/fs/cgroup/starling/x']);
  });

  it('v1 is one a controller, those that share a mount once', () => {
    const layout = readCgroupLayout(V1_SYSTEMD);
    assert.equal(layout.mode, 'v1');
    assert.equal(layout.controllers.get('cpu'), '/sys/fs/cgroup/cpu,cpuacct');
    assert.equal(layout.controllers.get('cpuacct'), '/sys/fs/cgroup/cpu,cpuacct');
    assert.equal(layout.controllers.get('name=systemd'), '/sys/fs/cgroup/systemd');
    assert.equal(layout.controllers.has('blkio'), false);
    assert.deepEqual(cgroupDirectories(layout, '/p/x'), [
      '/sys/fs/cgroup/systemd/p/x',
      '/sys/fs/cgroup/cpu,cpuacct/p/x',
      '/sys/fs/cgroup/memory/p/x',
      '/sys/fs/cgroup/pids/p/x',
      '/sys/fs/cgroup/freezer/p/x',
      '/sys/fs/cgroup/net_cls,net_prio/p/x',
    ]);
  });

  it('hybrid is v1 with a v2 hierarchy that may be covered', () => {
    for (const [text, visible] of [
      [HYBRID, true],
      [HYBRID_COVERED, false],
    ] as const) {
      const layout = readCgroupLayout(text);
      assert.deepEqual([layout.mode, layout.unified, layout.unifiedVisible], ['hybrid', undefined, visible]);
      assert.equal(layout.controllers.get('memory'), '/sys/fs/cgroup/memory');
    }
  });

  it('none at all is refused with the way out', () => {
    assert.throws(
      () => readCgroupLayout('28 1 254:1 / / rw - ext4 /dev/vda1 rw\n'),
      (error) => error instanceof SwarmError && error.reason === 'preflight' && error.hint !== undefined,
    );
  });

  it('reads the layout of this machine', async () => {
    const { readFile } = await import('node:fs/promises');
    assert.ok(['v1', 'v2', 'hybrid'].includes(readCgroupLayout(await readFile('/proc/self/mountinfo', 'utf8')).mode));
  });

  it('takes plain absolute paths only', () => {
    for (const path of ['/starling', '/starling/a-b_c.d', '/system.slice/x.service', '/user@1000'])
      assert.equal(isCgroupPath(path), true, path);
    for (const path of [
      '',
      '/',
      'starling',
      '/a/../b',
      '/a//b',
      '/a/',
      '/./a',
      '/..',
      '/a b',
      '/a\n',
      '/-a',
      `/${'x'.repeat(2000)}`,
    ])
      assert.equal(isCgroupPath(path), false, JSON.stringify(path));
  });
});

describe('runtime: mount table', () => {
  it('reads escaped paths, roots and propagation', () => {
    const [mount] = parseMountInfo(
      '36 35 98:0 /a\\040b /mnt\\0112 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue',
    );
    assert.deepEqual(mount, {
      id: 36,
      parentId: 35,
      root: '/a b',
      target: '/mnt\t2',
      type: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
      propagation: ['master:1', 'shared:2'],
    });
  });

  it('survives any text', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseMountInfo(text))));
  });

  it('lists what is below, innermost first', () => {
    const line = (target: string) => `1 2 0:1 / ${target} rw - tmpfs none rw\n`;
    const mounts = parseMountInfo(['/a', '/a/b', '/ab', '/a/b/c'].map(line).join(''));
    assert.deepEqual(mountsBelow(mounts, '/a'), ['/a/b/c', '/a/b', '/a']);
    assert.deepEqual(mountsBelow(mounts, '/x'), []);
  });
});
