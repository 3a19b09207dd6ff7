/**
 * Archives that must not get in (security classes 5 to 7): each is crafted here, given to a real store, refused with
 * `image-invalid` and a message that says why, and leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { IMAGE_TUNING } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import {
  chunks,
  dockerArchive,
  dockerMembers,
  imageConfig,
  type Member,
  type OciInput,
  ociArchive,
  ociMembers,
  sha256,
  tar,
} from '#test/fixtures/image-archive.ts';
import { never, requireBuildah, StoreFixture } from './store-fixture.ts';

const KIB = 1024;
const LIMITS = {
  ...IMAGE_TUNING.archive,
  archiveBytesMax: 8 * KIB * KIB,
  unpackedBytesMax: 16 * KIB * KIB,
  ratioFreeBytes: 1 * KIB * KIB,
  ratioMax: 50,
  membersMax: 100,
  entriesMax: 50,
  documentBytesMax: 64 * KIB,
  layersMax: 5,
  imagesMax: 3,
};

const file = (name: string): Member => ({ name, content: 'x' });
const goodLayer = tar([file('good')]);
const symlink = (name: string, linkName: string): Member => ({ name, linkName, type: 'symlink' });
const hardlink = (name: string, linkName: string): Member => ({ name, linkName, type: 'hardlink' });
const device = (name: string, type: 'character-device' | 'block-device', major: number, minor: number): Member => ({
  name,
  type,
  deviceMajor: major,
  deviceMinor: minor,
});

/** A docker archive with one image of one layer. */
function withLayer(...members: readonly Member[]): Buffer {
  return dockerArchive({ layers: [tar(members)], names: ['evil:latest'] });
}

/** A docker archive whose members are changed before they are packed. */
function changed(change: (members: Member[]) => Member[]): Buffer {
  return tar(change(dockerMembers([{ layers: [goodLayer], names: ['evil:latest'] }])));
}

function withManifest(change: (entry: Record<string, unknown>) => void): Buffer {
  return changed((members) =>
    members.map((member) => {
      if (member.name !== 'manifest.json') return member;
      const manifest = JSON.parse(String(member.content)) as Record<string, unknown>[];
      for (const entry of manifest) change(entry);
      return { ...member, content: JSON.stringify(manifest) };
    }),
  );
}

function oci(changes: Partial<OciInput>): Buffer {
  return ociArchive({ layers: [goodLayer], names: ['evil:latest'], ...changes });
}

/** An OCI archive with the content of one blob changed but not its name. */
function tampered(which: (member: Member) => boolean): Buffer {
  const members = ociMembers({ layers: [goodLayer], names: ['evil:latest'] });
  const index = members.findIndex((member) => which(member));
  assert.notEqual(index, -1);
  return tar(
    members.map((member, at) => {
      if (at !== index) return member;
      const bytes = Buffer.from(member.content ?? '');
      bytes.write('y', bytes.length - 2);
      return { ...member, content: bytes };
    }),
  );
}

function firstLayer(manifest: Record<string, unknown>): Record<string, unknown> {
  const [layer] = manifest['layers'] as Record<string, unknown>[];
  assert.ok(layer !== undefined);
  return layer;
}

/** A gzip layer whose diff id says what it unpacks to. */
function packedLayer(content: Buffer, pack: (bytes: Buffer) => Buffer, suffix: '+gzip' | '+zstd'): Buffer {
  return ociArchive({ layers: [content], names: ['evil:latest'], compress: { suffix, pack } });
}

const zeros = tar([{ name: 'zeros', content: Buffer.alloc(4 * KIB * KIB) }]);

const refusals: readonly (readonly [what: string, archive: () => Buffer, message: RegExp])[] = [
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

  ['a layer that climbs out', () => withLayer(file('../../etc/passwd')), /leads out of it/],
  ['a layer with a hidden climb', () => withLayer(file('usr/../../x')), /leads out of it/],
  ['a layer with an absolute member', () => withLayer(file('/etc/passwd')), /leads out of it/],
  ['a layer whose hard link climbs out', () => withLayer(hardlink('shadow', '../../etc/shadow')), /leads out of it/],
  ['a layer with an absolute hard link', () => withLayer(hardlink('shadow', '/etc/shadow')), /leads out of it/],
  [
    'a layer that writes through an absolute link',
    () => withLayer(symlink('out', '/'), file('out/etc/cron.d/evil')),
    /goes through the link/,
  ],
  [
    'a layer that writes through a climbing link',
    () => withLayer(symlink('a/out', '../../..'), file('a/out/evil')),
    /goes through the link/,
  ],
  [
    'a layer that writes far below a link',
    () => withLayer(symlink('out', '/tmp'), file('out/a/b/c')),
    /goes through the link/,
  ],
  [
    'a layer that links through a link',
    () => withLayer(symlink('out', '/etc'), hardlink('x', 'out/shadow')),
    /goes through the link/,
  ],
  ['a layer with a disk', () => withLayer(device('dev/sda', 'block-device', 8, 0)), /block-device 8:0/],
  ['a layer with the memory', () => withLayer(device('dev/mem', 'character-device', 1, 1)), /character-device 1:1/],
  ['a layer that replaces its root', () => withLayer(symlink('.', '/')), /replaces its root/],
  ['a whiteout of the parent', () => withLayer(file('a/.wh...')), /malformed whiteout/],
  ['a whiteout of nothing', () => withLayer(file('a/.wh.')), /malformed whiteout/],
  ['unknown metadata of AUFS', () => withLayer(file('.wh..wh.evil')), /malformed whiteout/],
  [
    'a layer with too many files',
    () => withLayer(...Array.from({ length: 60 }, (_, index) => file(`f${index}`))),
    /more than 50 members/,
  ],
  [
    'layers with too many files together',
    () =>
      dockerArchive({
        layers: [0, 1, 2].map((layer) => tar(Array.from({ length: 20 }, (_, index) => file(`${layer}.${index}`)))),
      }),
    /more than 10 members/,
  ],
  [
    'a layer that is no tar',
    () => {
      const noise = Buffer.from('noise'.repeat(500));
      return dockerArchive({ layers: [noise] });
    },
    /invalid tar archive/,
  ],
  ['a truncated layer', () => dockerArchive({ layers: [goodLayer.subarray(0, 700)] }), /ends in the middle/],

  [
    'a layer that is not what the config says',
    () =>
      changed((members) =>
        members.map((member) =>
          member.name.endsWith('layer.tar') ? { ...member, content: tar([file('other')]) } : member,
        ),
      ),
    /but the config says/,
  ],
  [
    'a config that is not what its name says',
    () =>
      changed((members) =>
        members.map((member) =>
          /^[a-f0-9]{64}\.json$/.test(member.name) ? { ...member, content: `${String(member.content)} ` } : member,
        ),
      ),
    /not its name/,
  ],
  [
    'fewer layers than the config',
    () =>
      withManifest((entry) => {
        entry['Layers'] = [];
      }),
    /speaks of 1 layers/,
  ],
  [
    'more layers than allowed',
    () => dockerArchive({ layers: Array.from({ length: 6 }, (_, index) => tar([file(`f${index}`)])) }),
    /Layers has 6 entries/,
  ],
  [
    'more images than allowed',
    () => dockerArchive(...Array.from({ length: 4 }, (_, index) => ({ layers: [tar([file(`f${index}`)])] }))),
    /has 4 entries/,
  ],
  [
    'a missing layer',
    () =>
      withManifest((entry) => {
        entry['Layers'] = ['nowhere'];
      }),
    /missing/,
  ],
  [
    'a layer outside',
    () =>
      withManifest((entry) => {
        entry['Layers'] = ['../../etc/shadow'];
      }),
    /missing/,
  ],
  [
    'a config outside',
    () =>
      withManifest((entry) => {
        entry['Config'] = '/etc/shadow';
      }),
    /missing/,
  ],
  [
    'a config that is no text',
    () =>
      withManifest((entry) => {
        entry['Config'] = 7;
      }),
    /Config is not a text/,
  ],
  [
    'a name with a path in it',
    () =>
      withManifest((entry) => {
        entry['RepoTags'] = ['../../evil:latest'];
      }),
    /not name:tag/,
  ],
  [
    'a name that is an option',
    () =>
      withManifest((entry) => {
        entry['RepoTags'] = ['--root=/:latest'];
      }),
    /not name:tag/,
  ],
  [
    'a name with a digest',
    () =>
      withManifest((entry) => {
        entry['RepoTags'] = [`evil@sha256:${'a'.repeat(64)}`];
      }),
    /not name:tag/,
  ],
  [
    'a manifest that is no JSON',
    () =>
      changed((members) =>
        members.map((member) => (member.name === 'manifest.json' ? { ...member, content: '[{' } : member)),
      ),
    /manifest.json: it is not JSON/,
  ],
  [
    'a manifest that is no list',
    () =>
      changed((members) =>
        members.map((member) => (member.name === 'manifest.json' ? { ...member, content: '{}' } : member)),
      ),
    /not a list/,
  ],
  [
    'a manifest without images',
    () =>
      changed((members) =>
        members.map((member) => (member.name === 'manifest.json' ? { ...member, content: '[]' } : member)),
      ),
    /holds no image/,
  ],
  [
    'a huge manifest',
    () =>
      changed((members) =>
        members.map((member) =>
          member.name === 'manifest.json' ? { ...member, content: `[${' '.repeat(100 * KIB)}]` } : member,
        ),
      ),
    /larger than 65536 bytes/,
  ],
  [
    'a huge config',
    () => dockerArchive({ layers: [goodLayer], config: { Labels: { x: 'y'.repeat(100 * KIB) } } }),
    /larger than 65536 bytes/,
  ],
  [
    'a config of the wrong shape',
    () => dockerArchive({ layers: [goodLayer], config: { Env: 'PATH=/' } }),
    /Env is not a list/,
  ],
  ['a config with a NUL', () => dockerArchive({ layers: [goodLayer], config: { Cmd: ['a\0b'] } }), /NUL/],
  [
    'a deeply nested config',
    () =>
      dockerArchive({
        layers: [goodLayer],
        config: JSON.parse(`${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`) as Record<string, unknown>,
        created: 7 as unknown as string,
      }),
    /created is not a text/,
  ],

  [
    'a tampered layer blob',
    () => tampered((member) => String(member.content).includes('good')),
    /invalid (image|tar) archive/,
  ],
  [
    'a tampered manifest blob',
    () => tampered((member) => String(member.content).includes('"layers"') && member.name.startsWith('blobs')),
    /has the digest/,
  ],
  ['a tampered config blob', () => tampered((member) => String(member.content).includes('rootfs')), /has the digest/],
  [
    'a digest that is a path',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['digest'] = 'sha256:../../../etc/shadow';
        },
      }),
    /not a sha256 digest/,
  ],
  [
    'a digest of another kind',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['digest'] = `md5:${'a'.repeat(32)}`;
        },
      }),
    /not a sha256 digest/,
  ],
  [
    'a digest in capitals',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['digest'] = String(d['digest']).toUpperCase().replace('SHA', 'sha');
        },
      }),
    /not a sha256 digest/,
  ],
  [
    'a size that is not the size',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['size'] = 7;
        },
      }),
    /bytes, not 7/,
  ],
  [
    'a blob that is missing',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['digest'] = `sha256:${'a'.repeat(64)}`;
        },
      }),
    /is missing/,
  ],
  [
    'content from elsewhere',
    () =>
      oci({
        changeManifest: (m) => {
          firstLayer(m)['urls'] = ['http://127.0.0.1/'];
        },
      }),
    /fetched from elsewhere/,
  ],
  [
    'a layer of an unknown type',
    () =>
      oci({
        changeManifest: (m) => {
          firstLayer(m)['mediaType'] = 'text/html';
        },
      }),
    /a layer is of the type/,
  ],
  [
    'a layer not to be distributed',
    () =>
      oci({
        changeManifest: (m) => {
          firstLayer(m)['mediaType'] = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
        },
      }),
    /a layer is of the type/,
  ],
  [
    'an artifact that is no image',
    () =>
      oci({
        changeManifest: (m) => {
          (m['config'] as Record<string, unknown>)['mediaType'] = 'application/vnd.oci.empty.v1+json';
        },
      }),
    /its config is of the type/,
  ],
  [
    'a manifest that is an index too',
    () =>
      oci({
        changeManifest: (m) => {
          m['manifests'] = [];
        },
      }),
    /not what its media type says/,
  ],
  [
    'a manifest that claims another type',
    () =>
      oci({
        changeManifest: (m) => {
          m['mediaType'] = 'application/vnd.oci.image.index.v1+json';
        },
      }),
    /not what its media type says/,
  ],
  [
    'a manifest called an index',
    () =>
      oci({
        changeDescriptor: (d) => {
          d['mediaType'] = 'application/vnd.oci.image.index.v1+json';
        },
      }),
    /no image for|not what/,
  ],
  [
    'a layer list that is short',
    () =>
      oci({
        changeManifest: (m) => {
          m['layers'] = [];
        },
      }),
    /has 0 layers/,
  ],
  [
    'a bad name in the index',
    () => oci({ annotations: { 'org.opencontainers.image.ref.name': '../evil:1' } }),
    /holds the name/,
  ],
  [
    'a layout of the future',
    () =>
      tar(
        ociMembers({ layers: [goodLayer] }).map((member) =>
          member.name === 'oci-layout' ? { ...member, content: '{"imageLayoutVersion":"9"}' } : member,
        ),
      ),
    /version is not 1/,
  ],
  ['an index in an index in an index', () => nestedIndex(3), /nested too deeply/],

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

/** Index documents, each holding the next, with an image at the bottom. */
function nestedIndex(depth: number): Buffer {
  const members = ociMembers({ layers: [goodLayer] });
  const first = members.find((member) => member.name === 'index.json');
  let inner = (JSON.parse(String(first?.content)) as { manifests: Record<string, unknown>[] }).manifests[0];
  const blobs: Member[] = [];
  for (let level = 0; level < depth; level++) {
    const platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ ...inner, platform }] }));
    blobs.push({ name: `blobs/sha256/${sha256(index)}`, content: index });
    inner = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: `sha256:${sha256(index)}`,
      size: index.length,
    };
  }
  const top = { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [inner] }) };
  return tar([...members.filter((member) => member !== first), ...blobs, top]);
}

describe('archives that are refused', function () {
  this.timeout(20_000);
  let fixture: StoreFixture;

  before(async function () {
    requireBuildah(this);
    fixture = await StoreFixture.make({ tuning: { archive: LIMITS } });
  });

  after(() => fixture?.remove());

  for (const [what, archive, message] of refusals)
    it(what, async () => {
      await assert.rejects(fixture.store.load(chunks(archive(), 10_000), never()), (error: unknown) => {
        assert.ok(error instanceof SwarmError, String(error));
        assert.equal(error.reason, 'image-invalid', error.message);
        assert.match(error.message, message);
        assert.notEqual(error.hint, undefined);
        return true;
      });
      assert.deepEqual(await fixture.leftovers(), []);
      assert.deepEqual(await fixture.store.list(), []);
    });

  it('refuses a layer with attributes of overlay file systems', async () => {
    const attribute = 'trusted.overlay.redirect';
    const content = `${`SCHILY.xattr.${attribute}`.length + 9} SCHILY.xattr.${attribute}=/etc\n`;
    const pax = tar([{ name: 'pax', content }]).subarray(0, 1024);
    pax.write('x', 156);
    pax.write(' '.repeat(8), 148);
    const sum = pax.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    pax.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    const layer = Buffer.concat([pax, goodLayer]);
    await assert.rejects(fixture.store.load(chunks(dockerArchive({ layers: [layer] })), never()), /trusted.overlay/);
  });

  it('stores nothing of an archive whose second image is bad', async () => {
    const good = { layers: [goodLayer], names: ['good:latest'] };
    const bad = { layers: [tar([file('../evil')])], names: ['evil:latest'] };
    await assert.rejects(fixture.store.load(chunks(dockerArchive(good, bad)), never()), /leads out/);
    assert.deepEqual(await fixture.store.list(), []);
  });

  it('has room for what is odd but honest', async () => {
    const layer = tar([
      { name: './', type: 'directory', mode: 0o755 },
      { name: './etc/', type: 'directory' },
      symlink('./etc/mtab', '/proc/mounts'),
      { name: 'usr/lib/', type: 'directory', mode: 0o755 },
      symlink('./lib', 'usr/lib'),
      file('./lib/through-a-link-inside'),
      device('dev/null', 'character-device', 1, 3),
      { name: 'fifo', type: 'fifo' },
      { name: 'su', content: 'x', mode: 0o4755, userId: 0 },
      file('gr\xfcn'),
      hardlink('again', 'su'),
      symlink('climbing', '../../../etc/passwd'),
      file('.wh.gone'),
      file('etc/.wh..wh..opq'),
    ]);
    const [loaded] = await fixture.store.load(chunks(dockerArchive({ layers: [layer], names: ['odd:1'] })), never());
    assert.deepEqual(loaded?.names, ['odd:1']);
    await fixture.store.remove('odd:1', false, never());
  });

  it('is not fooled about the id', async () => {
    const config = imageConfig({ layers: [goodLayer] });
    const [loaded] = await fixture.store.load(chunks(dockerArchive({ layers: [goodLayer] })), never());
    assert.equal(loaded?.id, sha256(config));
    await fixture.store.remove(loaded.id, false, never());
  });
});
