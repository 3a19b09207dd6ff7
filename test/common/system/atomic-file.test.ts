import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { fileError, makePrivateDirectory, writeFileAtomic } from '#common/system/atomic-file.ts';

describe('atomic files', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-atomic-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('are replaced whole, with the mode asked for whatever the umask is', async () => {
    const path = join(directory, 'file');
    const umask = process.umask(0o077);
    try {
      await writeFileAtomic(path, 'first, and long', 0o644);
      await writeFileAtomic(path, 'second', 0o640);
    } finally {
      process.umask(umask);
    }
    assert.equal(await readFile(path, 'utf8'), 'second');
    assert.equal((await stat(path)).mode & 0o7777, 0o640);
    assert.deepEqual(await readdir(directory), ['file']);
  });

  it('leave the old file and nothing beside it when they cannot be written', async () => {
    const path = join(directory, 'file');
    await mkdir(path); // a file cannot be renamed over a directory
    await assert.rejects(writeFileAtomic(path, 'x', 0o600), (error) => {
      assert.ok(error instanceof SwarmError);
      assert.equal(error.reason, 'corrupt-state');
      assert.match(error.message, /cannot write .*file: /);
      return true;
    });
    assert.deepEqual(await readdir(directory), ['file']);
  });

  it('say so when the disk is full', () => {
    const error = fileError(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' }), 'write x');
    assert.equal(error.reason, 'disk-full');
    assert.equal(error.code, 'exhausted');
  });

  it('private directories are closed to others, also when they were open before', async () => {
    const path = join(directory, 'a/b');
    await makePrivateDirectory(path);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    await chmod(path, 0o755);
    await makePrivateDirectory(path);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
  });
});
