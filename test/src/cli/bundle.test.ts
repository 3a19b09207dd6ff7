/**
 * Goal: the built program is the program: same answers, started from its bytecode, in a third of the time. Method: what
 * `make build` left in dist/, beside the source.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Script } from 'node:vm';
import { skipBecause } from '#test/support/skip-because.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, 'dist');
const SWARM = join(ROOT, 'bin/swarm');

const run = promisify(execFile);

describe('cli: the bundle', function () {
  this.timeout(20_000);

  before(function () {
    if (!existsSync(join(DIST, 'swarm.cache'))) skipBecause(this, 'dist/ is not built (make build)');
  });

  it('answers as the source does', async () => {
    for (const words of [['--help'], ['service', 'create', '--help'], ['complete', '--', 'service', 'create', '--']]) {
      const built = await run(SWARM, words);
      const source = await run(SWARM, words, { env: { ...process.env, STARLING_FROM_SOURCE: '1' } });
      assert.equal(built.stdout, source.stdout, words.join(' '));
    }
  });

  it('comes with bytecode that this Node.js takes', () => {
    const source = `(function (exports, require, module) {${readFileSync(join(DIST, 'swarm.bundle'), 'latin1')}\n})`;
    const script = new Script(source, { cachedData: readFileSync(join(DIST, 'swarm.cache')) });
    assert.equal(script.cachedDataRejected, false);
  });

  it('runs without its bytecode, and with that of another program', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'swarm-bundle-'));
    try {
      for (const file of ['swarm.cjs', 'swarm.bundle']) await copyFile(join(DIST, file), join(directory, file));
      const version = async () => (await run(process.execPath, [join(directory, 'swarm.cjs'), '--version'])).stdout;
      assert.match(await version(), /^Starling version/);
      await writeFile(join(directory, 'swarm.cache'), 'not bytecode');
      assert.match(await version(), /^Starling version/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('is started through a link, from anywhere', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'swarm-link-'));
    try {
      await symlink(SWARM, join(directory, 'docker'));
      const { stdout } = await run(join(directory, 'docker'), ['swarm', 'join-token', '--help'], { cwd: '/' });
      assert.match(stdout, /^Usage: {2}swarm join-token/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
