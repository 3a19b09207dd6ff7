/**
 * Goal: the build context that is sent is the one that the docker CLI sends for the same directory and .dockerignore,
 * and nothing outside of the directory is read. Method: run the command on recorded trees and on hostile ones, and look
 * at the archive that the daemon gets.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { contextArchive } from '#src/cli/commands/image/context/context-archive.ts';
import { DockerIgnore } from '#src/cli/commands/image/context/docker-ignore.ts';
import { type CliResult, runCli } from '../support/run-cli.ts';
import { makeTree, membersOf } from './docker-reference/context-tree.ts';
import { type Member, type RecordedContext, recordedContexts } from './docker-reference/golden.ts';
import { type FakeImageDaemon, startFakeImageDaemon } from './fake-image-daemon.ts';

const DOCKERFILE = { Dockerfile: 'FROM scratch\n' };

let daemon: FakeImageDaemon;
let root: string | undefined;

async function build(words: readonly string[], stdin: Iterable<Uint8Array> = []): Promise<CliResult> {
  return runCli(['build', '--quiet', ...words], { api: { images: daemon.images }, stdin });
}

async function tree(files: Readonly<Record<string, string>>, dockerignore?: string): Promise<string> {
  root = await makeTree(files, dockerignore);
  return root;
}

async function succeeds(words: readonly string[], stdin?: Iterable<Uint8Array>): Promise<readonly Member[]> {
  const { exitCode, stderr } = await build(words, stdin);
  assert.equal(exitCode, 0, stderr);
  return membersOf(daemon.asked.received);
}

function names(members: readonly Member[]): readonly string[] {
  return members.map(({ name }) => name);
}

describe('cli: build contexts', () => {
  beforeEach(async () => {
    daemon = await startFakeImageDaemon();
  });

  afterEach(async () => {
    await daemon.close();
    if (root !== undefined) await rm(root, { recursive: true });
    root = undefined;
  });

  describe('are what Docker sends', () => {
    const { contexts, badIgnores } = recordedContexts();
    for (const context of contexts) it(context.name, () => sameAsDocker(context));

    for (const { dockerignore, exitCode } of badIgnores)
      it(`${exitCode === 0 ? 'takes' : 'refuses'} ${JSON.stringify(dockerignore)}`, async () => {
        const result = await build([await tree(DOCKERFILE, dockerignore)]);
        assert.equal(result.exitCode, exitCode, result.stderr);
      });
  });

  async function sameAsDocker(context: RecordedContext): Promise<void> {
    const directory = await tree(context.tree, context.dockerignore);
    const words = (context.words ?? []).map((word) => (word.startsWith('-') ? word : join(directory, word)));
    assert.deepEqual(await succeeds([...words, directory]), context.members);
    assert.equal(daemon.asked.builds[0]?.dockerfile, context.dockerfile);
  }

  it('take exceptions with wildcards back in from ignored directories', async () => {
    // Docker's classic builder does not look into them, BuildKit does.
    const files = { ...DOCKERFILE, 'a/b/keep.me': '', 'a/drop.it': '', 'c/d/keep.me': '', 'c/x': '' };
    const members = await succeeds([await tree(files, '*\n!**/keep.me\n')]);
    assert.deepEqual(names(members), ['.dockerignore', 'Dockerfile', 'a/b/keep.me', 'c/d/keep.me']);
  });

  it("go by the Dockerfile's own ignore file where there is one", async () => {
    const files = { 'web.Dockerfile': 'FROM scratch\n', 'web.Dockerfile.dockerignore': 'b\n', a: '', b: '' };
    const directory = await tree(files, 'a\n');
    const members = await succeeds(['-f', join(directory, 'web.Dockerfile'), directory]);
    assert.deepEqual(names(members), ['.dockerignore', 'a', 'web.Dockerfile', 'web.Dockerfile.dockerignore']);
  });

  it('hold links as links, wherever they lead', async () => {
    const directory = await tree(DOCKERFILE);
    await symlink('/etc/passwd', join(directory, 'file'));
    await symlink('/etc', join(directory, 'directory'));
    const members = await succeeds([directory]);
    assert.deepEqual(
      members.map(({ name, type, link, bytes }) => [name, type, link, bytes]),
      [
        ['Dockerfile', 'file', '', 13],
        ['directory', 'symlink', '/etc', 0],
        ['file', 'symlink', '/etc/passwd', 0],
      ],
    );
  });

  it('may be named through a link', async () => {
    const directory = await tree({ 'real/Dockerfile': 'FROM scratch\n' });
    await symlink('real', join(directory, 'link'));
    assert.deepEqual(names(await succeeds([join(directory, 'link')])), ['Dockerfile']);
  });

  it('hold names that are no UTF-8, and long ones', async () => {
    const directory = await tree(DOCKERFILE);
    const odd = Buffer.from('odd-\xff', 'latin1');
    await writeFile(Buffer.concat([Buffer.from(`${directory}/`), odd]), 'x');
    const long = join('d'.repeat(90), 'f'.repeat(90));
    await mkdir(join(directory, 'd'.repeat(90)));
    await writeFile(join(directory, long), 'x');
    await succeeds([directory]);
    assert.ok(daemon.asked.received.includes(odd));
    assert.ok(names(membersOf(daemon.asked.received)).includes(long));
  });

  it('are refused when something in them is neither file nor directory nor link, and sent when it is ignored', async () => {
    const directory = await tree(DOCKERFILE);
    await promisify(execFile)('mkfifo', [join(directory, 'pipe')]);
    const refused = await build([directory]);
    assert.equal(refused.exitCode, 1);
    assert.equal(
      refused.stderr,
      `${directory}/pipe is neither a file nor a directory nor a link\nHint: name it in .dockerignore\n`,
    );
    await writeFile(join(directory, '.dockerignore'), 'pipe\n');
    assert.deepEqual(names(await succeeds([directory])), ['.dockerignore', 'Dockerfile']);
  });

  it('are sent in pieces that the daemon takes', async () => {
    const directory = await tree(DOCKERFILE);
    const bytes = 8 * 1024 * 1024;
    await writeFile(join(directory, 'large'), Buffer.alloc(bytes, 'x'));
    const { exitCode, stderr } = await build([directory]);
    assert.equal(exitCode, 0, stderr);
    const { chunkBytes } = daemon.asked;
    assert.ok(chunkBytes.slice(0, -1).every((size) => size === 256 * 1024));
    assert.equal(
      chunkBytes.reduce((sum, size) => sum + size, 0),
      bytes + 5 * 512,
    );
  });

  it('are read no further than they are asked for', async () => {
    const directory = await tree({ Dockerfile: 'FROM scratch\n' });
    // A file of one hole takes no room on the disk, and nobody could hold it in memory.
    await writeFile(join(directory, 'large'), '');
    await truncate(join(directory, 'large'), 2 ** 40);
    let pieces = 0;
    for await (const piece of contextArchive({ root: directory, ignore: DockerIgnore.parse(''), extra: new Map() })) {
      assert.ok(piece.length <= 256 * 1024);
      if (++pieces === 100) break;
    }
    assert.equal(pieces, 100);
    const open = await readdir('/proc/self/fd');
    const paths = await Promise.all(open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    assert.ok(!paths.includes(join(directory, 'large')));
  });

  it('with a Dockerfile from elsewhere hold it under a name of its own that is not copied into images', async () => {
    const directory = await tree({
      'context/a': '',
      'other.Dockerfile': 'FROM scratch\n',
      'context/.dockerignore': 'b',
    });
    const members = await succeeds(['-f', join(directory, 'other.Dockerfile'), join(directory, 'context')]);
    const name = daemon.asked.builds[0]?.dockerfile ?? '';
    assert.match(name, /^\.dockerfile\.[0-9a-f]{20}$/);
    assert.deepEqual(names(members), ['a', name, '.dockerignore']);
    assert.ok(daemon.asked.received.includes(`b\n${name}\n`));
  });

  it('may have their Dockerfile on standard input', async () => {
    const directory = await tree({ a: '' });
    const members = await succeeds(['-f', '-', directory], [Buffer.from('FROM scr'), Buffer.from('atch\n')]);
    assert.deepEqual(names(members), ['a', daemon.asked.builds[0]?.dockerfile, '.dockerignore']);
    assert.ok(daemon.asked.received.includes('FROM scratch\n'));
  });

  it('may be a Dockerfile on standard input and nothing else', async () => {
    const members = await succeeds(['-'], [Buffer.from('FROM scratch\n')]);
    assert.deepEqual(names(members), ['Dockerfile']);
    assert.equal(daemon.asked.builds[0]?.dockerfile, '');
  });

  for (const flags of ['-c', '-cz'])
    it(`may be an archive on standard input (tar ${flags}), passed on as it is`, async () => {
      const directory = await tree({ ...DOCKERFILE, 'd/x': 'y' });
      const options = { encoding: 'buffer' } as const;
      const { stdout } = await promisify(execFile)('tar', [flags, '-C', directory, '.'], options);
      const { exitCode, stderr } = await build(['-f', 'other', '-'], [stdout.subarray(0, 3), stdout.subarray(3)]);
      assert.equal(exitCode, 0, stderr);
      assert.ok(daemon.asked.received.equals(stdout));
      assert.equal(daemon.asked.builds[0]?.dockerfile, 'other');
    });

  const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['addresses', ['https://127.0.0.1/x.git'], /builds from addresses are not supported/],
    ['a second Dockerfile', ['-f', 'x', '-'], /ambiguous Dockerfile source/],
    ['a directory as Dockerfile', ['-f', '/', '/'], /is not a file/],
  ];
  for (const [what, words, message] of refusals)
    it(`refuse ${what}`, async () => {
      const { exitCode, stderr } = await build(words, [Buffer.from('FROM scratch\n')]);
      assert.equal(exitCode, 1);
      assert.match(stderr, message);
      assert.deepEqual(daemon.asked.builds, []);
    });

  it('refuse a Dockerfile on standard input that does not end', async () => {
    const piece = Buffer.alloc(1024 * 1024, '#');
    function* endless(): Generator<Uint8Array> {
      for (;;) yield piece;
    }
    for (const words of [['-'], ['-f', '-', await tree(DOCKERFILE)]]) {
      const { exitCode, stderr } = await build(words, endless());
      assert.equal(exitCode, 1);
      assert.match(stderr, /larger than 4194304 bytes/);
    }
  });
});
