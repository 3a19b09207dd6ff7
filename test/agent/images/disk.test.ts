/** A disk that fills: pressure as a condition, collection between the marks, a reserve, and a really full file system. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DiskReserve } from '#agent/images/disk/disk-reserve.ts';
import { type DiskSpace, diskSpace } from '#agent/images/disk/disk-space.ts';
import { DiskMonitor, type DiskPressure, IMAGE_TUNING } from '#agent/images/index.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { familiarName, parseImageReference } from '#common/image-reference.ts';
import { silentLogger } from '#common/log.ts';
import { chunks, dockerArchive, tar } from '#test/fixtures/image-archive.ts';
import { registryInstalled, TestRegistry } from '#test/fixtures/registry.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { never, requireBuildah, StoreFixture } from './store-fixture.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;

function space(usedPercent: number, usedInodesPercent = 0): DiskSpace {
  return { totalBytes: 100 * MIB, availableBytes: (100 - usedPercent) * MIB, usedPercent, usedInodesPercent };
}

describe('disk pressure', () => {
  function monitor(): {
    look: (used: DiskSpace | Error) => Promise<void>;
    told: (DiskPressure | undefined)[];
    monitor: DiskMonitor;
    clock: ManualClock;
  } {
    const told: (DiskPressure | undefined)[] = [];
    const clock = new ManualClock();
    let next: DiskSpace | Error = space(0);
    const made = new DiskMonitor({
      path: '/disk',
      tuning: { pressurePercent: 90, relievedPercent: 80, intervalMs: 1000 },
      clock,
      logger: silentLogger,
      onChange: (pressure) => told.push(pressure),
      measure: async () => {
        await Promise.resolve();
        if (next instanceof Error) throw next;
        return next;
      },
    });
    const look = async (used: DiskSpace | Error): Promise<void> => {
      next = used;
      await made.look();
    };
    return { look, told, monitor: made, clock };
  }

  it('begins at one mark and ends at a lower one', async () => {
    const { look, told, monitor: watched } = monitor();
    for (const used of [50, 89.9, 90, 95, 81, 85]) await look(space(used));
    assert.equal(told.length, 1);
    assert.equal(told[0]?.type, 'disk-pressure');
    assert.match(told[0].message, /90 % of the disk space at \/disk is in use \(limit 90 %\)/);
    await look(space(79));
    assert.deepEqual([told.length, told[1], watched.pressure], [2, undefined, undefined]);
  });

  it('comes from inodes too, and not from what cannot be measured', async () => {
    const { look, told } = monitor();
    await look(space(10, 95));
    assert.match(told[0]?.message ?? '', /95 % of the disk inodes/);
    await look(new Error('gone'));
    assert.equal(told.length, 1);
  });

  it('is looked for at intervals, until it is stopped', async () => {
    const { told, monitor: watched, clock, look } = monitor();
    await watched.start();
    await look(space(99));
    assert.equal(told.length, 1);
    assert.notEqual(clock.nextDue(), undefined);
    watched.stop();
    assert.equal(clock.nextDue(), undefined);
  });

  it('measures what df shows', async () => {
    const { stdout } = await run('df', ['-B1', '--output=avail,pcent', tmpdir()]);
    const [available = 0, percent = 0] = (stdout.split('\n')[1] ?? '')
      .trim()
      .split(/\s+/)
      .map((text) => Number.parseInt(text, 10));
    const measured = await diskSpace(tmpdir());
    assert.ok(Math.abs(measured.availableBytes - available) < 500 * MIB);
    assert.ok(Math.abs(measured.usedPercent - percent) < 2, `${measured.usedPercent} ${percent}`);
  });
});

describe('disk reserve', () => {
  it('is told of once, when it is touched, and a failed look is not the end', async () => {
    const clock = new ManualClock();
    const spaces: (DiskSpace | Error)[] = [space(50), new Error('gone'), space(50), space(99), space(100)];
    const measure = async (): Promise<DiskSpace> => {
      await Promise.resolve();
      const next = spaces.shift() ?? space(100);
      if (next instanceof Error) throw next;
      return next;
    };
    const reserve = new DiskReserve(
      '/disk',
      { ...IMAGE_TUNING, reserveBytes: 2 * MIB, reserveShare: 1, reserveIntervalMs: 10 },
      clock,
      measure,
    );
    const told: SwarmError[] = [];
    const watch = reserve.watch((error) => told.push(error));
    await watch.ready;
    for (let round = 0; round < 6; round++) {
      clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(told.length, 1);
    assert.equal(told[0]?.reason, 'disk-full');
    watch.end();
    assert.equal(clock.nextDue(), undefined);
  });
});

describe('images on a small disk', function () {
  this.timeout(60_000);
  const SIZE_MIB = 48;
  let fixture: StoreFixture;
  let mountPoint: string;
  let registry: TestRegistry | undefined;

  before(async function () {
    requireBuildah(this);
    mountPoint = await mkdtemp(join(tmpdir(), 'starling-small-disk-'));
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m,mode=700`, 'starling-test', mountPoint]);
    } catch {
      skipBecause(this, 'cannot mount a tmpfs');
    }
    if (registryInstalled) registry = await TestRegistry.start();
    fixture = await StoreFixture.make({ stateDirectory: join(mountPoint, 'state') });
  });

  after(async () => {
    await fixture?.remove();
    await registry?.stop();
    if (mountPoint !== undefined) {
      await run('umount', ['-l', mountPoint]).catch(() => {});
      await rm(mountPoint, { recursive: true, force: true });
    }
  });

  /** A layer that cannot be compressed away. */
  function layer(name: string, mebibytes: number): Buffer {
    const content = Buffer.alloc(mebibytes * MIB);
    for (let index = 0; index < content.length; index += 4)
      content.writeUInt32LE((index * 2654435761 + name.length) >>> 0, index);
    content.write(name);
    return tar([{ name, content }]);
  }

  async function reopen(tuning: Partial<typeof IMAGE_TUNING>): Promise<void> {
    await fixture.close();
    await fixture.open({ stateDirectory: join(mountPoint, 'state'), tuning });
  }

  async function full(work: Promise<unknown>, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, 'disk-full', error.message);
      assert.equal(error.code, 'exhausted');
      assert.match(error.message, message);
      assert.match(error.hint ?? '', /free some space/);
      return true;
    });
  }

  it('says so when the disk is full, leaves nothing behind, and works again with more room', async () => {
    await reopen({ reserveBytes: 0 });
    const archive = dockerArchive({ layers: [layer('big', 12)], names: ['big:1'] });
    const used = (await diskSpace(mountPoint)).usedPercent;
    await writeFile(join(mountPoint, 'ballast'), Buffer.alloc(40 * MIB, 'x'));
    await full(fixture.store.load(chunks(archive), never()), /no space left/);
    await rm(join(mountPoint, 'ballast'));
    assert.ok((await diskSpace(mountPoint)).usedPercent < used + 2, 'something was left behind');
    // The archive fits, its layer beside it does not.
    await writeFile(join(mountPoint, 'ballast'), Buffer.alloc(26 * MIB, 'x'));
    await full(fixture.store.load(chunks(archive), never()), /no space left/);
    await rm(join(mountPoint, 'ballast'));
    assert.ok((await diskSpace(mountPoint)).usedPercent < used + 2, 'something was left behind');
    await fixture.store.load(chunks(archive), never());
    await fixture.store.remove('big:1', false, never());
  });

  it('stops while there is still something left for others', async () => {
    await reopen({ reserveBytes: 20 * MIB, reserveShare: 1, reserveIntervalMs: 5 });
    await full(
      fixture.store.load(chunks(dockerArchive({ layers: [layer('big', 40)] }), 100_000), never()),
      /are kept free/,
    );
    assert.ok((await diskSpace(mountPoint)).usedPercent < 10);
  });

  it('collects what is unused, oldest first, down to the low mark, and nothing that cannot be had again', async function () {
    if (registry === undefined) skipBecause(this, 'docker-registry is not installed');
    const collector = { highPercent: 60, lowPercent: 55, graceMs: 0, intervalMs: 3_600_000 };
    await reopen({ reserveBytes: MIB, collector });
    const pull = async (tag: string): Promise<string> => {
      await registry?.push('app', tag, { layers: [layer(tag, 5)] });
      const parsed = parseImageReference(`${registry?.host}/app:${tag}`);
      assert.ok(parsed.ok);
      return (
        await fixture.store.pull({ reference: parsed.value, credential: undefined, signal: never(), onEvent: () => {} })
      ).imageId;
    };
    await fixture.store.load(chunks(dockerArchive({ layers: [layer('local', 5)], names: ['local:1'] })), never());
    const oldest = await pull('oldest');
    await pull('older');
    const held = await pull('held');
    await pull('newer');
    fixture.store.restore(new Map([['task', held]]));
    assert.equal((await fixture.store.collect()).deleted.length, 0, 'below the high mark nothing goes');
    await writeFile(join(mountPoint, 'ballast'), Buffer.alloc(8 * MIB, 'x'));
    const removal = await fixture.store.collect();
    assert.equal(removal.deleted[0], oldest);
    const names = (): Promise<readonly string[]> =>
      fixture.store.list().then((images) =>
        images
          .flatMap((image) => image.names.map((name) => name.tag ?? ''))
          .filter((tag) => tag !== '')
          .toSorted(),
      );
    assert.deepEqual(await names(), ['1', 'held', 'newer']);
    assert.ok((await diskSpace(mountPoint)).usedPercent <= collector.lowPercent);
    // Not a block is left now; removing needs some.
    await assert.rejects(writeFile(join(mountPoint, 'ballast'), Buffer.alloc(45 * MIB, 'x')), /ENOSPC/);
    await fixture.store.collect();
    assert.deepEqual(await names(), ['1', 'held']);
    await rm(join(mountPoint, 'ballast'));
    fixture.store.release('task');
    for (const image of await fixture.store.list()) await fixture.store.remove(image.id, true, never());
  });

  it('does not collect what has just been used', async function () {
    if (registry === undefined) skipBecause(this, 'docker-registry is not installed');
    await reopen({
      reserveBytes: MIB,
      collector: { highPercent: 1, lowPercent: 0, graceMs: 60_000, intervalMs: 3_600_000 },
    });
    const parsed = parseImageReference(`${registry.host}/app:older`);
    assert.ok(parsed.ok);
    await fixture.store.pull({ reference: parsed.value, credential: undefined, signal: never(), onEvent: () => {} });
    assert.deepEqual((await fixture.store.collect()).deleted, []);
    assert.ok(
      (await fixture.store.list())
        .flatMap((image) => image.names.map(familiarName))
        .some((name) => name.endsWith('app:older')),
    );
  });

  it('tells of its own pressure', async () => {
    const told: (DiskPressure | undefined)[] = [];
    await reopen({ disk: { pressurePercent: 70, relievedPercent: 50, intervalMs: 10 } });
    const changed = new Promise<void>((resolve) => {
      fixture.store.onDiskPressure((pressure) => {
        told.push(pressure);
        if (told.length === 2) resolve();
        else void rm(join(mountPoint, 'ballast'));
      });
    });
    await writeFile(join(mountPoint, 'ballast'), Buffer.alloc(36 * MIB, 'x'));
    await changed;
    assert.deepEqual(
      told.map((pressure) => pressure?.type),
      ['disk-pressure', undefined],
    );
  });
});
