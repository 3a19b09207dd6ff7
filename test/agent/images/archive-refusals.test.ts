/** Archives that must not get in: what is wrong with them as a whole, before anybody asks for images. */
import assert from 'node:assert/strict';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { chunks, dockerArchive, dockerMembers, type Member, ociArchive, tar } from '#test/fixtures/image-archive.ts';
import {
  changed,
  describeRefusals,
  device,
  file,
  goodLayer,
  hardlink,
  KIB,
  type Refusal,
  symlink,
} from './refused-archives.ts';
import { never } from './store-fixture.ts';

const members: readonly Refusal[] = [
  [
    'a member that climbs out',
    () => tar([...dockerMembers([{ layers: [goodLayer] }]), file('../evil')]),
    /leads out of the archive/,
  ],
  [
    'a member deep inside that climbs out',
    () => tar([...dockerMembers([{ layers: [goodLayer] }]), file('a/b/../../../evil')]),
    /leads out of the archive/,
  ],
  [
    'an absolute member',
    () => tar([...dockerMembers([{ layers: [goodLayer] }]), file('/etc/cron.d/evil')]),
    /leads out of the archive/,
  ],
  [
    'a link out of the archive',
    () => changed((members) => [...members, symlink('link', '../../etc/shadow')]),
    /out of the archive/,
  ],
  ['an absolute link', () => changed((members) => [...members, symlink('link', '/etc/shadow')]), /out of the archive/],
  [
    'a hard link in the archive',
    () => changed((members) => [...members, hardlink('link', 'manifest.json')]),
    /hardlink/,
  ],
  [
    'a device in the archive',
    () => changed((members) => [...members, device('sda', 'block-device', 8, 0)]),
    /block-device/,
  ],
  ['a member twice', () => changed((members) => [...members, members[0] as Member]), /there twice/],
  [
    'too many members',
    () => changed((members) => [...members, ...Array.from({ length: 120 }, (_, index) => file(`f${index}`))]),
    /more than 100 members/,
  ],
  ['an archive of nothing', () => tar([]), /empty/],
  ['an archive of something else', () => tar([file('readme')]), /neither a manifest.json nor an index.json/],
  ['the format of old Docker', () => tar([{ name: 'repositories', content: '{}' }, file('x')]), /Docker before 1.10/],
  ['no archive at all', () => Buffer.from('this is not an archive'.repeat(100)), /invalid (tar|image) archive/],
  ['a truncated archive', () => dockerArchive({ layers: [goodLayer] }).subarray(0, 2500), /ends in the middle/],
  ['an empty file', () => Buffer.alloc(0), /empty/],
  ['xz', () => Buffer.from('fd377a585a0000000000', 'hex'), /xz is not supported/],
  [
    'damaged gzip',
    () => {
      const packed = gzipSync(dockerArchive({ layers: [goodLayer] }));
      packed.fill(0xff, 100, 140);
      return packed;
    },
    /gzip data is damaged/,
  ],
  ['truncated gzip', () => gzipSync(dockerArchive({ layers: [goodLayer] })).subarray(0, 300), /gzip data is damaged/],
  [
    'damaged zstd',
    () => {
      const packed = zstdCompressSync(dockerArchive({ layers: [goodLayer] }));
      packed.fill(0xff, 40, 80);
      return packed;
    },
    /zstd data is damaged/,
  ],
];

/** A gzip layer whose diff id says what it unpacks to. */
function packedLayer(content: Buffer, pack: (bytes: Buffer) => Buffer, suffix: '+gzip' | '+zstd'): Buffer {
  return ociArchive({ layers: [content], names: ['evil:latest'], compress: { suffix, pack } });
}

const zeros = tar([{ name: 'zeros', content: Buffer.alloc(4 * KIB * KIB) }]);

const bombs: readonly Refusal[] = [
  [
    'a bomb around the archive',
    () =>
      gzipSync(
        tar([...dockerMembers([{ layers: [goodLayer] }]), { name: 'zeros', content: Buffer.alloc(6 * KIB * KIB) }]),
      ),
    /decompression bomb/,
  ],
  [
    'a zstd bomb around the archive',
    () =>
      zstdCompressSync(
        tar([...dockerMembers([{ layers: [goodLayer] }]), { name: 'zeros', content: Buffer.alloc(6 * KIB * KIB) }]),
      ),
    /decompression bomb/,
  ],
  ['a bomb as a layer', () => packedLayer(zeros, (bytes) => gzipSync(bytes), '+gzip'), /decompression bomb/],
  [
    'a zstd bomb as a layer',
    () => packedLayer(zeros, (bytes) => zstdCompressSync(bytes), '+zstd'),
    /decompression bomb/,
  ],
  [
    'an archive larger than allowed',
    () =>
      tar([
        ...dockerMembers([{ layers: [goodLayer] }]),
        { name: 'noise', content: Buffer.alloc(9 * KIB * KIB, 'noise') },
      ]),
    /larger than 8388608 bytes/,
  ],
];

describeRefusals('archives that are refused', members, (store) => {
  it('stores nothing of an archive whose second image is bad', async () => {
    const good = { layers: [goodLayer], names: ['good:latest'] };
    const bad = { layers: [tar([file('../evil')])], names: ['evil:latest'] };
    await assert.rejects(store().store.load(chunks(dockerArchive(good, bad)), never()), /leads out/);
    assert.deepEqual(await store().store.list(), []);
  });
});

describeRefusals('archives that are refused for their size', bombs);
