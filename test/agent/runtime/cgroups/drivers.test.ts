/**
 * Goal: the drivers read and write the files that each kernel interface has. Method: directories with captured
 * contents stand for the hierarchies; what only a kernel can do is tried on this machine's.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CgroupsV1 } from '#agent/runtime/cgroups/cgroups-v1.ts';
import { CgroupsV2 } from '#agent/runtime/cgroups/cgroups-v2.ts';
import { detectCgroups } from '#agent/runtime/cgroups/detect-cgroups.ts';
import { cgroupDirectories, readCgroupLayout } from '#agent/runtime/cgroups/layout.ts';
import { parseMountInfo } from '#agent/runtime/mount-info.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { V1_SYSTEMD, V2_SYSTEMD } from './layouts.ts';

async function write(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

const V1_FILES = {
  'memory/p/x/memory.usage_in_bytes': '5000000\n',
  'memory/p/x/memory.stat': 'cache 3000000\nrss 2000000\ninactive_file 1\ntotal_inactive_file 1500000\n',
  'memory/p/x/memory.limit_in_bytes': '33554432\n',
  'memory/p/x/memory.max_usage_in_bytes': '6000000\n',
  'memory/p/x/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  'memory/p/x/cgroup.procs': '10\n0\n',
  'cpu,cpuacct/p/x/cpuacct.usage': '123456789\n',
  'cpu,cpuacct/p/x/cpuacct.usage_user': '100\n',
  'cpu,cpuacct/p/x/cpuacct.usage_sys': '23\n',
  'cpu,cpuacct/p/x/cpu.stat': 'nr_periods 30\nnr_throttled 29\nthrottled_time 777\n',
  'cpu,cpuacct/p/x/cpu.cfs_quota_us': '-1\n',
  'cpu,cpuacct/p/x/cpu.cfs_period_us': '100000\n',
  'pids/p/x/pids.current': '3\n',
  'pids/p/x/pids.max': 'max\n',
  'pids/p/x/cgroup.procs': '10\n11\n',
  'pids/p/x/inner/cgroup.procs': '12\n',
  'freezer/p/x/freezer.state': 'FREEZING\n',
  'freezer/p/x/cgroup.procs': '11\n',
};

const V2_FILES = {
  'cgroup.controllers': 'cpuset cpu io memory pids\n',
  'cgroup.subtree_control': '',
  'p/cgroup.controllers': 'cpu memory pids\n',
  'p/cgroup.subtree_control': '',
  'p/memory.swap.max': 'max\n',
  'p/x/memory.current': '5000000\n',
  'p/x/memory.stat': 'anon 2000000\ninactive_file 1500000\n',
  'p/x/memory.max': 'max\n',
  'p/x/memory.peak': '6000000\n',
  'p/x/memory.events': 'low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n',
  'p/x/cpu.stat': 'usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnr_throttled 7\nthrottled_usec 9\n',
  'p/x/cpu.max': 'max 100000\n',
  'p/x/io.stat': '254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:16 rbytes=1 wbytes=2 rios=1 wios=1\n',
  'p/x/pids.current': '4\n',
  'p/x/pids.max': '100\n',
  'p/x/cgroup.procs': '10\n11\n',
  'p/x/inner/cgroup.procs': '12\n',
  'p/x/cgroup.freeze': '1\n',
  'p/x/cgroup.events': 'populated 1\nfrozen 1\n',
};

describe('runtime: cgroup drivers', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'starling-cg-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  const at = (text: string) => readCgroupLayout(text.replaceAll('/sys/fs/cgroup', root), root);
  const text = (path: string) => readFile(join(root, path), 'utf8');

  it('v1: reads statistics', async () => {
    await write(root, V1_FILES);
    const cgroups = new CgroupsV1(at(V1_SYSTEMD));
    assert.deepEqual(await cgroups.statistics('/p/x'), {
      cpuNanos: 123456789,
      cpuUserNanos: 100,
      cpuSystemNanos: 23,
      throttledPeriods: 29,
      throttledNanos: 777,
      memoryBytes: 3500000,
      memoryUsageBytes: 5000000,
      memoryPeakBytes: 6000000,
      memoryLimitBytes: 33554432,
      oomKills: 2,
      pids: 3,
      pidsLimit: undefined,
      readBytes: 0, // this kernel has no blkio controller
      writtenBytes: 0,
    });
    assert.equal(await cgroups.statistics('/p/other'), undefined);
    assert.deepEqual(
      [...(await cgroups.processes('/p/x'))].toSorted((left, right) => left - right),
      [10, 11, 12],
    );
    assert.equal(await cgroups.isFrozen('/p/x'), true);
    assert.equal(cgroups.support('/p').swap, false);
    assert.deepEqual(await cgroups.children('/p'), ['x']);
  });

  it('v1: writes limits, and takes "no limit" for none', async () => {
    await write(root, { ...V1_FILES, 'memory/p/x/memory.limit_in_bytes': '9223372036854771712\n' });
    const cgroups = new CgroupsV1(at(V1_SYSTEMD));
    assert.equal((await cgroups.statistics('/p/x'))?.memoryLimitBytes, undefined);
    await cgroups.update('/p/x', { memoryBytes: 1000, pids: null, cpuQuotaMicros: 20_000, cpuPeriodMicros: 50_000 });
    assert.equal((await text('memory/p/x/memory.limit_in_bytes')).slice(0, 4), '1000');
    assert.equal((await text('pids/p/x/pids.max')).slice(0, 3), 'max');
    assert.equal((await text('cpu,cpuacct/p/x/cpu.cfs_quota_us')).slice(0, 5), '20000');
    await cgroups.thaw('/p/x');
    assert.match(await text('freezer/p/x/freezer.state'), /^THAWED/);
  });

  it('v1: makes the parent in every hierarchy', async () => {
    await new CgroupsV1(at(V1_SYSTEMD)).prepareParent('/p/q');
    for (const directory of ['systemd', 'cpu,cpuacct', 'memory', 'pids', 'freezer'])
      await readFile(join(root, directory, 'p/q')).catch((error: NodeJS.ErrnoException) =>
        assert.equal(error.code, 'EISDIR'),
      );
  });

  it('v2: reads statistics', async () => {
    await write(root, V2_FILES);
    const cgroups = new CgroupsV2(at(V2_SYSTEMD));
    assert.deepEqual(await cgroups.statistics('/p/x'), {
      cpuNanos: 1_000_000,
      cpuUserNanos: 600_000,
      cpuSystemNanos: 400_000,
      throttledPeriods: 7,
      throttledNanos: 9000,
      memoryBytes: 3500000,
      memoryUsageBytes: 5000000,
      memoryPeakBytes: 6000000,
      memoryLimitBytes: undefined,
      oomKills: 1,
      pids: 4,
      pidsLimit: 100,
      readBytes: 11,
      writtenBytes: 22,
    });
    assert.equal(await cgroups.statistics('/p/other'), undefined);
    assert.deepEqual(await cgroups.processes('/p/x'), [10, 11, 12]);
    assert.equal(await cgroups.isFrozen('/p/x'), true);
    assert.equal(cgroups.support('/p').swap, true);
  });

  it('says what groups can be told, by the files that a kernel shows', async () => {
    await write(root, {
      'memory/p/memory.swappiness': '60\n',
      'memory/p/memory.oom_control': 'oom_kill_disable 0\n',
    });
    const all = { swap: false, swappiness: true, oomKillDisable: true, blockIoWeight: false, blockIoRate: false };
    assert.deepEqual(new CgroupsV1(at(V1_SYSTEMD)).support('/p'), all);
    await write(root, { 'p/memory.swap.max': 'max\n', 'p/io.max': '', 'p/io.weight': 'default 100\n' });
    const v2 = { swap: true, swappiness: false, oomKillDisable: false, blockIoWeight: true, blockIoRate: true };
    assert.deepEqual(new CgroupsV2(at(V2_SYSTEMD)).support('/p'), v2);
  });

  it('v2: hands controllers down and writes limits', async () => {
    await write(root, V2_FILES);
    const cgroups = new CgroupsV2(at(V2_SYSTEMD));
    await cgroups.prepareParent('/p');
    // A file is written over where a kernel would add the controllers up.
    assert.match(await text('cgroup.subtree_control'), /^\+pids/);
    assert.match(await text('p/cgroup.subtree_control'), /^\+pids/);
    await cgroups.update('/p/x', { cpuQuotaMicros: 30_000, memoryBytes: null, pids: 5 });
    assert.match(await text('p/x/cpu.max'), /^30000 100000/);
    assert.match(await text('p/x/memory.max'), /^max/);
    assert.match(await text('p/x/pids.max'), /^5/);
    await cgroups.freeze('/p/x', 100);
    await cgroups.thaw('/p/x');
    assert.match(await text('p/x/cgroup.freeze'), /^0/);
  });
});

/** A group of processes that ignore SIGTERM and fork. */
function startFamily(): ChildProcess {
  return spawn('/bin/sh', ['-c', "trap '' TERM; sleep 1000 & sleep 1000 & wait"], { stdio: 'ignore' });
}

describe('runtime: cgroups of this machine', function () {
  const name = `/starling-test-cg-${process.pid}`;

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'cgroups are made by root');
  });

  async function check(cgroups: CgroupsV1 | CgroupsV2): Promise<void> {
    const path = `${name}/family`;
    await cgroups.prepareParent(name);
    // On v2 a group that hands controllers down may have no processes itself.
    if (cgroups instanceof CgroupsV2) await mkdir(cgroupDirectories(cgroups.layout, path)[0] ?? '');
    else await cgroups.prepareParent(path);
    const family = startFamily();
    try {
      const pid = family.pid ?? assert.fail();
      await cgroups.join(path, pid);
      // Children that were forked before the move are moved too; those after are born inside.
      for (const child of (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean))
        await cgroups.join(path, Number(child));
      await eventually('all are in', async () => (await cgroups.processes(path)).length === 3);
      assert.deepEqual(await cgroups.children(name), ['family']);
      assert.ok((await cgroups.statistics(path)) !== undefined);
      await cgroups.freeze(path, 2000);
      assert.equal(await cgroups.isFrozen(path), true);
      assert.equal(await cgroups.remove(path), false, 'processes keep it');
      const ended = once(family, 'exit');
      await cgroups.killAll(path); // frozen or not
      await ended;
      await eventually('all are gone', async () => (await cgroups.processes(path)).length === 0);
      assert.equal(await cgroups.remove(name), true);
      assert.equal(await cgroups.remove(name), true);
      assert.deepEqual(await cgroups.processes(path), []);
      await cgroups.killAll(path);
      await cgroups.thaw(path);
    } finally {
      family.kill('SIGKILL');
      await cgroups.killAll(path);
      await eventually('removed', () => cgroups.remove(name));
    }
  }

  it('freezes, kills and removes with the driver that was detected', async () => {
    const cgroups = await detectCgroups();
    await check(cgroups instanceof CgroupsV2 ? cgroups : new CgroupsV1(cgroups.layout));
  });

  it('does so with the v2 driver wherever a v2 hierarchy is mounted', async function (this: Mocha.Context) {
    const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
    const unified = mounts.findLast((mount) => mount.type === 'cgroup2')?.target;
    if (unified === undefined) skipBecause(this, 'no v2 hierarchy is mounted');
    await check(new CgroupsV2({ mode: 'v2', unified, controllers: new Map(), unifiedVisible: false }));
  });
});
