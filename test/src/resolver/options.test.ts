/** Goal: the resolver starts with what the daemon gives it and with nothing else. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { LogFile } from '#src/resolver/log-file.ts';
import { parseResolverOptions } from '#src/resolver/options.ts';
import { resolverProgram } from '#src/resolver/program.ts';

describe('resolver: command line', () => {
  it('takes a directory, a version and whether it comes next', () => {
    assert.deepEqual(parseResolverOptions(['--directory', '/run/x', '--program-version', '1', '--next']), {
      directory: '/run/x',
      programVersion: '1',
      next: true,
    });
  });

  it('refuses everything else', () => {
    for (const args of [
      [],
      ['--directory', 'relative'],
      ['--directory', '/x', '--colour'],
      ['--directory', '/x', 'more'],
    ])
      assert.throws(
        () => parseResolverOptions(args),
        (error) => error instanceof SwarmError && error.reason === 'bad-flag',
        args.join(' '),
      );
  });

  it('the program stands beside the daemon and has a version of its own', async () => {
    const { node, entry, version } = await resolverProgram();
    assert.ok(existsSync(node) && existsSync(entry));
    assert.match(version, /^\d+\.\d+\.\d+\+[0-9a-f]{12}$/);
  });
});

describe('resolver: log file', () => {
  it('keeps to two files of bounded size, and to some lines a minute', () => {
    const directory = mkdtempSync(join(tmpdir(), 'starling-log-file-'));
    try {
      const path = join(directory, 'log');
      for (let writer = 0; writer < 20; writer++) {
        const log = new LogFile(path, { pid: 1 });
        for (let index = 0; index < 500; index++) log.with({ more: 'x'.repeat(1000) }).warn('said', { index });
      }
      assert.ok(statSync(path).size + statSync(`${path}.1`).size < 1.2 * 1024 * 1024);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const [line = ''] = readFileSync(path, 'utf8').split('\n');
      const { level, pid, msg } = JSON.parse(line) as { level: string; pid: number; msg: string };
      assert.deepEqual([level, pid, msg], ['warn', 1, 'said']);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
