/**
 * Goal: `swarmd destroy` ends, and leaves nothing, also on a host that can encrypt, where the keys of the tunnel have a
 * timer of their own. Method: the real program on directories of its own; a daemon that was stopped before is not needed
 * for that.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { skipBecause } from '#test/support/skip-because.ts';

const SWARMD = join(import.meta.dirname, '../../../bin/swarmd');
const DEADLINE_MS = 20_000;

describe('swarmd destroy', function () {
  this.timeout(30_000);
  let directory: string;

  before(async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'mounts and networks need root');
    directory = await mkdtemp(join(tmpdir(), 'starling-destroy-'));
  });
  after(async () => {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  it('ends by itself, without a word, and leaves nothing', async () => {
    const state = join(directory, 'state');
    const run = join(directory, 'run');
    await mkdir(join(state, 'images'), { recursive: true });
    await mkdir(run);
    await writeFile(join(state, 'images/one'), 'content');
    const flags = ['--state-dir', state, '--run-dir', run, '--cgroup-parent', `/${basename(directory)}`];
    const { stdout, stderr } = await promisify(execFile)(SWARMD, ['destroy', ...flags], {
      env: { ...process.env, STARLING_FROM_SOURCE: '1' },
      timeout: DEADLINE_MS,
      killSignal: 'SIGKILL',
    });
    assert.equal(stdout + stderr, '');
    assert.deepEqual(await readdir(directory), []);
  });
});
