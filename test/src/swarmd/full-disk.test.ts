/**
 * Goal: a daemon that is started on a full disk says what is full and how much it needs, stays up, and takes part as soon
 * as there is room. Method: a real daemon whose state directory is a small file system.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmError } from '#common/errors.ts';
import { asFullDisk, hasRoom } from '#src/swarmd/full-disk.ts';
import { failure } from '#test/support/failure.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const run = promisify(execFile);
const SIZE_MIB = 64;
const SOON_MS = 20_000;

describe('a daemon on a full disk', function () {
  this.timeout(60_000);
  let host: DaemonProcess;

  before(async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'daemons and mounts need root');
    host = await DaemonProcess.create({ name: 'full', host: '127.0.0.8', port: await freePort() });
    await mkdir(host.state, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'starling-full', host.state]);
    await host.start();
    await host.init();
  });
  after(async () => {
    await host?.kill();
    if (host !== undefined) await run('umount', ['-l', host.state]);
    await host?.destroy();
  });
  afterEach(() => free());

  const filler = (): string => join(host.state, 'filler');

  async function fill(): Promise<void> {
    const piece = Buffer.alloc(1024 * 1024);
    for (let size = piece.length; size >= 4096; ) {
      const written = await writeFile(filler(), piece.subarray(0, size), { flag: 'a' }).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          assert.equal(error.code, 'ENOSPC');
          return false;
        },
      );
      if (!written) size /= 2;
    }
  }

  const free = (): Promise<void> => rm(filler(), { force: true });

  const active = (): Promise<void> =>
    until('the node to take part', SOON_MS, async () => {
      const { error, nodeId, connected } = await host.info();
      assert.deepEqual([error, nodeId !== '', connected], ['', true, true]);
    });

  it('says what is full and how much it needs, stays up, and goes on by itself once there is room', async () => {
    await active();
    const { nodeId } = await host.info();
    await host.stop();
    await fill();
    await host.start();
    const { error } = await host.info();
    assert.match(error, /^the disk is full: .*\/state has .*B free, and swarmd needs 16MiB there to start/);
    assert.doesNotMatch(host.output, /move the file away/, 'nothing is wrong with what is on the disk');
    const refusal = await failure(host.control.getCluster({}, { timeoutMs: 5_000 }));
    assert.equal(refusal.code, 'unavailable');
    assert.match(refusal.message, /the disk is full/);
    assert.match(refusal.hint ?? '', /goes on by itself/);
    await free();
    await active();
    assert.equal((await host.info()).nodeId, nodeId, 'as the node that it was');
    await host.write('after-full');
  });

  it('can be told to leave meanwhile', async () => {
    await active();
    await host.stop();
    await fill();
    await host.start();
    assert.match((await host.info()).error, /the disk is full/);
    await host.node.leaveSwarm({ force: true }, { timeoutMs: 10_000 });
    const { error, nodeId } = await host.info();
    assert.deepEqual([error, nodeId], ['', '']);
    await free();
    await host.init();
    await active();
  });

  it('tells a full disk from other errors', async () => {
    const broken = new SwarmError({ code: 'data-loss', reason: 'corrupt-state', message: 'disk I/O error' });
    const clone = new SwarmError({ code: 'precondition', reason: 'corrupt-state', message: 'another machine' });
    await active();
    assert.equal(await asFullDisk(broken, host.state), undefined);
    assert.equal(await hasRoom(host.state), true);
    const quota = new SwarmError({ code: 'exhausted', reason: 'disk-full', message: 'over quota' });
    assert.match((await asFullDisk(quota, host.state))?.message ?? '', /^the disk is full: .*\(over quota\)$/);
    await host.stop();
    await fill();
    assert.equal((await asFullDisk(broken, host.state))?.reason, 'disk-full');
    assert.equal(await asFullDisk(clone, host.state), undefined);
    assert.equal(await hasRoom(host.state), false);
    assert.equal(await hasRoom('/nowhere/at/all'), true, 'who does not know tries');
  });
});
