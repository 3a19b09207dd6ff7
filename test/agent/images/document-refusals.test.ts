/** Archives of `docker save` that must not get in: manifests and configs that lie, or are no such thing. */
import assert from 'node:assert/strict';
import { chunks, dockerArchive, imageConfig, sha256, tar } from '#test/fixtures/image-archive.ts';
import { changed, describeRefusals, file, goodLayer, KIB, type Refusal } from './refused-archives.ts';
import { never } from './store-fixture.ts';

/** With these fields in every entry of the manifest. */
function withManifest(fields: Readonly<Record<string, unknown>>): Buffer {
  return changed((members) =>
    members.map((member) => {
      if (member.name !== 'manifest.json') return member;
      const manifest = JSON.parse(String(member.content)) as Record<string, unknown>[];
      return { ...member, content: JSON.stringify(manifest.map((entry) => ({ ...entry, ...fields }))) };
    }),
  );
}

function withManifestText(content: string): Buffer {
  return changed((members) =>
    members.map((member) => (member.name === 'manifest.json' ? { ...member, content } : member)),
  );
}

const refusals: readonly Refusal[] = [
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
  ['fewer layers than the config', () => withManifest({ Layers: [] }), /speaks of 1 layers/],
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
  ['a missing layer', () => withManifest({ Layers: ['nowhere'] }), /missing/],
  ['a layer outside', () => withManifest({ Layers: ['../../etc/shadow'] }), /missing/],
  ['a config outside', () => withManifest({ Config: '/etc/shadow' }), /missing/],
  ['a config that is no text', () => withManifest({ Config: 7 }), /Config is not a text/],
  ['a name with a path in it', () => withManifest({ RepoTags: ['../../evil:latest'] }), /not name:tag/],
  ['a name that is an option', () => withManifest({ RepoTags: ['--root=/:latest'] }), /not name:tag/],
  ['a name with a digest', () => withManifest({ RepoTags: [`evil@sha256:${'a'.repeat(64)}`] }), /not name:tag/],
  ['a manifest that is no JSON', () => withManifestText('[{'), /manifest.json: it is not JSON/],
  ['a manifest that is no list', () => withManifestText('{}'), /not a list/],
  ['a manifest without images', () => withManifestText('[]'), /holds no image/],
  ['a huge manifest', () => withManifestText(`[${' '.repeat(100 * KIB)}]`), /larger than 65536 bytes/],
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
        created: 7,
      }),
    /created is not a text/,
  ],
];

describeRefusals('manifests and configs that are refused', refusals, (store) => {
  it('is not fooled about the id', async () => {
    const config = imageConfig({ layers: [goodLayer] });
    const [loaded] = await store().store.load(chunks(dockerArchive({ layers: [goodLayer] })), never());
    assert.equal(loaded?.id, sha256(config));
    await store().store.remove(loaded.id, false, never());
  });
});
