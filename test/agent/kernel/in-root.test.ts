/**
 * Goal: no link leads a reader out of a root. Method: trees full of links, random ones too, where the answer is what a
 * process chrooted there gets.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { hasErrno } from '#agent/kernel/libc.ts';
import { readFileInRoot } from '#agent/kernel/openat2.ts';
import { resolveInRoot } from '#agent/kernel/resolve-in-root.ts';
import { spreadSubdirectories } from '#agent/kernel/spread-directories.ts';
import { statfs } from '#agent/kernel/statfs.ts';
import { skipBecause } from '#test/support/skip-because.ts';

describe('kernel: in a root', () => {
  let outer: string;
  let root: string;

  before(async () => {
    outer = await mkdtemp(join(tmpdir(), 'starling-root-'));
    root = join(outer, 'root');
    await mkdir(join(root, 'etc/sub'), { recursive: true });
    await writeFile(join(outer, 'secret'), 'of the host');
    await writeFile(join(root, 'etc/passwd'), 'of the image');
    await symlink('/etc/passwd', join(root, 'absolute'));
    await symlink('../../../../etc/passwd', join(root, 'etc/sub/upwards'));
    await symlink('../secret', join(root, 'outside'));
    await symlink('/proc/self/fd', join(root, 'descriptors'));
    await symlink('loop', join(root, 'loop'));
    await symlink('etc', join(root, 'directory'));
    await symlink('/nowhere/at/all', join(root, 'dangling'));
  });
  after(() => rm(outer, { recursive: true }));

  it('reads files inside, through links too', async () => {
    for (const path of [
      '/etc/passwd',
      'etc/passwd',
      '/absolute',
      '/etc/sub/upwards',
      '/directory/passwd',
      '/../../etc/passwd',
    ])
      assert.equal((await readFileInRoot(root, path, 100))?.toString(), 'of the image', path);
  });

  it('finds nothing outside, and nothing that is no file', async () => {
    for (const path of [
      '/outside',
      '/../secret',
      '/etc',
      '/loop',
      '/dangling',
      '/nothing',
      '/etc/passwd/x',
      '/descriptors/0',
    ])
      assert.equal(await readFileInRoot(root, path, 100), undefined, path);
  });

  it('does not wait for a FIFO', async () => {
    await promisify(execFile)('mkfifo', [join(root, 'fifo')]);
    assert.equal(await readFileInRoot(root, '/fifo', 100), undefined);
  });

  it('reads no more than allowed', async () => {
    await writeFile(join(root, 'large'), 'x'.repeat(200_000));
    assert.equal((await readFileInRoot(root, '/large', 200_000))?.length, 200_000);
    await assert.rejects(readFileInRoot(root, '/large', 199_999), (error) => hasErrno(error, 'EFBIG'));
  });

  it('says where paths lead, also those that do not exist', async () => {
    for (const [path, expected] of [
      ['/etc/passwd', '/etc/passwd'],
      ['/directory/new/file', '/etc/new/file'],
      ['/dangling/x', '/nowhere/at/all/x'],
      ['/descriptors/7', '/proc/self/fd/7'],
      ['/etc/sub/upwards', '/etc/passwd'],
      ['/outside', '/secret'],
      ['/../..', '/'],
      ['/a/../b/./c', '/b/c'],
      ['/absolute/x', '/etc/passwd/x'],
    ] as const)
      assert.equal(await resolveInRoot(root, path), expected, path);
    await assert.rejects(resolveInRoot(root, '/loop'), (error) => hasErrno(error, 'ELOOP'));
  });

  it('agrees with a process that is chrooted there', async function (this: Mocha.Context) {
    if (process.getuid?.() !== 0) skipBecause(this, 'chroot needs root');
    await copyFile('/bin/busybox', join(root, 'busybox')).catch(() => skipBecause(this, 'no /bin/busybox'));
    const segment = fc.constantFrom('a', 'b', 'c', '..', '.');
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    const target = fc.tuple(fc.boolean(), path).map(([absolute, text]) => (absolute ? `/${text}` : text));
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(path, target), { maxLength: 6 }), path, async (links, question) => {
        const tree = join(root, `tree${count++}`);
        await mkdir(join(tree, 'a/b'), { recursive: true });
        await copyFile('/bin/busybox', join(tree, 'busybox'));
        // Links are made by the chrooted program itself: made from here they could be followed out of the tree.
        for (const [at, to] of links)
          await promisify(execFile)('chroot', [tree, '/busybox', 'ln', '-s', '--', to, `/${at}`]).catch(() => {});
        // Of a link to nowhere busybox knows the end only once it is there: the kernel makes it where the link leads.
        const inside = async (...command: readonly string[]): Promise<string | undefined> =>
          promisify(execFile)('chroot', [tree, '/busybox', ...command]).then(
            ({ stdout }) => stdout,
            () => undefined,
          );
        const isThere = (await inside('test', '-e', `/${question}`)) !== undefined;
        if (!isThere) await inside('touch', '--', `/${question}`);
        const answer = (await inside('readlink', '-f', `/${question}`))?.trim().replaceAll(/\/+/g, '/');
        if (!isThere && answer !== undefined && answer !== '') await inside('rm', '-f', '--', answer);
        if (answer === undefined || answer === '') return;
        assert.equal(await resolveInRoot(tree, `/${question}`), answer);
      }),
      { numRuns: 25 },
    );
  });

  it('has subdirectories spread where the file system can, and does no harm where not', async () => {
    for (const directory of [outer, '/proc', '/dev/shm']) await spreadSubdirectories(directory);
    await spreadSubdirectories(outer);
    const { stdout } = await promisify(execFile)('lsattr', ['-d', outer]).catch(() => ({ stdout: 'T' }));
    const type = await promisify(execFile)('stat', ['-f', '-c', '%T', outer]);
    if (type.stdout.startsWith('ext')) assert.match(stdout.split(' ')[0] ?? '', /T/);
  });

  it('knows file systems apart', async () => {
    assert.equal((await statfs('/proc')).kind, 'proc');
    const status = await statfs(outer);
    assert.ok(status.totalBytes >= status.availableBytes && status.availableBytes > 0);
    assert.ok(status.availableInodes > 0);
  });
});
