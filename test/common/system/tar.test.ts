import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import type { TarEntry } from '#common/system/tar-header.ts';
import { TarReader } from '#common/system/tar-reader.ts';
import { type NewTarEntry, tarEnd, tarHeader, tarPadding } from '#common/system/tar-writer.ts';

const run = promisify(execFile);

interface ReadMember {
  readonly entry: TarEntry;
  readonly content: string;
}

/** Reads a whole archive, fed in pieces of the given size. */
function readAll(archive: Buffer, pieceBytes = 1000, entriesMax = 10_000): ReadMember[] {
  const reader = new TarReader({ entriesMax });
  const members: { entry: TarEntry; content: string; ended: boolean }[] = [];
  for (let start = 0; start < archive.length; start += pieceBytes)
    for (const event of reader.push(archive.subarray(start, start + pieceBytes))) {
      if (event.kind === 'entry') members.push({ entry: event.entry, content: '', ended: false });
      const last = members.at(-1);
      assert.ok(last !== undefined);
      if (event.kind === 'content') last.content += event.bytes.toString('latin1');
      if (event.kind === 'entry-end') last.ended = true;
    }
  reader.finish();
  assert.ok(members.every((member) => member.ended));
  return members;
}

function pack(...members: readonly (NewTarEntry & { readonly content?: string })[]): Buffer {
  return Buffer.concat([
    ...members.flatMap(({ content = '', ...entry }) => [
      tarHeader({ sizeBytes: content.length, ...entry }),
      Buffer.from(content, 'latin1'),
      tarPadding(content.length),
    ]),
    tarEnd(),
  ]);
}

/** Changes a header and puts its checksum right again. */
function forged(header: Buffer, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(header);
  change(copy);
  copy.write(' '.repeat(8), 148, 'latin1');
  const sum = copy.reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}

function paxHeader(records: string, typeFlag = 'x'): Buffer {
  const content = Buffer.from(records, 'latin1');
  const header = forged(tarHeader({ name: 'pax', sizeBytes: content.length }), (block) => block.write(typeFlag, 156));
  return Buffer.concat([header, content, tarPadding(content.length)]);
}

/** A record of an extended header with its right length (of less than 90 bytes). */
function record(key: string, value: string): string {
  const length = key.length + value.length + 3;
  return `${length + (length + 1 < 10 ? 1 : 2)} ${key}=${value}\n`;
}

function refuses(archive: Buffer, message: RegExp): void {
  for (const pieceBytes of [1, 511, 100_000])
    assert.throws(
      () => readAll(archive, pieceBytes, 100),
      (error: unknown) =>
        error instanceof SwarmError && error.reason === 'image-invalid' && message.test(error.message),
    );
}

describe('tar', () => {
  it('reads what GNU tar writes, in each of its formats', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-tar-'));
    try {
      const tree = join(directory, 'tree');
      const long = `${'d'.repeat(120)}/${'f'.repeat(130)}`;
      await mkdir(join(tree, 'd'.repeat(120)), { recursive: true });
      await writeFile(join(tree, 'file'), 'content', { mode: 0o640 });
      await writeFile(join(tree, long), 'x'.repeat(1000));
      await symlink('t'.repeat(150), join(tree, 'link'));
      await link(join(tree, 'file'), join(tree, 'zhard'));
      for (const format of ['gnu', 'pax', 'ustar', 'oldgnu', 'v7']) {
        const names = format === 'ustar' || format === 'v7' ? ['file', 'zhard'] : ['file', long, 'link', 'zhard'];
        const path = join(directory, `${format}.tar`);
        await run('tar', [`--format=${format}`, '-C', tree, '-cf', path, ...names]);
        const members = readAll(await readFile(path));
        assert.deepEqual(
          members.map(({ entry }) => entry.name),
          names,
          format,
        );
        const [file] = members;
        assert.equal(file?.content, 'content');
        assert.equal(file.entry.mode, 0o640);
        assert.deepEqual([members.at(-1)?.entry.type, members.at(-1)?.entry.linkName], ['hardlink', 'file']);
        if (names.length > 2) assert.equal(members[2]?.entry.linkName, 't'.repeat(150), format);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('reads what it writes, however it is cut into pieces', () => {
    const name = fc.stringMatching(/^[a-z]{1,60}(?:\/[a-z\xe9 ]{1,120}){0,4}$/);
    const member = fc.record({
      name,
      content: fc.string({ maxLength: 2000 }).map((text) => Buffer.from(text).toString('latin1')),
      mode: fc.nat(0o7777),
      userId: fc.nat(3_000_000),
      modifiedSeconds: fc.nat(4_000_000_000),
    });
    fc.assert(
      fc.property(fc.array(member, { maxLength: 5 }), fc.integer({ min: 1, max: 1500 }), (members, pieceBytes) => {
        const read = readAll(pack(...members), pieceBytes);
        assert.deepEqual(
          read.map(({ entry, content }) => [entry.name, content, entry.mode, entry.userId, entry.modifiedSeconds]),
          members.map((one) => [one.name, one.content, one.mode, one.userId, one.modifiedSeconds]),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('never throws anything but a refusal, and never hangs, on random bytes', () => {
    const header = tarHeader({ name: 'file', sizeBytes: 5 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048 }), fc.nat(511), (noise, at) => {
        const broken = Buffer.concat([header, Buffer.from(noise)]);
        broken.set(noise.subarray(0, 16), Math.min(at, broken.length - Math.min(16, noise.length)));
        try {
          readAll(broken);
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
        }
      }),
    );
  });

  const header = tarHeader({ name: 'file', sizeBytes: 4 });
  const content = Buffer.concat([Buffer.from('data'), tarPadding(4)]);
  const end = tarEnd();
  const refusals: readonly (readonly [what: string, archive: Buffer, message: RegExp])[] = [
    ['a wrong checksum', Buffer.concat([Buffer.from(header).fill('x', 0, 1), content, end]), /checksum/],
    ['an end in a header', header.subarray(0, 300), /ends in the middle/],
    ['an end in a content', Buffer.concat([header, content.subarray(0, 100)]), /ends in the middle/],
    ['an end before the member', paxHeader('15 path=x.....\n'), /ends in the middle/],
    ['something behind the end', Buffer.concat([header, content, end, header]), /behind its end/],
    ['a broken end mark', Buffer.concat([header, content, Buffer.alloc(512), header]), /end mark/],
    [
      'a size that is no number',
      Buffer.concat([forged(header, (b) => b.write('0000000zz04\0', 124)), end]),
      /not a number/,
    ],
    ['a negative size', Buffer.concat([forged(header, (b) => b.fill(0xff, 124, 136)), end]), /negative/],
    [
      'a size beyond all disks',
      Buffer.concat([forged(header, (b) => b.fill(0xff, 125, 136).fill(0x80, 124, 125)), end]),
      /too large/,
    ],
    ['an unknown type', Buffer.concat([forged(header, (b) => b.write('S', 156)), content, end]), /unsupported type/],
    [
      'a type named like a method',
      Buffer.concat([forged(header, (b) => b.write('c', 156)), content, end]),
      /unsupported type/,
    ],
    [
      'a directory with content',
      Buffer.concat([forged(header, (b) => b.write('5', 156)), content, end]),
      /with content/,
    ],
    ['an empty name', Buffer.concat([tarHeader({ name: '' }), end]), /empty name/],
    [
      'a link to nothing',
      Buffer.concat([tarHeader({ name: 'a', type: 'symlink', linkName: '' }), end]),
      /empty link target/,
    ],
    ['a part of a name too long for a file', Buffer.concat([tarHeader({ name: 'x'.repeat(256) }), end]), /too long/],
    ['a name too long for a path', Buffer.concat([tarHeader({ name: 'x/'.repeat(2100) }), end]), /too long/],
    ['a sparse file', Buffer.concat([paxHeader('22 GNU.sparse.major=1\n'), header, content, end]), /sparse/],
    ['a NUL in a name', Buffer.concat([paxHeader('12 path=a\0b\n'), header, content, end]), /NUL/],
    ['a record twice', Buffer.concat([paxHeader('10 path=a\n10 path=b\n'), header, content, end]), /twice/],
    ['a record with a wrong length', Buffer.concat([paxHeader('99 path=a\n'), header, content, end]), /malformed/],
    ['a record of length zero', Buffer.concat([paxHeader('0 path=a\n'), header, content, end]), /malformed/],
    ['a record without a key', Buffer.concat([paxHeader('6 =ab\n'), header, content, end]), /malformed/],
    ['an empty path record', Buffer.concat([paxHeader(record('path', '')), header, content, end]), /empty path/],
    [
      'two extended headers in a row',
      Buffer.concat([paxHeader('10 path=a\n'), paxHeader('10 path=b\n'), header, content, end]),
      /two extended/,
    ],
    [
      'a name in two extensions',
      Buffer.concat([paxHeader('10 path=a\n'), paxHeader('longname\0', 'L'), header, content, end]),
      /two extensions/,
    ],
    [
      'two long names',
      Buffer.concat([paxHeader('a\0', 'L'), paxHeader('b\0', 'L'), header, content, end]),
      /two long names/,
    ],
    ['an extended header at the end', Buffer.concat([paxHeader('10 path=a\n'), end]), /has no member/],
    [
      'an extended header without content',
      Buffer.concat([forged(tarHeader({ name: 'p' }), (b) => b.write('x', 156)), header, content, end]),
      /extended header of 0 bytes/,
    ],
    [
      'a giant extended header',
      Buffer.concat([forged(tarHeader({ name: 'p', sizeBytes: 2 ** 30 }), (b) => b.write('x', 156)), header]),
      /extended header of 1073741824 bytes/,
    ],
    ['the format of star', Buffer.concat([forged(header, (b) => b.write('tar\0', 508)), content, end]), /star/],
    [
      'too many members',
      Buffer.concat([...Array.from({ length: 101 }, () => tarHeader({ name: 'a' })), end]),
      /more than 100 members/,
    ],
  ];
  for (const [what, archive, message] of refusals) it(`refuses ${what}`, () => refuses(archive, message));

  it('takes the prefix of a name from POSIX headers only', () => {
    const posix = forged(tarHeader({ name: 'file' }), (block) => block.write('folder', 345));
    assert.equal(readAll(Buffer.concat([posix, end]))[0]?.entry.name, 'folder/file');
    const gnu = forged(posix, (block) => block.write('ustar  \0', 257, 'latin1'));
    assert.equal(readAll(Buffer.concat([gnu, end]))[0]?.entry.name, 'file');
  });

  it('leaves out records for all members, as Go does', () => {
    const [member] = readAll(Buffer.concat([paxHeader('13 path=evil\n', 'g'), header, content, end]));
    assert.equal(member?.entry.name, 'file');
  });

  it('tells of extended attributes, and of sizes in records', () => {
    const big = paxHeader(record('SCHILY.xattr.security.selinux', 'x') + record('size', '4'));
    const zero = forged(header, (block) => block.write('00000000000\0', 124));
    const [member] = readAll(Buffer.concat([big, zero, content, end]));
    assert.deepEqual(member?.entry.attributeNames, ['security.selinux']);
    assert.equal(member.content, 'data');
  });

  it('ends without an end mark only between members', () => {
    assert.equal(readAll(Buffer.concat([header, content])).length, 1);
    assert.equal(readAll(Buffer.concat([header, content, Buffer.alloc(512)])).length, 1);
  });
});
