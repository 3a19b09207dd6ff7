/** Goal: files of roots and keys are taken whole or refused by flag and path, whatever lies there; nothing is sent then. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from './support/run-cli.ts';

describe('cli: files of roots', () => {
  let directory = '';

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-roots-'));
    await writeFile(join(directory, 'empty'), '');
    await writeFile(join(directory, 'large'), 'x'.repeat(65_537));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const rotate = (...words: string[]) => runCli(['ca', '--rotate', ...words]);

  it('refuses an empty one, as if it were not there', async () => {
    const { stderr, exitCode } = await rotate('--ca-cert', join(directory, 'empty'));
    assert.equal(exitCode, 1);
    assert.match(stderr, /^--ca-cert: open .*empty: it is empty\nHint: /);
  });

  it('reads no more than a root may have, of devices neither', async () => {
    for (const path of ['/dev/zero', join(directory, 'large')]) {
      const { stderr, exitCode } = await rotate('--ca-key', path);
      assert.equal(exitCode, 1);
      assert.match(stderr, /^--ca-key: open .*: it is larger than 65536 bytes\nHint: /);
    }
  });

  it('says in words what a path is that is no file', async () => {
    assert.match((await rotate('--ca-cert', directory)).stderr, /^--ca-cert: open .*: is a directory\n/);
    assert.match(
      (await rotate('--ca-cert', join(directory, 'none'))).stderr,
      /^--ca-cert: open .*: no such file or directory\n/,
    );
    const words = `protocol=cfssl,url=https://ca,cacert=${directory}`;
    assert.match((await rotate('--external-ca', words)).stderr, /^--external-ca cacert: open .*: is a directory\n/);
  });
});
