/** Archives in the OCI layout that must not get in: blobs and descriptors that do not fit each other. */
import assert from 'node:assert/strict';
import { type Member, type OciInput, ociArchive, ociMembers, sha256, tar } from '#test/fixtures/image-archive.ts';
import { describeRefusals, goodLayer, type Refusal } from './refused-archives.ts';

type Fields = Readonly<Record<string, unknown>>;

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

function withDescriptor(fields: Fields): Buffer {
  return oci({ changeDescriptor: (descriptor) => Object.assign(descriptor, fields) });
}

function withOciManifest(fields: Fields): Buffer {
  return oci({ changeManifest: (manifest) => Object.assign(manifest, fields) });
}

function withOciLayer(fields: Fields): Buffer {
  return oci({ changeManifest: (manifest) => Object.assign(firstLayer(manifest), fields) });
}

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

const refusals: readonly Refusal[] = [
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
  ['a digest that is a path', () => withDescriptor({ digest: 'sha256:../../../etc/shadow' }), /not a sha256 digest/],
  ['a digest of another kind', () => withDescriptor({ digest: `md5:${'a'.repeat(32)}` }), /not a sha256 digest/],
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
  ['a size that is not the size', () => withDescriptor({ size: 7 }), /bytes, not 7/],
  ['a blob that is missing', () => withDescriptor({ digest: `sha256:${'a'.repeat(64)}` }), /is missing/],
  ['content from elsewhere', () => withOciLayer({ urls: ['http://127.0.0.1/'] }), /fetched from elsewhere/],
  ['a layer of an unknown type', () => withOciLayer({ mediaType: 'text/html' }), /a layer is of the type/],
  [
    'a layer not to be distributed',
    () => withOciLayer({ mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }),
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
  ['a manifest that is an index too', () => withOciManifest({ manifests: [] }), /not what its media type says/],
  [
    'a manifest that claims another type',
    () => withOciManifest({ mediaType: 'application/vnd.oci.image.index.v1+json' }),
    /not what its media type says/,
  ],
  [
    'a manifest called an index',
    () => withDescriptor({ mediaType: 'application/vnd.oci.image.index.v1+json' }),
    /no image for|not what/,
  ],
  ['a layer list that is short', () => withOciManifest({ layers: [] }), /has 0 layers/],
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
];

describeRefusals('OCI archives that are refused', refusals);
