/** Archives in the OCI image layout: index.json leads to manifests, these to configs and layers, all by digest. */
import { canonicalName, isDigest, parseImageReference } from '#common/image-reference.ts';
import type { ArchiveLimits } from '../config.ts';
import { JsonReader } from '../json.ts';
import { parseImageDocument } from '../storage/image-config.ts';
import { invalidImage } from './archive-error.ts';
import type { ArchivedImage } from './archived-image.ts';
import type { SpooledArchive, SpooledMember } from './spool.ts';
import { digestOf } from './verify-layer.ts';

const INDEX_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const CONFIG_TYPES: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
const LAYER_TYPE =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[.+](?:gzip|zstd))?$/;
const CONTAINERD_NAME = 'io.containerd.image.name';
const REFERENCE_NAME = 'org.opencontainers.image.ref.name';
/** An index may hold an index of platforms; deeper nesting has no meaning. */
const DEPTH_MAX = 2;

export interface WantedPlatform {
  readonly os: string;
  readonly architecture: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform: WantedPlatform | undefined;
}

function readDescriptor(reader: JsonReader, value: unknown): Descriptor {
  const entry = reader.object(value, 'a descriptor');
  const digest = reader.text(entry['digest'], 'digest');
  if (!isDigest(digest)) throw reader.fail(`${JSON.stringify(digest.slice(0, 100))} is not a sha256 digest`);
  if (reader.list(entry['urls'], 'urls', 100).length > 0)
    throw reader.fail('it has content that would have to be fetched from elsewhere');
  const platform = reader.optionalObject(entry['platform'], 'platform');
  return {
    mediaType: reader.text(entry['mediaType'], 'mediaType'),
    digest,
    sizeBytes: reader.integer(entry['size'], 'size'),
    annotations: reader.textMap(entry['annotations'], 'annotations'),
    platform: platform && {
      os: reader.text(platform['os'], 'platform.os'),
      architecture: reader.text(platform['architecture'], 'platform.architecture'),
    },
  };
}

/** `blobs/sha256/...` with the size that the descriptor says. */
function blobFor(archive: SpooledArchive, descriptor: Descriptor): SpooledMember & { readonly name: string } {
  const name = `blobs/sha256/${descriptor.digest.slice('sha256:'.length)}`;
  const member = archive.find(name);
  if (member === undefined) throw invalidImage(`the blob ${descriptor.digest} is missing`);
  if (member.name !== name) throw invalidImage(`the blob ${descriptor.digest} is a link`);
  if (member.sizeBytes !== descriptor.sizeBytes)
    throw invalidImage(`the blob ${descriptor.digest} has ${member.sizeBytes} bytes, not ${descriptor.sizeBytes}`);
  return member;
}

async function documentOf(archive: SpooledArchive, descriptor: Descriptor, limits: ArchiveLimits): Promise<string> {
  const member = blobFor(archive, descriptor);
  const text = await archive.readDocument(member, limits);
  const digest = await digestOf(archive, member);
  if (digest !== descriptor.digest) throw invalidImage(`the blob ${descriptor.digest} has the digest ${digest}`);
  return text.toString('utf8');
}

/** The names that the index gives to an image: in whole, or, as skopeo writes it, name:tag. */
function namesOf(annotations: Readonly<Record<string, string>>): readonly string[] {
  const full = annotations[CONTAINERD_NAME];
  const short = annotations[REFERENCE_NAME] ?? '';
  // A word alone is a tag by the specification, and a tag alone is no name.
  const text = full ?? (/[:/]/.test(short) ? short : undefined);
  if (text === undefined) return [];
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw invalidImage(`index.json holds the name ${JSON.stringify(text.slice(0, 200))}`);
  return [canonicalName({ ...parsed.value, tag: parsed.value.tag ?? 'latest', digest: undefined })];
}

class OciReader {
  readonly #archive: SpooledArchive;
  readonly #limits: ArchiveLimits;
  readonly #platform: WantedPlatform;
  readonly images: ArchivedImage[] = [];

  constructor(archive: SpooledArchive, limits: ArchiveLimits, platform: WantedPlatform) {
    this.#archive = archive;
    this.#limits = limits;
    this.#platform = platform;
  }

  async readIndex(text: string, what: string, inherited: readonly string[], depth: number): Promise<void> {
    const reader = new JsonReader(what);
    const index = reader.object(reader.parse(text), 'it');
    const all = reader
      .list(index['manifests'], 'manifests', this.#limits.imagesMax)
      .map((entry) => readDescriptor(reader, entry));
    // Within an index of platforms one is wanted; attestations say that they are for none.
    const wanted = depth === 0 ? all : all.filter((descriptor) => this.#matches(descriptor)).slice(0, 1);
    if (wanted.length === 0)
      throw invalidImage(
        `it has no image for ${this.#platform.os}/${this.#platform.architecture}`,
        'save the image for the platform of this node',
      );
    for (const descriptor of wanted) {
      const names = depth === 0 ? namesOf(descriptor.annotations) : inherited;
      const content = await documentOf(this.#archive, descriptor, this.#limits);
      if (INDEX_TYPES.includes(descriptor.mediaType)) {
        if (depth + 1 >= DEPTH_MAX) throw invalidImage('its indexes are nested too deeply');
        await this.readIndex(content, `index ${descriptor.digest}`, names, depth + 1);
      } else if (MANIFEST_TYPES.includes(descriptor.mediaType)) await this.#readManifest(descriptor, content, names);
      else
        throw invalidImage(`${descriptor.digest} is of the type ${JSON.stringify(descriptor.mediaType)}, not an image`);
    }
  }

  #matches(descriptor: Descriptor): boolean {
    const { platform } = descriptor;
    return platform?.os === this.#platform.os && platform.architecture === this.#platform.architecture;
  }

  async #readManifest(descriptor: Descriptor, text: string, names: readonly string[]): Promise<void> {
    const reader = new JsonReader(`manifest ${descriptor.digest}`);
    const manifest = reader.object(reader.parse(text), 'it');
    const declared = reader.text(manifest['mediaType'], 'mediaType');
    // One document must not be read as two things.
    if (
      (declared !== '' && declared !== descriptor.mediaType) ||
      manifest['manifests'] !== undefined ||
      manifest['fsLayers'] !== undefined
    )
      throw reader.fail('it is not what its media type says');
    const config = readDescriptor(reader, manifest['config']);
    if (!CONFIG_TYPES.includes(config.mediaType))
      throw reader.fail(`its config is of the type ${JSON.stringify(config.mediaType)}`);
    const layers = reader
      .list(manifest['layers'], 'layers', this.#limits.layersMax)
      .map((entry) => readDescriptor(reader, entry));
    for (const layer of layers)
      if (!LAYER_TYPE.test(layer.mediaType))
        throw reader.fail(`a layer is of the type ${JSON.stringify(layer.mediaType)}`);
    const document = parseImageDocument(
      await documentOf(this.#archive, config, this.#limits),
      `config ${config.digest}`,
    );
    if (document.diffIds.length !== layers.length)
      throw reader.fail(`it has ${layers.length} layers, its config speaks of ${document.diffIds.length}`);
    this.images.push({
      id: config.digest.slice('sha256:'.length),
      names,
      layers: layers.map((layer) => blobFor(this.#archive, layer)),
      diffIds: document.diffIds,
      transport: 'oci-archive',
      documents: ociDocuments(descriptor),
    });
  }
}

/** Without a name: it gets that once it is stored. */
function ociDocuments(descriptor: Descriptor): Readonly<Record<string, string>> {
  const only = { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.sizeBytes };
  return {
    'oci-layout': JSON.stringify({ imageLayoutVersion: '1.0.0' }),
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: [only] }),
  };
}

/** What the archive holds, with nothing checked but the documents. */
export async function readOciArchive(
  archive: SpooledArchive,
  limits: ArchiveLimits,
  platform: WantedPlatform,
): Promise<readonly ArchivedImage[]> {
  const layout = new JsonReader('oci-layout');
  const version = layout.object(layout.parse(archive.catalogue('oci-layout') ?? ''), 'it')['imageLayoutVersion'];
  if (typeof version !== 'string' || !version.startsWith('1.')) throw layout.fail('its version is not 1');
  const reader = new OciReader(archive, limits, platform);
  await reader.readIndex(archive.catalogue('index.json') ?? '', 'index.json', [], 0);
  return reader.images;
}
