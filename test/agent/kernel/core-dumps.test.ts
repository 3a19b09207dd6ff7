/** Goal: no core dump has the keys of a daemon in it. Method: real processes that abort, where the kernel writes dumps to files. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skipBecause } from '#test/support/skip-because.ts';

const MODULE = new URL('../../../agent/kernel/core-dumps.ts', import.meta.url).href;

describe('core dumps', function () {
  this.timeout(60_000);
  let directory = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-core-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** What a process leaves in its directory that runs the statement and aborts. */
  async function left(statement: string): Promise<readonly string[]> {
    const script = `import { forbidCoreDumps, mayDumpCore } from '${MODULE}'; ${statement}; process.kill(process.pid, 'SIGABRT');`;
    const command = 'ulimit -c unlimited && exec "$@"';
    const node = [process.execPath, '--input-type=module', '-e', script];
    const child = spawn('sh', ['-c', command, 'sh', ...node], { cwd: directory, stdio: 'ignore' });
    const [, signal] = await once(child, 'exit');
    assert.equal(signal, 'SIGABRT', 'it got as far as its end');
    return readdir(directory);
  }

  it('are written of any process, and not of one that forbids them', async function () {
    this.slow(20_000);
    const pattern = (await readFile('/proc/sys/kernel/core_pattern', 'utf8')).trim();
    if (/[|/]/.test(pattern)) skipBecause(this, `core dumps of this host go elsewhere: ${pattern}`);
    assert.notDeepEqual(await left('mayDumpCore()'), [], 'the method shows dumps');
    await rm(directory, { recursive: true });
    directory = await mkdtemp(join(tmpdir(), 'starling-core-'));
    assert.deepEqual(await left('forbidCoreDumps()'), []);
  });

  it('of what such a process executes are as allowed as ever', async () => {
    const inner = `import { mayDumpCore } from '${MODULE}'; process.exit(mayDumpCore() ? 0 : 3);`;
    const outer = `import { spawnSync } from 'node:child_process'; import { forbidCoreDumps, mayDumpCore } from '${MODULE}';
      forbidCoreDumps(); if (mayDumpCore()) process.exit(4);
      process.exit(spawnSync(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(inner)}]).status ?? 5);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', outer], { stdio: 'ignore' });
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });
});
